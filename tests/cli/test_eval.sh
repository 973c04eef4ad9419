#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# imatrix eval: against a base and against its predictions in a file, tasks of three formats, and what is
# refused.
set -euo pipefail
source "$(dirname "$0")/common.sh"

evaluate() { "$IMATRIX" eval -m "$@" --json 2> /dev/null; }
text=(-f "$heldout" -c 128 --chunks 4)
"$IMATRIX" quantize "$model" "$scratch/q2.gguf" Q2_K > /dev/null 2>&1

# A base model and the file of its predictions say the same but for the file's 16 bits.
evaluate "$model" "${text[@]}" --kl-divergence-base "$scratch/base.kld" > "$scratch/alone.json"
expect_no_leftovers "$scratch"
evaluate "$scratch/q2.gguf" "${text[@]}" --base "$model" > "$scratch/base.json"
evaluate "$scratch/q2.gguf" --kl-divergence --kl-divergence-base "$scratch/base.kld" > "$scratch/file.json"
jq -e -s '.[0] as $a | .[1] as $b
    | $a.n_scored == 252 and $b.n_scored == 252 and $b.n_ctx == 128
    and ($a | has("base")) and ($b | has("base_logits")) and ($b | has("text") | not)
    and $a.perplexity == $b.perplexity
    and all("kl_mean", "dp_mean", "dp_rms", "base_perplexity", "ln_ratio";
            ($a[.].value - $b[.].value | fabs) < 0.001 * $a[.].error + 1e-4)
    and all("kl_median", "kl_p90", "kl_p95", "kl_p99", "kl_p99_9", "kl_max", "dp_p1", "dp_p75", "correlation";
            ($a[.] - $b[.] | fabs) < 1e-3)
    and $a.kl_min <= $a.kl_p0_1 and $a.kl_p10 <= $a.kl_p25 and $a.kl_p99_9 <= $a.kl_max' \
    "$scratch/base.json" "$scratch/file.json" > /dev/null || fail "a stored base differs from the model"
jq -e -s '.[0].perplexity == .[1].base_perplexity' "$scratch/alone.json" "$scratch/base.json" > /dev/null ||
    fail "the base has another perplexity alone"
evaluate "$scratch/q2.gguf" --kl-divergence --kl-divergence-base "$scratch/base.kld" --chunks 2 |
    jq -e '.n_scored == 126' > /dev/null || fail "--chunks of a stored base"

# For people: the figures of llama-perplexity, each with its error.
"$IMATRIX" eval -m "$scratch/q2.gguf" "${text[@]}" --base "$model" > "$scratch/shown" 2> /dev/null
for line in 'Perplexity +[0-9.]+ \+/- [0-9.]+$' 'ln\(perplexity ratio\) +-?[0-9.]+ \+/- ' \
    'KL divergence +[0-9.]+ \+/- [0-9.]+ nats' 'Same top token +[0-9.]+ \+/- [0-9.]+ %' \
    'Change of p, RMS +[0-9.]+ \+/- [0-9.]+ %' '^99\.9 % +[0-9.]+ +-?[0-9.]+ %' '^minimum '; do
    grep -qE "$line" "$scratch/shown" || fail "no '$line' in: $(< "$scratch/shown")"
done

# Tasks. The first ending of each is what the model has read a thousand times.
for i in 1 2 3 4 5 6; do
    printf '%s\n' "Question $i: For more information, see the" 0 "documentation." "umbrella of cats." \
        "zyx qwv." "of of of of."
done > "$scratch/hellaswag.txt"
evaluate "$model" --hellaswag -f "$scratch/hellaswag.txt" > "$scratch/tasks.json"
jq -e '.kind == "hellaswag" and .n_tasks == 6 and .n_right == 6 and .accuracy.value == 1 and .chance == 0.25
    and (.tasks | length) == 6 and (.tasks | map(.number) | sort) == [0, 1, 2, 3, 4, 5]
    and all(.tasks[]; .chosen == 0 and .is_right and (.ln_p | length) == 4 and .ln_p[0] > .ln_p[2])
    and .interval[0] < 1 and .interval[1] > 0.99' "$scratch/tasks.json" > /dev/null ||
    fail "HellaSwag: $(< "$scratch/tasks.json")"
