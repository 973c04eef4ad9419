#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Installs what is missing, builds, calibrates the example model on a text of its domain, quantizes it with
# and without the imatrix, and shows what each file has lost on text that neither the model nor the
# calibration has seen.
#
#   examples/quickstart.sh [OUTPUT_DIR]        default: out/quickstart
#
# For a model of your own:
#   MODEL=my-f16.gguf CALIBRATION=my-domain.txt HELDOUT=other.txt examples/quickstart.sh
set -euo pipefail

call_dir=$PWD
cd "$(dirname "$0")/.."
root=$PWD
from_call_dir() { (cd "$call_dir" && realpath -m "$1"); }

out=$root/out/quickstart
if [ $# -gt 0 ]; then
    out=$(from_call_dir "$1")
fi
model=$root/examples/model/manuals-5M-f16.gguf
calibration=$root/examples/text/calibration.txt
heldout=$root/examples/text/heldout.txt
if [ -n "${MODEL:-}" ]; then
    model=$(from_call_dir "$MODEL")
fi
if [ -n "${CALIBRATION:-}" ]; then
    calibration=$(from_call_dir "$CALIBRATION")
fi
if [ -n "${HELDOUT:-}" ]; then
    heldout=$(from_call_dir "$HELDOUT")
fi
# Threads that wait should sleep, not spin: on a busy machine that is several times faster.
export OMP_WAIT_POLICY=passive
types=(Q8_0 Q6_K Q5_K_M Q4_K_M Q3_K_M Q2_K)

say() { printf '\n== %s\n' "$1"; }

say "Installing what is missing and building"
examples/install-dependencies.sh
cmake --preset release -DIMATRIX_TESTS=OFF -B build-quickstart > /dev/null
cmake --build build-quickstart > build-quickstart/build.log 2>&1 || {
    tail -n 40 build-quickstart/build.log >&2
    exit 1
}
imatrix=$root/build-quickstart/bin/imatrix
mkdir -p "$out"
rm -f "$out"/*.plan.json "$out"/*.eval.json

say "Collecting statistics of $(basename "$model") on $(basename "$calibration")"
"$imatrix" collect -m "$model" -f "$calibration" -o "$out/model.imatrix"

# quantize_and_measure TYPE GUIDE OPTIONS...: one line of the table. GUIDE is what the options bring.
quantize_and_measure() {
    local type=$1 guide=$2 name=$1-$2
    shift 2
    local file=$out/model-$name.gguf
    "$imatrix" quantize "$@" --json "$model" "$file" "$type" > "$out/$name.plan.json" 2> "$out/log"
    "$imatrix" eval -m "$file" --base "$model" -f "$heldout" --json > "$out/$name.eval.json" 2> "$out/log"
    jq -rs --arg type "$type" --arg guide "$guide" --arg bytes "$(stat -c %s "$file")" '
        (.[0].bits_per_weight * 100 | round / 100) as $bits | .[1] |
        [$type, $guide, $bytes, $bits,
         .perplexity.value, .perplexity.error, .kl_mean.value, .kl_mean.error,
         100 * .top1.value] | @tsv' "$out/$name.plan.json" "$out/$name.eval.json" |
        awk -F '\t' '{ printf "%-8s %-8s %9d %6.2f  %8.3f ± %.3f  %.6f ± %.6f  %6.2f\n",
                       $1, $2, $3, $4, $5, $6, $7, $8, $9 }'
}

say "Quantizing and measuring on $(basename "$heldout")"
"$imatrix" eval -m "$model" -f "$heldout" --json 2> "$out/log" |
    jq -r '"perplexity of the original: \(.perplexity.value * 1000 | round / 1000) ± \(.perplexity.error * 1000 | round / 1000)"'
printf '\n%-8s %-8s %9s %6s  %-16s  %-19s  %6s\n' \
    type guide bytes bits perplexity "KL divergence" "top-1 %"
for type in "${types[@]}"; do
    quantize_and_measure "$type" none
    quantize_and_measure "$type" imatrix --imatrix "$out/model.imatrix"
    case $type in
    Q[234]*) quantize_and_measure "$type" text --calibrate "$calibration" ;;
    esac
done | tee "$out/table.txt"

say "Drawing a report of it all"
results=("$out/show.json" "$out/check.json" "$out/inspect.json")
for plan in "$out"/*.plan.json; do
    results+=("$plan" "${plan%.plan.json}.eval.json")
done
"$imatrix" show "$out/model.imatrix" --json > "$out/show.json"
"$imatrix" check "$out/model.imatrix" "$model" --json > "$out/check.json" || true # the report says what is wrong
"$imatrix" inspect "$model" --json > "$out/inspect.json"
"$imatrix" report -o "$out/report.html" "${results[@]}"

cat << END

The report is $out/report.html: open it in a browser.
The files are in $out; any of them runs in llama.cpp, Ollama, LM Studio and the like.

With a model of your own (F16, BF16 or F32 GGUF) and a text of its domain:

  $imatrix collect -m MODEL-f16.gguf -f TEXT -o MODEL.imatrix
  $imatrix quantize --imatrix MODEL.imatrix MODEL-f16.gguf MODEL-Q4_K_M.gguf Q4_K_M
  $imatrix quantize --calibrate TEXT MODEL-f16.gguf MODEL-Q4_K_M.gguf Q4_K_M         # slower, half the loss
  $imatrix eval -m MODEL-Q4_K_M.gguf --base MODEL-f16.gguf -f OTHER_TEXT
END
