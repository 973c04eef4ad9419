#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The options of `imatrix quantize`: each does what it says, and nothing else.
set -euo pipefail
source "$(dirname "$0")/common.sh"

quantize() { "$IMATRIX" quantize "$@"; }
# types OPTIONS...: "NAME TYPE" of every tensor planned.
types() { quantize --dry-run --json "$@" | grep -oE '"(name|type)": "[^"]*"' | sed -n 's/.*: "\(.*\)"/\1/p' |
    awk 'NR > 1 { if (NR % 2 == 0) name = $0; else print name, $0 }'; }
imatrix=$scratch/model.imatrix
"$IMATRIX" collect -m "$model" -f "$calibration" --chunks 4 -c 128 -o "$imatrix" > /dev/null 2>&1
types --imatrix "$imatrix" "$model" Q4_K_S > "$scratch/plain"
grep -q 'blk.0.ffn_down.weight' "$scratch/plain" || fail "types reads the plan"

# An override changes the tensors it names, and no other; the first match wins.
types --tensor-type 'ffn_down=Q6_K' --tensor-type 'ffn_(down|up)=q5_k' --imatrix "$imatrix" "$model" Q4_K_S \
    > "$scratch/override"
! diff "$scratch/plain" "$scratch/override" | grep '^[<>]' | grep -vE 'ffn_(down|up)' || fail "others changed"
! grep ffn_down "$scratch/override" | grep -v 'Q6_K$' || fail "ffn_down is not Q6_K"
! grep ffn_up "$scratch/override" | grep -v 'Q5_K$' || fail "ffn_up is not Q5_K"
printf 'ffn_down=Q6_K\n\tffn_(down|up)=q5_k\n' > "$scratch/types.txt"
types --tensor-type-file "$scratch/types.txt" --imatrix "$imatrix" "$model" Q4_K_S |
    diff - "$scratch/override" || fail "--tensor-type-file"
types --output-tensor-type Q8_0 "$model" Q4_K_M | grep -q '^token_embd.weight Q8_0$' ||
    fail "--output-tensor-type names the tied head"
types --token-embedding-type f16 "$model" Q4_K_M | grep -q '^token_embd.weight F16$' ||
    fail "--token-embedding-type"
! types --pure "$model" Q4_K_M | grep weight | grep -v norm | grep -v 'Q4_K$' || fail "--pure"
expect_error 1 "nothing_like_it" "$IMATRIX" quantize --tensor-type nothing_like_it=Q6_K "$model" "$scratch/x.gguf" Q4_0
expect_error 1 "ffn_\(" "$IMATRIX" quantize --tensor-type 'ffn_(=Q6_K' "$model" "$scratch/x.gguf" Q4_0
expect_error 1 "'Q9' is not a tensor type" "$IMATRIX" quantize --tensor-type ffn_up=Q9 "$model" "$scratch/x.gguf" Q4_0
expect_error 1 "write REGEX=TYPE" "$IMATRIX" quantize --tensor-type ffn_up "$model" "$scratch/x.gguf" Q4_0

# Statistics: for whom, and what becomes of those without.
with_statistics() { quantize --dry-run --json --imatrix "$imatrix" "$@" "$model" Q4_K_M 2> /dev/null |
    sed -n 's/.*"n_with_statistics": \([0-9]*\).*/\1/p'; }
[ "$(with_statistics --include-weights ffn_down)" -eq 5 ] || fail "--include-weights"
[ "$(with_statistics --exclude-weights ffn_down)" -eq $(($(with_statistics) - 5)) ] || fail "--exclude-weights"
# An imatrix of the first three layers only.
quantize --prune-layers 3,4 "$model" "$scratch/short.gguf" F16 > /dev/null 2>&1
"$IMATRIX" collect -m "$scratch/short.gguf" -f "$calibration" --chunks 2 -c 128 -o "$scratch/short.imatrix" \
    > /dev/null 2>&1
expect_error 1 "blk.3" "$IMATRIX" quantize --imatrix "$scratch/short.imatrix" --missing fail "$model" "$scratch/x.gguf" Q4_0
types --imatrix "$scratch/short.imatrix" --missing Q8_0 "$model" Q4_K_S 2> /dev/null > "$scratch/missing"
grep -q 'blk.3.attn_q.weight Q8_0$' "$scratch/missing" || fail "--missing TYPE"
grep -q 'blk.2.attn_q.weight Q4_K$' "$scratch/missing" || fail "--missing TYPE changes others"
expect_error 1 "nonsense" "$IMATRIX" quantize --missing nonsense "$model" "$scratch/x.gguf" Q4_0

# Keys.
quantize --imatrix "$imatrix" --override-kv 'general.name=str:Another name' "$model" "$scratch/keys.gguf" Q4_0 > /dev/null 2>&1
grep -aq 'Another name' "$scratch/keys.gguf" || fail "--override-kv"
grep -aq 'model.imatrix' "$scratch/keys.gguf" || fail "the imatrix is named"
! grep -aqF "$scratch" "$scratch/keys.gguf" || fail "a path is written into the model"
quantize --imatrix "$imatrix" --hide-imatrix "$model" "$scratch/hidden.gguf" Q4_0 > /dev/null 2>&1
! grep -aq 'model.imatrix' "$scratch/hidden.gguf" || fail "--hide-imatrix"
expect_error 1 "KEY=TYPE:VALUE|general.name" "$IMATRIX" quantize --override-kv general.name "$model" "$scratch/x.gguf" Q4_0
if command -v xxhsum > /dev/null; then
    for file in "$model" "$imatrix"; do
        hash=$(xxhsum -H2 "$file" | cut -d' ' -f1)
        grep -aq "$hash" "$scratch/keys.gguf" || fail "the hash of $file is not in the model"
    done
