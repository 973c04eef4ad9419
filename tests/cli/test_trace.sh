#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# imatrix trace: writes what a model makes of a few tokens, compares, and says so by its exit status.
set -euo pipefail
source "$(dirname "$0")/common.sh"

"$IMATRIX" trace -m "$model" -f "$heldout" -c 40 -o "$scratch/a.gguf" 2> "$scratch/log"
grep -q 'wrote the trace of 40 tokens' "$scratch/log" || fail "no word of 40 tokens"

# The same model is the same, another thread count too.
"$IMATRIX" trace -m "$model" --against "$scratch/a.gguf" -t 1 > "$scratch/same" 2> /dev/null ||
    fail "the model does not agree with itself: $(< "$scratch/same")"
grep -q 'all is within' "$scratch/same" || fail "no verdict: $(< "$scratch/same")"

# The quantized model is another one, by how much is told, and a wide tolerance lets it pass.
"$IMATRIX" quantize "$model" "$scratch/q2.gguf" Q2_K > /dev/null 2>&1
actual=0
"$IMATRIX" trace -m "$scratch/q2.gguf" --against "$scratch/a.gguf" --json > "$scratch/other" \
    2> /dev/null || actual=$?
[ "$actual" -eq 1 ] || fail "a quantized model passes for its original"
grep -q '"within": false' "$scratch/other" || fail "no verdict in JSON: $(< "$scratch/other")"
"$IMATRIX" trace -m "$scratch/q2.gguf" --against "$scratch/a.gguf" --tolerance 1 > /dev/null \
    2>&1 || fail "a tolerance of 1 lets nothing pass"

# Numbers give the trace of the same tokens.
printf '[1, 2 3\n4,5]' > "$scratch/tokens"
"$IMATRIX" trace -m "$model" --tokens "$scratch/tokens" -o "$scratch/b.gguf" 2> "$scratch/log"
grep -q 'wrote the trace of 5 tokens' "$scratch/log" || fail "five tokens: $(< "$scratch/log")"

printf '1 2 x' > "$scratch/tokens"
expect_error 1 'tokens: at byte 4: not a token number' \
    "$IMATRIX" trace -m "$model" --tokens "$scratch/tokens" -o "$scratch/c.gguf"
printf '99999999' > "$scratch/tokens"
expect_error 1 'of a vocabulary of' \
    "$IMATRIX" trace -m "$model" --tokens "$scratch/tokens" -o "$scratch/c.gguf"
[ ! -e "$scratch/c.gguf" ] || fail "a failed trace was written"
expect_error 1 "there is no tensor 'tokens'" "$IMATRIX" trace -m "$model" --against "$model"
expect_error 2 'one of -f, --tokens, --against' "$IMATRIX" trace -m "$model"
expect_error 2 "tolerance 'much' is not a number" \
    "$IMATRIX" trace -m "$model" --against x --tolerance much
expect_no_leftovers "$scratch"
echo "traces compare"
