#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The main job on the example model: collect, quantize, eval. Formats, thread counts, summaries.
set -euo pipefail
source "$(dirname "$0")/common.sh"

collect() { "$IMATRIX" collect -m "$model" -f "$calibration" --chunks 8 -c 256 "$@" 2> "$scratch/err"; }

# Same bytes for any thread count and on a second run.
collect -t 1 -o "$scratch/one.imatrix" > /dev/null
collect -t 2 -o "$scratch/two.imatrix" > /dev/null
collect -t 3 -o "$scratch/three.imatrix" > /dev/null
cmp "$scratch/one.imatrix" "$scratch/two.imatrix"
cmp "$scratch/one.imatrix" "$scratch/three.imatrix"

# zstd -d of the default format is the GGUF format; all three are told apart by content.
collect --output-format gguf -o "$scratch/gguf.imatrix" > /dev/null
collect --output-format dat -o "$scratch/dat.imatrix" > /dev/null
zstd -dqc "$scratch/one.imatrix" | cmp - "$scratch/gguf.imatrix"
for format in one gguf dat; do
    "$IMATRIX" quantize -t 2 --imatrix "$scratch/$format.imatrix" "$model" "$scratch/$format.gguf" Q3_K_M \
        > "$scratch/$format.txt" 2>> "$scratch/err"
    grep -q 'bits per weight' "$scratch/$format.txt" || fail "no bits per weight in the summary"
done
expect_same_tensors() { "$IMATRIX" eval -m "$1" --base "$2" -f "$heldout" -c 64 --chunks 2 --json 2> /dev/null |
    jq -e '.kl_max < 1e-6 and .top1.value == 1' > /dev/null || fail "$1 and $2 differ"; }
expect_same_tensors "$scratch/one.gguf" "$scratch/gguf.gguf"

# The same model for any number of threads.
"$IMATRIX" quantize -t 1 --imatrix "$scratch/one.imatrix" "$model" "$scratch/t1.gguf" q3_k_m > /dev/null 2>&1
cmp "$scratch/one.gguf" "$scratch/t1.gguf"

# A dry run writes nothing and plans the same size.
"$IMATRIX" quantize --dry-run --json "$model" "$scratch/dry.gguf" Q4_K_M > "$scratch/dry.json" 2> /dev/null
[ ! -e "$scratch/dry.gguf" ] || fail "a dry run wrote a file"
"$IMATRIX" quantize --json "$model" "$scratch/wet.gguf" Q4_K_M 4 > "$scratch/wet.json" 2> /dev/null
jq -es '.[0].size_bytes == .[1].size_bytes' "$scratch/dry.json" "$scratch/wet.json" > /dev/null ||
    fail "the dry run planned another size"

# A name is made up when none is given.
cp "$model" "$scratch/copy-f16.gguf"
"$IMATRIX" quantize "$scratch/copy-f16.gguf" Q8_0 > /dev/null 2>&1
[ -s "$scratch/copy-Q8_0.gguf" ] || fail "no default output name"

# More bits lose less; the base loses nothing against itself.
kl() { "$IMATRIX" eval -m "$1" --base "$model" -f "$heldout" -c 256 --chunks 8 --json 2> /dev/null | jq .kl_mean.value; }
"$IMATRIX" quantize --imatrix "$scratch/one.imatrix" "$model" "$scratch/q2.gguf" Q2_K > /dev/null 2>&1
jq -en "$(kl "$scratch/q2.gguf") > $(kl "$scratch/one.gguf") and
        $(kl "$scratch/one.gguf") > $(kl "$scratch/wet.gguf") and
        $(kl "$scratch/wet.gguf") > $(kl "$scratch/copy-Q8_0.gguf")" > /dev/null || fail "more bits lose more"
[ "$(kl "$model")" = 0 ] || [ "$(kl "$model")" = 0.0 ] || fail "the model differs from itself"

# What was collected is in the file.
strings -n 4 "$scratch/gguf.imatrix" > "$scratch/strings"
for word in imatrix.chunk_count imatrix.calibration.model_hash blk.0.attn_q.weight.in_sum2 calibration.txt; do
    grep -q "$word" "$scratch/strings" || fail "$word is not in the imatrix"
done
expect_no_leftovers "$scratch"
echo "the main job works"
