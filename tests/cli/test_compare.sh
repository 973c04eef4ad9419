#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# imatrix compare: every file has the figures that eval gives it, the order, the front and the pairs are
# right, small differences are told from none, and bad input is refused before a model is run.
set -euo pipefail
source "$(dirname "$0")/common.sh"
command -v jq > /dev/null || skip "jq is not installed"

text=(-f "$heldout" -c 128 --chunks 8)
compare() { "$IMATRIX" compare "$@" 2> "$scratch/stderr"; }
for type in Q8_0 Q4_1 Q4_K_M Q2_K; do
    "$IMATRIX" quantize "$model" "$scratch/small-$type.gguf" "$type" > /dev/null 2>&1
done
files=("$scratch"/small-{Q2_K,Q8_0,Q4_1,Q4_K_M}.gguf)

# As eval says it of each alone.
compare "$model" "${files[@]}" "${text[@]}" --json > "$scratch/all.json"
for type in Q8_0 Q2_K; do
    file=$scratch/small-$type.gguf
    "$IMATRIX" eval -m "$file" --base "$model" "${text[@]}" --json > "$scratch/eval.json" 2> /dev/null
    jq -e --arg file "$file" -s '.[0] as $eval | .[1].candidates[] | select(.file == $file) |
        . as $it | all($eval | del(.model, .text, .base) | to_entries[]; $it[.key] == .value)' \
        "$scratch/eval.json" "$scratch/all.json" > /dev/null || fail "$type has other figures than eval says"
done

# Sorted by size; the front; each against its neighbour and the best of the smaller ones.
jq -e '[.candidates[].name] == ["Q8_0", "Q4_1", "Q4_K_M", "Q2_K"]' "$scratch/all.json" > /dev/null ||
    fail "the order: $(jq -c '[.candidates[].name]' "$scratch/all.json")"
for type in Q8_0 Q4_1; do
    jq -e --arg name $type --argjson bytes "$(stat -c %s "$scratch/small-$type.gguf")" \
        '.candidates[] | select(.name == $name) | .file_bytes == $bytes' "$scratch/all.json" > /dev/null ||
        fail "the size of $type"
done
jq -e '[.candidates[].on_front] == [true, false, true, true]' "$scratch/all.json" > /dev/null ||
    fail "the front: Q4_1 is larger than Q4_K_M and loses more"
jq -e '[.differences[] | [.name, .against_name]] ==
    [["Q8_0", "Q4_1"], ["Q8_0", "Q4_K_M"], ["Q4_1", "Q4_K_M"], ["Q4_K_M", "Q2_K"]]' "$scratch/all.json" \
    > /dev/null || fail "the pairs: $(jq -c '[.differences[] | [.name, .against_name]]' "$scratch/all.json")"
jq -e '(.candidates | map({key: .name, value: .}) | from_entries) as $of | .n_groups == 32 and
    all(.differences[]; (.kl_mean.value - $of[.name].kl_mean.value + $of[.against_name].kl_mean.value | fabs) < 1e-8
        and (.ln_ratio.value - $of[.name].ln_ratio.value + $of[.against_name].ln_ratio.value | fabs) < 1e-8
        and .kl_verdict == (if (.kl_mean.value | fabs) <= 2 * .kl_mean.error then "no measurable difference"
                            elif .kl_mean.value < 0 then "better" else "worse" end)) and
    .differences[3].kl_verdict == "better"' "$scratch/all.json" > /dev/null || fail "the differences"
compare "$model" "${files[@]}" "${text[@]}" --json -t 1 | cmp - "$scratch/all.json" ||
    fail "the result depends on the number of threads"

# Against a file of one's choice.
compare "$model" "${files[@]}" "${text[@]}" --json --against "$scratch/small-Q2_K.gguf" |
    jq -e '[.differences[] | select(.against_name == "Q2_K") | .name] == ["Q8_0", "Q4_1", "Q4_K_M"]' > /dev/null ||
    fail "--against"

# A copy is no better, and the base loses nothing.
cp "$scratch/small-Q2_K.gguf" "$scratch/copy.gguf"
compare "$model" "$scratch/copy.gguf" "$scratch/small-Q2_K.gguf" "$model" "${text[@]}" > "$scratch/shown"
[ "$(grep -c ' ± 0.000000 .*no measurable difference$' "$scratch/shown")" -eq 1 ] ||
    fail "a copy differs: $(< "$scratch/shown")"