evaluate "$model" --hellaswag -f "$scratch/hellaswag.txt" -t 1 | cmp - "$scratch/tasks.json" ||
    fail "the scores depend on the number of threads"
"$IMATRIX" eval -m "$model" --hellaswag --hellaswag-tasks 2 -f "$scratch/hellaswag.txt" 2> /dev/null |
    grep -q '2 of 2 tasks' || fail "--hellaswag-tasks"
printf '%s\n' '0,"For more information, see the _ and so on and on.",manual,zebra,1' \
    '1,Use the _ option to print more information.,umbrella,command,2' > "$scratch/winogrande.csv"
evaluate "$model" --winogrande -f "$scratch/winogrande.csv" |
    jq -e '.kind == "winogrande" and .n_tasks == 2 and .chance == 0.5 and .tasks[1].number == 1' > /dev/null ||
    fail "Winogrande"
string() { printf "\\x$(printf %02x "${#1}")\\0\\0\\0%s" "$1"; }
{
    printf '\1\0\0\0\10\0\0\0'
    string "For more information, see the"
    printf '\2\0\0\0'
    string "zyx qwv."
    string "documentation."
    printf '\0\0\0\0\1\0\0\0\0\0\0\0'
} > "$scratch/choices.bin"
evaluate "$model" --multiple-choice --binary-file "$scratch/choices.bin" |
    jq -e '.kind == "multiple_choice" and .n_right == 1 and .tasks[0].chosen == 1' > /dev/null ||
    fail "multiple choice"

# What is refused: by usage, by file.
expect_error 2 'kl-divergence-base' "$IMATRIX" eval -m "$model" --kl-divergence
expect_error 2 'two ways' "$IMATRIX" eval -m "$model" --kl-divergence --kl-divergence-base x --base y
expect_error 2 'of one kind' "$IMATRIX" eval -m "$model" -f x --hellaswag --winogrande
expect_error 2 'without a base' "$IMATRIX" eval -m "$model" -f x --hellaswag --base y
expect_error 1 'no-such-dir' "$IMATRIX" eval -m "$model" "${text[@]}" --kl-divergence-base "$scratch/no-such-dir/x"
! grep -q layers "$scratch/stderr" || fail "the model was run for predictions that cannot be written"
head -c 100000 "$scratch/base.kld" > "$scratch/cut.kld"
expect_error 1 'cut.kld: has 100000 of .* bytes and ends in chunk . of 4; it is truncated' \
    "$IMATRIX" eval -m "$model" --kl-divergence --kl-divergence-base "$scratch/cut.kld"
expect_error 1 'heldout.txt: does not begin as a file of predictions' \
    "$IMATRIX" eval -m "$model" --kl-divergence --kl-divergence-base "$heldout"
: > "$scratch/empty"
for kind in hellaswag winogrande; do
    expect_error 1 'empty: holds no tasks' "$IMATRIX" eval -m "$model" --$kind -f "$scratch/empty"
done
expect_error 1 'empty: byte 0: .*truncated' "$IMATRIX" eval -m "$model" --multiple-choice -f "$scratch/empty"
head -c 300 "$scratch/hellaswag.txt" > "$scratch/cut.txt"
expect_error 1 'cut.txt: line [0-9]+: .*truncated' "$IMATRIX" eval -m "$model" --hellaswag -f "$scratch/cut.txt"
head -c 70 "$scratch/winogrande.csv" > "$scratch/cut.csv"
expect_error 1 'cut.csv: line 2: .*truncated' "$IMATRIX" eval -m "$model" --winogrande -f "$scratch/cut.csv"
head -c 60 "$scratch/choices.bin" > "$scratch/cut.bin"
expect_error 1 'cut.bin: byte [0-9]+: .*truncated' "$IMATRIX" eval -m "$model" --multiple-choice -f "$scratch/cut.bin"
other=${IMATRIX_SHARED:-}/models/stories260K-f32.gguf
[ ! -e "$other" ] || expect_error 1 'has a vocabulary of 4096 and the base .* one of 512' \
    "$IMATRIX" eval -m "$model" "${text[@]}" --base "$other"
expect_no_leftovers "$scratch"
echo "evaluations agree with each other, tasks are solved, bad input is refused"
