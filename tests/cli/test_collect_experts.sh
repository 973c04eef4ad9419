#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# collect on a mixture of experts: what it says of experts that saw little, and --all-experts.
set -euo pipefail
source "$(dirname "$0")/common.sh"
command -v python3 > /dev/null || skip "no python3"
command -v zstd > /dev/null || skip "no zstd"

mixture=$scratch/mixture.gguf
"$MAKE_MODEL" --layers 2 --embd 64 --ff 64 --vocab 4096 --experts 16 "$scratch/untokenized.gguf"
python3 "$IMATRIX_SOURCE/tests/bench/lend_tokenizer.py" "$scratch/untokenized.gguf" "$model" "$mixture"

collect() { # OUT ARGUMENTS...
    "$IMATRIX" collect -m "$mixture" -f "$calibration" -c 64 --chunks 1 -o "$scratch/$1" "${@:2}" 2> /dev/null
}

# 64 tokens, of which each goes to two of sixteen experts: most have seen few.
collect plain.imatrix > "$scratch/summary"
grep -qE '^[0-9]+ of 32 experts saw fewer than 16 tokens .*: layer\.expert [01]\.[0-9]+ \(0\), ' \
    "$scratch/summary" || fail "no experts are named: $(< "$scratch/summary")"
collect plain.imatrix --json --ppl --process-output > "$scratch/plain.json"
collect all.imatrix --json --ppl --process-output --all-experts > "$scratch/all.json"
[ "$(jq .experts.n_experts "$scratch/plain.json")" = 32 ] || fail "32 experts are not counted"
[ "$(jq '.experts.starved | length' "$scratch/plain.json")" = 8 ] || fail "not 8 experts are named"

# With all of them at work none is starved, and nothing else changes.
[ "$(jq .experts.n_starved "$scratch/all.json")" = 0 ] || fail "experts are starved with --all-experts"
[ "$(jq .perplexity "$scratch/all.json")" = "$(jq .perplexity "$scratch/plain.json")" ] ||
    fail "--all-experts changes the perplexity"
# The file says so, and so does what is merged from it.
is_marked() { zstd -dc "$1" | grep -ca imatrix.calibration.all_experts > /dev/null; }
"$IMATRIX" merge "$scratch/plain.imatrix" "$scratch/all.imatrix" -o "$scratch/merged.imatrix" > /dev/null 2>&1
is_marked "$scratch/all.imatrix" || fail "--all-experts is not recorded"
is_marked "$scratch/merged.imatrix" || fail "--all-experts is not recorded in a merged file"
! is_marked "$scratch/plain.imatrix" || fail "--all-experts is recorded without reason"
"$IMATRIX" check "$scratch/all.imatrix" "$mixture" > "$scratch/check" ||
    fail "statistics of all experts do not serve: $(< "$scratch/check")"
