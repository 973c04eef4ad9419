#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Every benchmark at a toy size: that they run and say something, not what they say.
set -euo pipefail
# shellcheck source=tests/cli/common.sh
. "$IMATRIX_SOURCE/tests/cli/common.sh"
command -v python3 > /dev/null || skip "no python3"
bench=$IMATRIX_SOURCE/tests/bench

"$BENCH_ENCODERS" --rows 1 --cols 256 --repeats 1 --effort all --isa all --json > "$scratch/encoders"
grep -q '"type": "Q4_K", "effort": "best", "isa": "plain"' "$scratch/encoders" ||
    fail "bench_encoders has no line for Q4_K: $(< "$scratch/encoders")"

"$MAKE_MODEL" --layers 1 --embd 256 --ff 512 --vocab 64 --experts 4 --type bf16 \
    --imatrix "$scratch/imatrix.gguf" "$scratch/model.gguf"
"$BENCH_ENCODERS" --model "$scratch/model.gguf" --imatrix "$scratch/imatrix.gguf" --tensor ffn_up \
    --types Q4_0 --rows 8 --repeats 1 | grep -q '^Q4_0 ' || fail "no line for a real matrix"
"$bench/bench_quantize.py" --program "$IMATRIX" --model "$scratch/model.gguf" --turns 1 \
    --imatrix "$scratch/imatrix.gguf" --work "$scratch" Q4_K_M | grep -q '^| Q4_K_M ' ||
    fail "bench_quantize.py has no row"

"$bench/bench_tokenizer.py" --program "$BENCH_TOKENIZER" --text "$heldout" --megabytes 0.01 --turns 1 \
    "$model" | grep -q '^| manuals' || fail "bench_tokenizer.py has no row"

"$BENCH_PRODUCTS" --rows 16 --threads 1 > "$scratch/products"
grep -qE '^f32 +2048 x 2048' "$scratch/products" || fail "bench_products has no line: $(< "$scratch/products")"
"$bench/bench_collect.py" --program "$IMATRIX" --make-model "$MAKE_MODEL" --vocab "$model" --text "$heldout" \
    --shape "--embd 256 --kv 64 --ff 512 --vocab 4096" --layers 1 --chunks 1 --turns 1 --work "$scratch" bf16 |
    grep -q '^| bf16 | ' || fail "bench_collect.py has no row"

"$bench/digits.py" --program "$IMATRIX" --model "$scratch/model.gguf" --imatrix "$scratch/imatrix.gguf" \
    --work "$scratch/digits" > "$scratch/digits.md"
grep -q '^| 3 | ' "$scratch/digits.md" || fail "digits.py has no row: $(< "$scratch/digits.md")"

# archs.py beside itself: our program in the places of llama.cpp's, whose seven more words it cannot read.
mkdir "$scratch/llama"
fake() {
    printf '#!/usr/bin/env bash\nexec %q %s\n' "$IMATRIX" "$2" > "$scratch/llama/$1"
    chmod +x "$scratch/llama/$1"
}
fake llama-imatrix 'collect --output-format gguf --drop-tail --precision exact "${@:1:$#-7}"'
fake llama-quantize 'quantize "$@"'
fake llama-perplexity 'eval --json "${@:1:$#-7}" | sed -n "s/.*\"value\": /Final estimate: PPL = /p"'
"$bench/archs.py" --program "$IMATRIX" --llama "$scratch/llama" --work "$scratch/archs" --types Q4_K_M \
    --ctx-size 32 --chunks 2 "$scratch/model.gguf" > "$scratch/archs.md"
grep -q '^| llama | 1 | .* | none |$' "$scratch/archs.md" || fail "archs.py disagrees: $(< "$scratch/archs.md")"

head -c 8000 "$heldout" > "$scratch/text"
"$bench/quality.py" --program "$IMATRIX" --model "$model" --text "$scratch/text" --chunks 1 \
    --work "$scratch" --variant 'ours=' --variant 'plain=--weighting plain' Q4_0 > "$scratch/quality"
grep -qE '^\| Q4_0 \| [0-9]+ \| 0\.0[0-9]+ ±' "$scratch/quality" ||
    fail "quality.py has no row: $(< "$scratch/quality")"
