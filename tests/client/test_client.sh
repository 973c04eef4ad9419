#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Quantizes the example model to every type and has node-llama-cpp run each file. Skipped where npm or the
# package is missing; tests/run.sh installs it.
set -euo pipefail
source "$(dirname "$0")/../cli/common.sh"
cd "$(dirname "$0")"

if ! command -v node > /dev/null; then
    skip "node is not installed"
fi
if [ ! -d node_modules/node-llama-cpp ]; then
    skip "node-llama-cpp is not installed: npm install --omit=optional in tests/client"
fi

"$IMATRIX" collect -m "$model" -f "$calibration" -o "$scratch/imatrix" --chunks 20 > /dev/null 2>&1
files=()
for type in $("$IMATRIX" quantize --help | sed -n 's/^  *[0-9][0-9]*  \([A-Z0-9_]*\) .*/\1/p'); do
    "$IMATRIX" quantize --imatrix "$scratch/imatrix" "$model" "$scratch/$type.gguf" "$type" \
        > /dev/null 2>&1
    files+=("$scratch/$type.gguf")
done
node client.mjs "$NEXT_TOKEN" "$model" "${files[@]}"
