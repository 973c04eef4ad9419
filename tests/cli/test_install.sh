#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What is installed is enough: the example program builds with pkg-config alone and does the main job.
set -euo pipefail
source "$(dirname "$0")/common.sh"

if [ -n "$IMATRIX_SANITIZED" ]; then
    skip "a sanitized library needs the sanitizers' flags, which pkg-config does not name"
fi
cmake --install "$(dirname "$IMATRIX")/.." --prefix "$scratch/prefix" > /dev/null
[ -x "$scratch/prefix/bin/imatrix" ] || fail "the program is not installed"
PKG_CONFIG_PATH=$(dirname "$(find "$scratch/prefix" -name imatrix.pc)")
export PKG_CONFIG_PATH
read -ra flags <<< "$(pkg-config --define-variable=prefix="$scratch/prefix" --cflags --libs imatrix)"
"${CC:-cc}" -std=c17 "$IMATRIX_SOURCE/examples/01_make_q4.c" -o "$scratch/make_q4" "${flags[@]}"
head -c 20000 "$calibration" > "$scratch/calibration.txt"
head -c 20000 "$heldout" > "$scratch/heldout.txt"
"$scratch/make_q4" "$model" "$scratch/calibration.txt" "$scratch/heldout.txt" \
    "$scratch/out.imatrix" "$scratch/out.gguf" | grep -q 'KL divergence 0\.' || fail "no KL divergence"
echo "the installed library works"
