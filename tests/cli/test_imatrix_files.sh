#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# show, diff, merge, convert, check, and collect --digits.
set -euo pipefail
source "$(dirname "$0")/common.sh"
cd "$scratch"
shared=${IMATRIX_SHARED:-absent}

collect() { "$IMATRIX" collect -m "$model" -f "$calibration" -c 128 "$@" > /dev/null 2> "$scratch/err"; }
expect_json() { jq -e "$1" > /dev/null || fail "$2: no match for $1"; }
# at_most_apart FILE FILE TOLERANCE: the cosine of every weight is so close to 1, and so is the ratio of sums.
at_most_apart() { "$IMATRIX" diff "$1" "$2" --json |
    expect_json ".least.cosine > 1 - $3 and (.weights | all(.sum_ratio > 1 - $3 and .sum_ratio < 1 + $3))" "$1 $2"; }

collect --chunks 6 -o whole.imatrix
collect --chunks 2 -o first.imatrix
collect --chunks 4 --from-chunk 2 -o rest.imatrix

# show: where it comes from, a row for every weight and layer, sorted as asked.
"$IMATRIX" show whole.imatrix > shown.txt
grep -q 'whole.imatrix: zst, statistics of 35 weights in 5 layers' shown.txt || fail "show: heading"
grep -q "model manuals-5M-f16.gguf, hash [0-9a-f]\{32\}" shown.txt || fail "show: model"
grep -q "text calibration.txt: 768 tokens in 6 chunks" shown.txt || fail "show: text"
grep -q 'Every dense weight has seen 768 tokens' shown.txt || fail "show: coverage"
[ "$(grep -c '^blk\.' shown.txt)" -eq 35 ] || fail "show: weights"
[ "$(awk 'length > 105' shown.txt | wc -l)" -eq 0 ] || fail "show: lines too long"
"$IMATRIX" show whole.imatrix --json > shown.json
expect_json '(.weights | length == 35) and (.layers | length == 5) and .n_tokens == 768' show < shown.json
expect_json '.weights[0].cosine == null and .weights[7].cosine <= 1 and .texts[0].n_chunks == 6' show < shown.json
"$IMATRIX" show whole.imatrix --sort max --json | expect_json '[.weights[].max] | . == (sort | reverse)' "show --sort"

# merge: two parts of a text are the whole; a weight of 2 is the file twice.
"$IMATRIX" merge first.imatrix rest.imatrix -o merged.imatrix > merged.txt
at_most_apart merged.imatrix whole.imatrix 1e-6
"$IMATRIX" show merged.imatrix --json |
    expect_json '.n_chunks == 6 and .n_tokens == 768 and (.texts | length == 2) and .weights[0].rows == 768' merge
"$IMATRIX" merge first.imatrix first.imatrix rest.imatrix -o thrice.gguf --output-format gguf > /dev/null
"$IMATRIX" merge first.imatrix rest.imatrix -w 2 -w 1 -o weighted.gguf --output-format gguf > /dev/null
at_most_apart thrice.gguf weighted.gguf 1e-6
"$IMATRIX" show weighted.gguf --json | expect_json '.weights[0].rows == 1024 and .texts[0].weight == 2' "merge --weight"

# convert: back to the same bytes, and what the legacy format loses is said.
"$IMATRIX" convert whole.imatrix -o whole.gguf --output-format gguf > /dev/null
zstd -dqc whole.imatrix | cmp - whole.gguf
"$IMATRIX" convert whole.gguf -o again.imatrix > /dev/null
cmp whole.imatrix again.imatrix
"$IMATRIX" convert whole.gguf -o whole.dat --output-format dat > /dev/null 2> losses.txt
grep -q '35 weights lose the sums and maxima' losses.txt || fail "convert: losses"
at_most_apart whole.gguf whole.dat 1e-6
"$IMATRIX" convert whole.dat -o back.gguf --output-format gguf > /dev/null
"$IMATRIX" convert back.gguf -o back.dat --output-format dat > /dev/null 2> losses.txt
cmp whole.dat back.dat
[ ! -s losses.txt ] || fail "convert: nothing was lost: $(< losses.txt)"
"$IMATRIX" merge whole.dat first.imatrix -o mixed.imatrix 2> notes.txt > /dev/null
grep -q 'whole.dat: counts chunks; they are taken for chunks of 128 tokens' notes.txt || fail "merge: chunks"
"$IMATRIX" show mixed.imatrix --json | expect_json '.weights[0].rows == 1024' "merge of a dat"

# diff: a file and itself; weights in one only.
at_most_apart whole.imatrix whole.imatrix 1e-12
"$IMATRIX" diff first.imatrix rest.imatrix > diff.txt
grep -q '35 weights in both, 0 not comparable' diff.txt || fail "diff"
collect --chunks 2 --process-output -o with-head.imatrix
"$IMATRIX" diff with-head.imatrix first.imatrix --json > diff.json
expect_json '(.only_in_a | length == 1) and (.only_in_b == []) and .least.cosine > 0.999999' diff < diff.json

# --digits: smaller, close, and the same from collect and from convert.
collect --chunks 6 --digits 3 -o small.imatrix
"$IMATRIX" convert whole.imatrix --digits 3 -o rounded.imatrix > /dev/null
cmp small.imatrix rounded.imatrix
[ "$(stat -c %s small.imatrix)" -lt $(($(stat -c %s whole.imatrix) * 3 / 4)) ] || fail "--digits 3 saves too little"
at_most_apart whole.imatrix small.imatrix 5e-3
"$IMATRIX" show small.imatrix > shown.txt
grep -q 'rounded to 3 digits' shown.txt || fail "show: digits"