grep -q '^\*.*manuals-5M-f16 .* 0.000000 ± 0.000000 .* 100.0$' "$scratch/shown" || fail "the base loses something"

# For people: at most 80 columns, progress names the files.
compare "$model" "${files[@]}" "${text[@]}" > "$scratch/shown"
[ "$(tail -n +4 "$scratch/shown" | sed 's/[±−]/x/g' | awk '{ print length }' | sort -n | tail -1)" -le 80 ] ||
    fail "more than 80 columns: $(< "$scratch/shown")"
grep -q '^\*  Q4_K_M .* 5\.[0-9][0-9] .* ± .* ± ' "$scratch/shown" || fail "the table: $(< "$scratch/shown")"
grep -q '^   Q4_1 ' "$scratch/shown" || fail "Q4_1 is on the front"
grep -q '^small-Q8_0.gguf (3 of 5)$' "$scratch/stderr" || fail "progress does not name the files"
compare "$model" "${files[@]}" "${text[@]}" --csv > "$scratch/table.csv"
jq -Rse 'split("\n") | (.[0] | split(",")) as $keys | length == 6 and
    ($keys[0:5] == ["on_front", "name", "file", "file_bytes", "bits_per_weight"]) and
    all(.[1:5][]; split(",") | length == ($keys | length)) and
    (.[1] | startswith("1,\"Q8_0\",\""))' "$scratch/table.csv" > /dev/null || fail "CSV: $(< "$scratch/table.csv")"

# Tasks, each file against the base.
for i in 1 2 3 4; do
    printf '%s\n' "Question $i: For more information, see the" $((i == 4 ? 1 : 0)) "documentation." \
        "umbrella of cats." "zyx qwv." "of of of of."
done > "$scratch/tasks.txt"
compare "$model" "$scratch/small-Q8_0.gguf" "${text[@]}" --tasks "$scratch/tasks.txt" --json |
    jq -e '.tasks.n_tasks == 4 and .tasks.base_accuracy.value == 0.75 and
        .candidates[0].accuracy.value == 0.75 and .candidates[0].accuracy_change.error == 0 and
        .candidates[0].accuracy_verdict == "no measurable difference"' > /dev/null || fail "tasks"
compare "$model" "$scratch/small-Q8_0.gguf" "${text[@]}" --tasks "$scratch/tasks.txt" --hellaswag-tasks 2 |
    grep -q '^Of 2 tasks of .* the base solves ' || fail "--hellaswag-tasks"

# Refused, and nothing is run before.
refuse() {
    expect_error 1 "$@"
    ! grep -q layers "$scratch/stderr" || fail "a model was run before it was refused: $1"
}
expect_error 2 'a base, at least one file' "$IMATRIX" compare "$model" "${text[@]}"
expect_error 2 'a base, at least one file' "$IMATRIX" compare "$model" "${files[0]}"
expect_error 2 'exclude each other' "$IMATRIX" compare "$model" "${files[0]}" "${text[@]}" --json --csv
refuse 'missing.gguf: cannot open' "$IMATRIX" compare "$model" "${files[@]}" "$scratch/missing.gguf" "${text[@]}"
head -c 100000 "$model" > "$scratch/cut.gguf"
refuse 'cut.gguf: .*(truncated|beyond the end)' "$IMATRIX" compare "$model" "${files[0]}" "$scratch/cut.gguf" "${text[@]}"
LC_ALL=C sed 's/ther/thre/' "${files[0]}" > "$scratch/other.gguf"
refuse 'token [0-9]+ is .* they do not come from one model' \
    "$IMATRIX" compare "$model" "${files[1]}" "$scratch/other.gguf" "${text[@]}"
refuse 'is not one of the models' "$IMATRIX" compare "$model" "${files[0]}" "${text[@]}" --against "$model"
echo "Too short." > "$scratch/short.txt"
refuse 'short.txt: .*token' "$IMATRIX" compare "$model" "${files[0]}" -f "$scratch/short.txt"
head -2 "$scratch/tasks.txt" > "$scratch/cut.txt"
refuse 'cut.txt' "$IMATRIX" compare "$model" "${files[0]}" "${text[@]}" --tasks "$scratch/cut.txt"
echo "files made from one model are compared"
