#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# quantize --calibrate: better files of the same size and types, the same bytes with any number of threads
# and with other types beside them, what short memory and experts lead to, and what is refused.
set -euo pipefail
source "$(dirname "$0")/common.sh"
command -v python3 > /dev/null || skip "no python3"

run=("$IMATRIX" quantize -t 2 --calibrate "$calibration")
quietly() { "$@" > "$scratch/said" 2>&1 || fail "$*: $(tail -1 "$scratch/said")"; }
# lend NAME ARGUMENTS...: a random model with the tokenizer of the trained one.
lend() {
    "$MAKE_MODEL" "${@:2}" --vocab 4096 "$scratch/untokenized.gguf"
    python3 "$IMATRIX_SOURCE/tests/bench/lend_tokenizer.py" "$scratch/untokenized.gguf" "$model" "$scratch/$1"
}
# reach NAME JSON: what has become of a tensor.
reach() { jq -r ".tensors[] | select(.name == \"$1\") | .calibrated | .reach + \" \" + .reason" "$2"; }

# ---- the trained model: a smaller loss, on a text that it was not calibrated with, and nothing else changes

"$IMATRIX" collect -m "$model" -f "$calibration" -t 2 --chunks 6 -o "$scratch/diagonal.imatrix" > /dev/null 2>&1
"$IMATRIX" quantize --imatrix "$scratch/diagonal.imatrix" --json -t 2 "$model" "$scratch/diagonal.gguf" Q2_K \
    > "$scratch/diagonal.json" 2> /dev/null
"${run[@]}" --chunks 6 --json "$model" "$scratch/calibrated.gguf" Q2_K > "$scratch/calibrated.json" 2> "$scratch/err"
grep -qE '^calibrated layers 5/5' "$scratch/err" || fail "no progress: $(< "$scratch/err")"
types='[.size_bytes, (.tensors[] | [.name, .type, .size_bytes])]'
[ "$(jq -c "$types" "$scratch/diagonal.json")" = "$(jq -c "$types" "$scratch/calibrated.json")" ] ||
    fail "types or sizes differ from those of plain quantize"
kl_of() { "$IMATRIX" eval -t 2 -m "$1" --base "$model" -f "$heldout" --chunks 8 --json 2> /dev/null |
    jq .kl_mean.value; }
awk -v with="$(kl_of "$scratch/calibrated.gguf")" -v without="$(kl_of "$scratch/diagonal.gguf")" \
    'BEGIN { exit !(with > 0 && with < 0.8 * without) }' || fail "calibration gains nothing"
jq -es '.[0] | (.texts | length == 1 and .[0].n_chunks == 6) and
        ([.reaches[].n_matrices] | add) == 36 and
        ([.tensors[] | select(.calibrated.reach == "row")] | length > 20 and
         all(.calibrated.damping > 0 and .calibrated.held_out_loss < 1)) and
        (.tensors[] | select(.name == "token_embd.weight") | .calibrated.reason == "no input")' \
    "$scratch/calibrated.json" > /dev/null || fail "the JSON does not tell what was done"
for key in inputs text_hashes n_tokens; do
    grep -aq "imatrix.quantize.calibration.$key" "$scratch/calibrated.gguf" || fail "the file does not say $key"
done

# ---- a random one: the same bytes however they are made

lend dense.gguf --layers 2 --embd 256 --ff 512
dense=$scratch/dense.gguf
run+=(-c 256 --chunks 5 --token-embedding-type F16 --output-tensor-type F16)
quietly "${run[@]}" "$dense" "$scratch/two.gguf" Q3_K_S
for n_threads in 1 3; do
    quietly "${run[@]}" -t $n_threads "$dense" "$scratch/other.gguf" Q3_K_S
    cmp "$scratch/two.gguf" "$scratch/other.gguf" || fail "bytes depend on the threads"
done
quietly "${run[@]}" --types Q3_K_S,q4_0 -o "$scratch/types" --json "$dense"
cmp "$scratch/two.gguf" "$scratch/types/dense-Q3_K_S.gguf" || fail "bytes depend on the types beside them"
[ "$(ls "$scratch/types")" = $'dense-Q3_K_S.gguf\ndense-Q4_0.gguf' ] || fail "not the files that were asked for"
grep -q '^\]' "$scratch/said" || fail "no array for two files"

# Quantized inputs: the embedding changes what the first layer sees, the first layer what the second does.
errors() { # OF JSON: the errors of a layer's first tensor, which its input decides
    jq ".tensors[] | select(.name == \"blk.$1.attn_q.weight\") | .weighted_error" "$2"
}
inputs() { # NAME ARGUMENTS...
    "${run[@]}" --json "${@:2}" "$dense" "$scratch/$1.gguf" Q3_K_S > "$scratch/$1.json" 2> /dev/null
}
inputs one -t 1 --inputs quantized --token-embedding-type Q4_0
inputs two -t 2 --inputs quantized --token-embedding-type Q4_0
cmp "$scratch/one.gguf" "$scratch/two.gguf" || fail "--inputs quantized: bytes depend on the threads"
inputs kept --inputs quantized
inputs original
[ "$(errors 0 "$scratch/kept.json")" = "$(errors 0 "$scratch/original.json")" ] || fail "the first layer sees something else"
[ "$(errors 1 "$scratch/kept.json")" != "$(errors 1 "$scratch/original.json")" ] || fail "the second layer sees the original"
[ "$(errors 0 "$scratch/kept.json")" != "$(errors 0 "$scratch/one.json")" ] || fail "the first layer sees the original"

