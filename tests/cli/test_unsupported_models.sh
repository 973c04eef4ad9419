#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A model that cannot be run is refused with its kind and what can be done: quantize works on it, with an
# imatrix from elsewhere or without one.
set -euo pipefail
source "$(dirname "$0")/common.sh"

# The name is as long as the one it replaces, in the architecture and in its keys.
other=$scratch/recurrent.gguf
LC_ALL=C sed 's/llama/mamba/g' "$model" > "$other"
for command in "collect -o $scratch/out.imatrix" eval; do
    # shellcheck disable=SC2086
    expect_error 1 "recurrent.gguf: the architecture 'mamba' is a recurrent model and cannot be run; .imatrix quantize. works all the same.* can be run: .*llama" \
        "$IMATRIX" $command -m "$other" -f "$calibration"
done
[ ! -e "$scratch/out.imatrix" ] || fail "an imatrix was written for a model that cannot be run"

"$IMATRIX" collect -m "$model" -f "$calibration" --chunks 4 -c 128 -o "$scratch/model.imatrix" > /dev/null 2>&1
for imatrix in "" "--imatrix $scratch/model.imatrix"; do
    # shellcheck disable=SC2086
    "$IMATRIX" quantize $imatrix "$model" "$scratch/llama-Q4_K_M.gguf" Q4_K_M > /dev/null 2>&1
    # shellcheck disable=SC2086
    "$IMATRIX" quantize $imatrix "$other" "$scratch/mamba-Q4_K_M.gguf" Q4_K_M > /dev/null 2>&1
    # The same weights make the same blocks.
    cmp <(tail -c 1000000 "$scratch/llama-Q4_K_M.gguf") <(tail -c 1000000 "$scratch/mamba-Q4_K_M.gguf") ||
        fail "the architecture's name changed what was written"
done
