#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# `imatrix inspect`: the sizes are those of the files that quantize writes, to the byte; what fits is
# chosen by them; every kind of model is told about.
set -euo pipefail
source "$(dirname "$0")/common.sh"
command -v jq > /dev/null || skip "jq is not installed"

inspect() { "$IMATRIX" inspect --json "$@"; }
quantize() { "$IMATRIX" quantize "$@" > /dev/null 2>&1; }
# size_of TYPE OPTIONS...: what inspect says the file would have.
size_of() { inspect "${@:2}" | jq ".types[] | select(.type == \"$1\") | .file_bytes"; }

# Exact sizes, with an imatrix and without: the keys differ, and in Q4_0 and IQ4_XS so does the mix.
# One layer is enough to see it.
small=$scratch/small.gguf
quantize --prune-layers 1,2,3,4 "$model" "$small" COPY
imatrix=$scratch/some-name.imatrix
"$IMATRIX" collect -m "$small" -f "$calibration" --chunks 2 -c 64 -o "$imatrix" > /dev/null 2>&1
for type in Q8_0 Q6_K_L Q4_0 Q2_K IQ4_XS F16 COPY TQ1_0; do
    quantize "$small" "$scratch/without.gguf" $type
    quantize --imatrix "$imatrix" "$small" "$scratch/with.gguf" $type
    [ "$(size_of $type "$small")" -eq "$(stat -c %s "$scratch/without.gguf")" ] || fail "size of $type"
    [ "$(size_of $type --imatrix "$imatrix" "$small")" -eq "$(stat -c %s "$scratch/with.gguf")" ] ||
        fail "size of $type with an imatrix"
done

# What the model is.
inspect "$model" | jq -e '.architecture == "llama" and .n_layers == 5 and .n_embd == 256 and .n_heads == 4 and
    .n_kv_heads == 2 and .n_weights == 4983552 and .tokenizer.n_vocab == 4096 and .file_type == "F16" and
    (.is_quantized | not) and .collect.is_possible and .tokenizer.support.is_possible and
    .missing == null and .tokenizer.chat_template == null and .file_bytes == '"$(stat -c %s "$model")" > /dev/null || fail "what the model is"

quantize --override-kv 'tokenizer.chat_template=str:<|im_start|>x<|im_end|>' --override-kv 'general.file_type=int:19' \
    "$small" "$scratch/chat.gguf" COPY
inspect "$scratch/chat.gguf" | jq -e '.tokenizer.chat_template == "ChatML" and .file_type == "file type 19"' \
    > /dev/null || fail "a chat template, a file type that is no recipe"
LC_ALL=C sed 's/llama.context_length/llama.context_lenght/; s/general.name/general.neam/' "$small" > "$scratch/lacking.gguf"
inspect "$scratch/lacking.gguf" | jq -e '.missing == "general.name, context_length" and .memory.n_ctx == 4096' \
    > /dev/null || fail "what is missing"

# The cache: 5 layers, keys and values of 2 heads of 64 in F16; cells come in 256.
[ "$(inspect -c 1000 "$model" | jq .memory.cache_bytes)" -eq $((1024 * 5 * 2 * 2 * 64 * 2)) ] || fail "the cache"
[ "$(inspect "$model" | jq .memory.n_ctx)" -eq 512 ] || fail "the model's own context"

# What fits: what takes no more than was given. Q4_1 fits too, is larger and loses more.
inspect --fit 15800K "$model" > "$scratch/fit.json"
jq -e '([.types[] | .fits == (.memory_bytes <= 15800000)] | all) and .best == "Q4_K_M" and
    ([.types[] | select(.type == "Q4_1" or .type == "Q4_K_M") | .fits] | all)' "$scratch/fit.json" > /dev/null ||
    fail "--fit 15800K: $(jq .best "$scratch/fit.json")"
[ "$(inspect --fit 1M "$model" | jq .best)" = null ] || fail "nothing fits into 1M"
[ "$(inspect --fit 1G "$model" | jq -r .best)" = COPY ] || fail "what fits as it is, is best"
"$IMATRIX" inspect --fit 15800K "$model" > "$scratch/page"
grep -q '^Best in 15,800,000 bytes .*: Q4_K_M$' "$scratch/page" || fail "the best is not named"
[ "$(grep -c ' best$' "$scratch/page")" -eq 1 ] || fail "the best is not marked"