fi

# Layers left out, and a quantized model as the source.
quantize --prune-layers 1,3 "$model" "$scratch/pruned.gguf" Q8_0 > /dev/null 2>&1
"$IMATRIX" eval -m "$scratch/pruned.gguf" -f "$heldout" -c 64 --chunks 2 > /dev/null 2>&1 || fail "--prune-layers"
types --prune-layers 1,3 "$model" Q8_0 | grep -q 'blk.2' || fail "layers move up"
! types --prune-layers 1,3 "$model" Q8_0 | grep 'blk.3' || fail "layers move up"
expect_error 1 'layer 9' "$IMATRIX" quantize --prune-layers 9 "$model" "$scratch/x.gguf" Q8_0
expect_error 2 'separated by commas' "$IMATRIX" quantize --prune-layers 1,x "$model" "$scratch/x.gguf" Q8_0
expect_error 1 'already quantized' "$IMATRIX" quantize "$scratch/pruned.gguf" "$scratch/again.gguf" Q4_0
quantize --allow-requantize "$scratch/pruned.gguf" "$scratch/again.gguf" Q4_0 > /dev/null 2>&1 ||
    fail "--allow-requantize"

# Shards out and in.
quantize --split-max-size 3M "$model" "$scratch/split.gguf" F16 > /dev/null 2>&1
first=$(ls "$scratch"/split-00001-of-*.gguf)
[ "$(ls "$scratch"/split-*.gguf | wc -l)" -gt 2 ] || fail "--split-max-size"
quantize --imatrix "$imatrix" "$model" "$scratch/whole.gguf" Q4_K_M > /dev/null 2>&1
quantize --imatrix "$imatrix" "$first" "$scratch/joined.gguf" Q4_K_M > /dev/null 2>&1
[ "$(stat -c %s "$scratch/whole.gguf")" -eq "$(stat -c %s "$scratch/joined.gguf")" ] || fail "shards are joined"
quantize --keep-split --imatrix "$imatrix" "$first" "$scratch/kept.gguf" Q4_K_M > /dev/null 2>&1
[ "$(ls "$scratch"/kept-*.gguf | wc -l)" -eq "$(ls "$scratch"/split-*.gguf | wc -l)" ] || fail "--keep-split"
evaluate() { "$IMATRIX" eval -m "$1" -f "$heldout" -c 64 --chunks 2 2> /dev/null | grep -i perplexity; }
[ "$(evaluate "$scratch/whole.gguf")" = "$(evaluate "$scratch"/kept-00002-of-*.gguf)" ] ||
    fail "a sharded model does not evaluate as the whole one"
rm "$scratch"/split-00002-of-*.gguf
expect_error 1 'split-00002-of' "$IMATRIX" quantize "$first" "$scratch/x.gguf" Q4_0

# A run that ran out of disk (here: into a file size limit) goes on where it was, to the same bytes.
quantize --imatrix "$imatrix" "$model" "$scratch/uninterrupted.gguf" Q2_K > /dev/null 2>&1
expect_error 1 'killed.gguf' bash -c 'ulimit -f 1000; exec "$0" "$@"' "$IMATRIX" quantize --imatrix "$imatrix" \
    "$model" "$scratch/killed.gguf" Q2_K
[ ! -e "$scratch/killed.gguf" ] || fail "half a model stands under the final name"
expect_error 1 'killed.gguf.partial' "$IMATRIX" quantize --resume --imatrix "$imatrix" "$model" "$scratch/killed.gguf" Q3_K_M
quantize --resume --imatrix "$imatrix" "$model" "$scratch/killed.gguf" Q2_K > "$scratch/stdout" 2> /dev/null
grep -q 'kept from the interrupted run' "$scratch/stdout" || fail "nothing was kept"
cmp "$scratch/uninterrupted.gguf" "$scratch/killed.gguf"
[ ! -e "$scratch/killed.gguf.partial" ] || fail "the partial file is still there"

# More effort, less error; another weighting, another file.
error_of() { sed -n 's/.*"weighted_error": \([0-9.e-]*\).*/\1/p' | head -1; }
quantize --json --imatrix "$imatrix" --weighting plain "$model" "$scratch/a.gguf" Q4_0 2> /dev/null > "$scratch/default.json"
quantize --json --imatrix "$imatrix" --weighting plain --effort best "$model" "$scratch/b.gguf" Q4_0 2> /dev/null > "$scratch/best.json"
awk -v a="$(error_of < "$scratch/default.json")" -v b="$(error_of < "$scratch/best.json")" 'BEGIN { exit !(b <= a) }' ||
    fail "--effort best is worse"
! cmp -s "$scratch/a.gguf" "$scratch/whole.gguf" || fail "--weighting changes nothing"
echo "the options of quantize do what they say"
