#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Help, version, exit statuses and the wording of mistakes on the command line.
set -euo pipefail
source "$(dirname "$0")/common.sh"

"$IMATRIX" --version | grep -qE '^imatrix [0-9]+\.[0-9]+\.[0-9]+$' || fail "--version"
"$IMATRIX" --help | grep -q quantize || fail "--help"
for command in collect quantize eval compare inspect; do
    "$IMATRIX" "$command" --help > "$scratch/help"
    grep -q "^Usage: imatrix $command" "$scratch/help" || fail "$command --help"
    grep -q "^Examples:" "$scratch/help" || fail "$command --help has no examples"
done
"$IMATRIX" quantize --help > "$scratch/help"
for type in IQ4_XS TQ1_0 MXFP4_MOE Q3_K_XL COPY Q4_0 Q8_0 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K F16 BF16; do
    grep -qw "$type" "$scratch/help" || fail "quantize --help does not name $type"
done

expect_error 2 'Usage' "$IMATRIX"
expect_error 2 "unknown command 'colect'" "$IMATRIX" colect
expect_error 2 'unknown or ambiguous option --nope' "$IMATRIX" collect --nope
expect_error 2 'unknown option -Z' "$IMATRIX" collect -Z
expect_error 2 'needs a value' "$IMATRIX" collect -m
expect_error 2 'a model \(-m\) and a text \(-f\) are needed' "$IMATRIX" collect
expect_error 2 "invalid value 'many' for --ctx-size: a whole number from 2 to" "$IMATRIX" collect -c many
expect_error 2 "invalid value '1' for --ctx-size" "$IMATRIX" collect -c 1
expect_error 2 "invalid value '-3' for --threads" "$IMATRIX" eval -t -3
expect_error 2 "it is one of \{zst,gguf,dat\}" "$IMATRIX" collect --output-format zip
expect_error 2 "unexpected argument 'x'" "$IMATRIX" collect x
expect_error 2 'needs IN.gguf \[OUT.gguf\] TYPE' "$IMATRIX" quantize a.gguf
expect_error 2 "unknown type 'Q9_K'" "$IMATRIX" quantize a.gguf b.gguf Q9_K
expect_error 1 'missing.gguf: cannot open' "$IMATRIX" quantize "$scratch/missing.gguf" Q4_0
expect_error 1 'missing.gguf: cannot open' "$IMATRIX" eval -m "$scratch/missing.gguf" -f x
if [ -w /dev/full ]; then
    actual=0
    "$IMATRIX" --help > /dev/full 2> "$scratch/stderr" || actual=$?
    [ "$actual" -eq 1 ] || fail "a full standard output is an error"
fi
echo "usage is as documented"