# Quantized already: said so, and what can be had without quantizing again goes first.
quantize "$small" "$scratch/quantized.gguf" Q4_K_M
inspect --fit 1G "$scratch/quantized.gguf" | jq -e '.is_quantized and .file_type == "Q4_K_M" and .best == "COPY" and
    ([.types[] | select(.type == "Q8_0" or .type == "Q2_K") | .requantizes] | all)' > /dev/null ||
    fail "an already quantized model"
quantize --allow-requantize "$scratch/quantized.gguf" "$scratch/again.gguf" Q2_K
[ "$(size_of Q2_K "$scratch/quantized.gguf")" -eq "$(stat -c %s "$scratch/again.gguf")" ] || fail "quantized again"

# Shards.
quantize --split-max-size 1M "$small" "$scratch/split.gguf" F16
first=$(ls "$scratch"/split-00001-of-*.gguf)
inspect "$first" | jq -e --argjson n "$(ls "$scratch"/split-*.gguf | wc -l)" '.n_files == $n and .n_tensors == 11' \
    > /dev/null || fail "shards"
[ "$(size_of Q4_K_M "$first")" -eq "$(size_of Q4_K_M "$scratch/split-00002-of-"*.gguf)" ] || fail "any shard will do"
quantize "$first" "$scratch/joined.gguf" Q4_K_M
[ "$(size_of Q4_K_M "$first")" -eq "$(stat -c %s "$scratch/joined.gguf")" ] || fail "size of a joined model"

# An architecture that nobody knows: why collect cannot, and sizes all the same.
LC_ALL=C sed 's/llama\./lumma./g; s/\(general.architecture.\{12\}\)llama/\1lumma/' "$small" > "$scratch/unknown.gguf"
inspect "$scratch/unknown.gguf" | jq -e '.architecture == "lumma" and (.collect.is_possible | not) and
    (.collect.error | contains("lumma")) and .quantize.is_possible' > /dev/null || fail "an unknown architecture"
quantize "$scratch/unknown.gguf" "$scratch/unknown-q4.gguf" Q4_K_M
[ "$(size_of Q4_K_M "$scratch/unknown.gguf")" -eq "$(stat -c %s "$scratch/unknown-q4.gguf")" ] ||
    fail "size of an unknown architecture"

# The page is 80 columns wide, whatever it says.
for file in "$model" "$scratch/quantized.gguf" "$scratch/unknown.gguf" ${IMATRIX_SHARED:+"$IMATRIX_SHARED"/archs/*[a-z].gguf}; do
    [ -e "$file" ] || continue
    "$IMATRIX" inspect --fit 16M "$file" | tail -n +2 > "$scratch/page"
    ! grep -E '.{81}| $' "$scratch/page" || fail "$file: a line over 80 columns, or a space at its end"
done

# Bad input.
expect_error 2 'needs one MODEL.gguf, got 0' "$IMATRIX" inspect
expect_error 2 'needs one MODEL.gguf, got 2' "$IMATRIX" inspect "$model" "$model"
expect_error 2 "invalid value '8X' for --fit" "$IMATRIX" inspect --fit 8X "$model"
expect_error 1 'missing.gguf: cannot open' "$IMATRIX" inspect "$scratch/missing.gguf"
expect_error 1 'not a GGUF file' "$IMATRIX" inspect "$calibration"
head -c 100000 "$model" > "$scratch/short.gguf"
expect_error 1 'short.gguf' "$IMATRIX" inspect "$scratch/short.gguf"
expect_error 1 'calibration.txt' "$IMATRIX" inspect --imatrix "$calibration" "$model"
"$IMATRIX" collect -m "$model" -f "$calibration" --chunks 2 -c 64 --output-format gguf -o "$scratch/plain.gguf" > /dev/null 2>&1
expect_error 1 'holds an imatrix, not a model' "$IMATRIX" inspect "$scratch/plain.gguf"
echo "inspect says what is, and what would be"