# ---- what memory and text do not allow

expect_error 1 'needs [0-9]+ MB of memory where 10 MB' "${run[@]}" --memory 10M "$dense" "$scratch/no.gguf" Q3_K_S
need=$(grep -oE 'needs [0-9]+' "$scratch/stderr" | grep -oE '[0-9]+')
"${run[@]}" --memory $((need + 1))M --json "$dense" "$scratch/short.gguf" Q3_K_S > "$scratch/short.json" 2> /dev/null
[ "$(reach blk.1.ffn_down.weight "$scratch/short.json")" = 'super-block memory' ] || fail "no fallback for memory"
"${run[@]}" --chunks 3 -v "$dense" "$scratch/few.gguf" Q3_K_S > "$scratch/few.txt" 2> /dev/null
grep -qE 'ffn_down.weight .* super-block \(few tokens\), damping' "$scratch/few.txt" || fail "no fallback for few tokens"
grep -qE '^calibration: .* [1-9][0-9]* within super-blocks \(.*few tokens\), ' "$scratch/few.txt" ||
    fail "the summary does not tell reasons: $(tail -3 "$scratch/few.txt")"

# ---- experts, each by its own tokens

lend mixture.gguf --layers 1 --embd 256 --ff 256 --experts 4
"${run[@]}" --chunks 8 --json "$scratch/mixture.gguf" "$scratch/experts.gguf" Q4_0 > "$scratch/experts.json" 2> /dev/null
jq -e '.tensors[] | select(.name == "blk.0.ffn_up_exps.weight") | .calibrated.n_matrices == 4' \
    "$scratch/experts.json" > /dev/null || fail "not every expert was coded"
quietly "$IMATRIX" eval -t 2 -m "$scratch/experts.gguf" --base "$scratch/mixture.gguf" -f "$heldout" --chunks 1 -c 128

# Where there are too few tokens for more, what is left is what an imatrix gives, expert by expert.
# Only the embedding needs no tokens.
few=(-c 64 --chunks 2 -t 2)
"$IMATRIX" collect -m "$scratch/mixture.gguf" -f "$calibration" "${few[@]}" -o "$scratch/few.imatrix" > /dev/null 2>&1
"$IMATRIX" quantize --calibrate "$calibration" "${few[@]}" --json "$scratch/mixture.gguf" "$scratch/few.gguf" Q4_0 \
    > "$scratch/calibrated.json" 2> /dev/null
"$IMATRIX" quantize --imatrix "$scratch/few.imatrix" --json "$scratch/mixture.gguf" "$scratch/few.gguf" Q4_0 \
    > "$scratch/diagonal.json" 2> /dev/null
jq -es '[.[] | [.tensors[] | select(.name != "token_embd.weight") | .weighted_error // 0]] | transpose |
        all((.[0] - .[1]) / (.[1] + 1e-9) | fabs < 0.001)' "$scratch/calibrated.json" "$scratch/diagonal.json" \
    > /dev/null || fail "with few tokens it is not what the imatrix gives"

# ---- plans and mistakes

"${run[@]}" --dry-run --types Q2_K,Q6_K "$dense" > "$scratch/plan" 2> /dev/null
[ "$(grep -c '^needs .* on disk and about .* of memory' "$scratch/plan")" -eq 2 ] || fail "no plan for two types"
[ ! -e "$scratch/dense-Q2_K.gguf" ] || fail "--dry-run writes"
bad() { expect_error "$1" "$2" "$IMATRIX" quantize "${@:3}"; }
bad 2 'chunks is of use with --calibrate only' --chunks 3 "$dense" Q2_K
bad 2 'output-dir is of use with --types only' -o "$scratch" "$dense" Q2_K
bad 2 'exclude each other' --calibrate "$calibration" --imatrix "$scratch/diagonal.imatrix" "$dense" Q2_K
bad 2 'Q4_K_M is listed twice' --calibrate "$calibration" --types Q4_K_M,Q2_K,15 "$dense"
bad 2 'unknown type .Q9' --types Q2_K,Q9 "$dense"
bad 2 'IN.gguf alone' --types Q2_K "$dense" Q4_K_M
bad 1 'one type at a time' --calibrate "$calibration" --inputs quantized --types Q2_K,Q3_K_S "$dense"
bad 1 'is the source model' --calibrate "$calibration" --chunks 1 "$dense" "$dense" Q2_K
bad 1 'no-text.txt' --calibrate "$scratch/no-text.txt" "$dense" Q2_K
echo 'a few words' > "$scratch/short.txt"
bad 1 'short.txt.*tokens' --calibrate "$scratch/short.txt" --drop-tail "$dense" Q2_K
bad 1 '/dev/full' --calibrate "$calibration" --chunks 1 "$dense" /dev/full Q2_K
! compgen -G "$scratch/*.calibration*" > /dev/null || fail "left behind: $(ls "$scratch")"

# Types need no text.
quietly "$IMATRIX" quantize --types Q4_0,Q8_0 -o "$scratch/types" "$dense"
quietly "$IMATRIX" quantize "$dense" "$scratch/q8.gguf" Q8_0
cmp "$scratch/q8.gguf" "$scratch/types/dense-Q8_0.gguf" || fail "--types changes bytes"
expect_no_leftovers "$scratch"