# check: nothing to say, or what is wrong and a status of 1.
"$IMATRIX" check whole.imatrix "$model" --hash > check.txt || fail "check of a whole imatrix: $(< check.txt)"
grep -q 'statistics for 35 of the 35 weights' check.txt || fail "check"
cp "$model" other.gguf
printf 'x' | dd of=other.gguf bs=1 seek=$(($(stat -c %s other.gguf) - 1)) conv=notrunc status=none
"$IMATRIX" check whole.imatrix other.gguf --hash --json | expect_json '.findings[0].kind == "model" and (.hurts | not)' check
"$IMATRIX" quantize --prune-layers 0 "$model" pruned.gguf COPY > /dev/null 2>&1
"$IMATRIX" check whole.imatrix pruned.gguf --json | expect_json '[.findings[].kind] | unique == ["foreign"]' "check: foreign"

# Usage and bad input.
for command in show diff merge convert check; do
    "$IMATRIX" "$command" --help > help.txt
    grep -q "^Usage: imatrix $command" help.txt || fail "$command --help"
    "$IMATRIX" --help > help.txt
    grep -q "^  $command " help.txt || fail "--help does not list $command"
done
expect_error 2 "there is no column 'size'" "$IMATRIX" show --sort size whole.imatrix
expect_error 2 "there is no column 'name'" "$IMATRIX" diff --sort name whole.imatrix first.imatrix
expect_error 2 'a number above 0 for each of the 2 files' "$IMATRIX" merge -w 1 first.imatrix rest.imatrix -o x
expect_error 2 'a number above 0 for each of the 2 files' "$IMATRIX" merge -w 1 -w -2 first.imatrix rest.imatrix -o x
expect_error 2 'needs files to merge and an output' "$IMATRIX" merge first.imatrix
expect_error 2 'an output \(-o\)' "$IMATRIX" convert first.imatrix
expect_error 2 "invalid value '8' for --digits" "$IMATRIX" convert first.imatrix --digits 8 -o x
expect_error 1 'missing: cannot open' "$IMATRIX" diff first.imatrix missing
expect_error 1 'calibration.txt: byte 0: not an imatrix' "$IMATRIX" show "$calibration"
expect_error 1 'calibration.txt: .*not a GGUF file' "$IMATRIX" check first.imatrix "$calibration"
if [ -e "$shared/models/prose-and-manuals-11M.llama-imatrix.gguf" ]; then
    other=$shared/models/prose-and-manuals-11M.llama-imatrix.gguf
    expect_error 1 'these are imatrices of different models' "$IMATRIX" merge whole.imatrix "$other" -o x
    status=0
    "$IMATRIX" check "$other" "$model" > check.txt || status=$?
    [ "$status" -eq 1 ] || fail "check of a foreign imatrix: status $status"
    grep -q 'hurts  weights of another shape: 21' check.txt || fail "check: shapes: $(< check.txt)"
    grep -q 'hurts  weights without statistics: 14' check.txt || fail "check: missing: $(< check.txt)"
fi

# Experts: references that llama.cpp computed, sums and counts as in its imatrix.
if [ -e "$shared/archs/llama-moe.ref.gguf" ]; then
    moe=$shared/archs/llama-moe.ref.gguf
    "$IMATRIX" show "$moe" > shown.txt
    grep -qE '^blk.1.ffn_up_exps +2 +64 +23 +23 +41 +0$' shown.txt || fail "show: experts"
    "$IMATRIX" check "$moe" "$shared/archs/llama-moe.gguf" > /dev/null || fail "check of experts"
    status=0
    "$IMATRIX" check --min-tokens 24 "$moe" "$shared/archs/llama-moe.gguf" --json > check.json || status=$?
    [ "$status" -eq 1 ] || fail "check of starved experts: status $status"
    expect_json '.hurts and (.findings | length == 3 and all(.kind == "starved" and .n == 1 and .n_of == 2))' check < check.json
    "$IMATRIX" convert "$moe" -o moe.dat --output-format dat > /dev/null 2> losses.txt
    grep -q '6 weights lose the number of tokens that each of their experts saw' losses.txt || fail "convert: experts"
    at_most_apart "$moe" moe.dat 1e-6
    expect_error 1 'one count for all experts' "$IMATRIX" merge moe.dat "$moe" -o x
    "$IMATRIX" merge "$moe" "$moe" -o twice.imatrix > /dev/null
    "$IMATRIX" show twice.imatrix --json | expect_json '[.weights[] | select(.n_mats == 2) | .rows] | all(. == 128)' merge
fi
[ ! -e x ] || fail "a failed command wrote a file"

# Files of others come back byte for byte.
for sample in "$shared"/imatrix-samples/*.dat; do
    [ -e "$sample" ] || continue
    "$IMATRIX" convert "$sample" -o sample.gguf --output-format gguf > /dev/null
    "$IMATRIX" convert sample.gguf -o sample.dat --output-format dat > /dev/null
    cmp "$sample" sample.dat
done
expect_no_leftovers "$scratch"
echo "imatrix files are shown, compared, merged, converted and checked"
