#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# An imatrix with products of columns: quantize uses it by default, says so, and writes the same bytes
# with any number of threads; --covariance off is what an imatrix without them gives.
set -euo pipefail
source "$(dirname "$0")/common.sh"

quantize() { "$IMATRIX" quantize --imatrix "$scratch/with.imatrix" "$@"; }
# number NAME: of the JSON on the input.
number() { sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p"; }
# losses FILE: of the layers' tensors, from the JSON of a run.
losses() { grep -oE '"weighted_error": [^,]*' "$1"; }

collect() { "$IMATRIX" collect -m "$model" -f "$calibration" --chunks 5 -c 128 "$@" > /dev/null 2>&1; }
collect --covariance -o "$scratch/with.imatrix"
collect -o "$scratch/without.imatrix"

[ "$(quantize --dry-run --json "$model" Q4_K_M | number n_with_covariance)" -eq 35 ] || fail "not all layers"
[ "$(quantize --dry-run --json --covariance off "$model" Q4_K_M | number n_with_covariance)" -eq 0 ] ||
    fail "--covariance off"
quantize --dry-run "$model" Q4_K_M > "$scratch/plan"
grep -q '^covariance: used for 35 of these' "$scratch/plan" || fail "the totals do not name the covariance"
[ "$(grep -c ' covariance$' "$scratch/plan")" -eq 35 ] || fail "the plan does not name the covariance"
[ "$(quantize --dry-run --json --pure "$model" TQ2_0 | number n_with_covariance)" -eq 0 ] || fail "TQ2_0 has a grid"

for type in Q2_K IQ4_NL; do
    quantize -t 1 "$model" "$scratch/one.gguf" $type > /dev/null 2>&1
    quantize -t 2 "$model" "$scratch/two.gguf" $type > /dev/null 2>&1
    cmp "$scratch/one.gguf" "$scratch/two.gguf" || fail "$type: bytes depend on the threads"
done
grep -aq imatrix.quantize.covariance "$scratch/one.gguf" || fail "the file does not say how it was made"

quantize --covariance off --json "$model" "$scratch/off.gguf" Q2_K > "$scratch/off.json" 2> /dev/null
"$IMATRIX" quantize --imatrix "$scratch/without.imatrix" --json "$model" "$scratch/never.gguf" Q2_K \
    > "$scratch/never.json" 2> /dev/null
! grep -aq imatrix.quantize.covariance "$scratch/off.gguf" || fail "--covariance off is not believed"
[ "$(losses "$scratch/off.json")" = "$(losses "$scratch/never.json")" ] || fail "--covariance off is not the diagonal"

# On the text that it was collected on, feeding errors back must show.
quantize "$model" "$scratch/fed.gguf" Q2_K > /dev/null 2>&1
kl_of() { "$IMATRIX" eval -m "$1" --base "$model" -f "$calibration" --chunks 5 -c 128 --json 2> /dev/null |
    tr -d '\n' | sed -n 's/.*"kl_mean": {[^}]*"value": \([0-9.e-]*\).*/\1/p'; }
awk -v with="$(kl_of "$scratch/fed.gguf")" -v without="$(kl_of "$scratch/off.gguf")" \
    'BEGIN { exit !(with > 0 && with < 0.8 * without) }' || fail "the covariance gains nothing"

# The embedding of a model with a head of its own is led by the weights that read it.
command -v python3 > /dev/null || skip "no python3"
"$MAKE_MODEL" --layers 1 --embd 256 --ff 256 --vocab 4096 "$scratch/untokenized.gguf"
python3 "$IMATRIX_SOURCE/tests/bench/lend_tokenizer.py" "$scratch/untokenized.gguf" "$model" "$scratch/untied.gguf"
"$IMATRIX" collect -m "$scratch/untied.gguf" -f "$calibration" --chunks 5 -c 128 --covariance -o "$scratch/with.imatrix" \
    > /dev/null 2>&1
quantize --dry-run "$scratch/untied.gguf" Q2_K | grep -qE '^token_embd.weight .* covariance$' || fail "nothing leads the embedding"
! quantize --dry-run --covariance off "$scratch/untied.gguf" Q2_K | grep -q 'token_embd.* covariance' ||
    fail "--covariance off leads the embedding"
