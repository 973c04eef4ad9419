# SPDX-License-Identifier: MIT
#
# Sourced by the tests of `imatrix report`, behind common.sh.
# shellcheck shell=bash disable=SC2154

# Makes the folder inputs/ with what every command prints about three small quantizations.
make_report_inputs() {
    local type
    mkdir inputs
    "$IMATRIX" collect -m "$model" -f "$calibration" -c 128 --chunks 8 -o model.imatrix --json > inputs/collect.json
    "$IMATRIX" show model.imatrix --json > inputs/show.json
    "$IMATRIX" inspect "$model" --json > inputs/inspect.json
    "$IMATRIX" check model.imatrix "$model" --json > inputs/check.json
    for type in Q8_0 Q4_K_M Q2_K; do
        "$IMATRIX" quantize --imatrix model.imatrix --json "$model" "model-$type.gguf" "$type" > "inputs/$type.quantize.json"
        "$IMATRIX" eval -m "model-$type.gguf" --base "$model" -f "$heldout" -c 128 --chunks 8 --json > "inputs/$type.eval.json"
    done
    "$IMATRIX" compare "$model" model-*.gguf -f "$heldout" -c 128 --chunks 8 --json > inputs/compare.json
} 2> "$scratch/progress"
