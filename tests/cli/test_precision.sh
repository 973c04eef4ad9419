#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# --precision: the default is one of the two, which are close and not the same, and the file says which;
# a run of one does not go on from a checkpoint of the other.
set -euo pipefail
source "$(dirname "$0")/common.sh"

collect() { "$IMATRIX" collect -m "$model" -f "$calibration" --chunks 8 -t 2 "$@" > /dev/null 2> "$scratch/err"; }
for precision in exact fast; do
    collect --precision "$precision" -o "$scratch/$precision"
done
collect -o "$scratch/default"
for precision in exact fast default; do
    "$IMATRIX" show "$scratch/$precision" --json > "$scratch/$precision.json"
done
default=$(jq -r .precision "$scratch/default.json")
cmp "$scratch/$default" "$scratch/default"
[ "$(jq -r .precision "$scratch/exact.json") $(jq -r .precision "$scratch/fast.json")" = "exact fast" ] ||
    fail "the files do not say how they were made"
! cmp -s "$scratch/fast" "$scratch/exact" || fail "fast and exact are the same"
"$IMATRIX" diff "$scratch/exact" "$scratch/fast" --json > "$scratch/diff"
jq -e '.least.cosine > 0.99999' "$scratch/diff" > /dev/null || fail "fast is far from exact: $(< "$scratch/diff")"
expect_error 2 'exact.*fast' "$IMATRIX" collect -m "$model" -f "$calibration" --precision half -o "$scratch/none"

# Stopped after the first block, the run leaves a checkpoint.
: > "$scratch/progress"
env --default-signal=INT "$IMATRIX" collect -m "$model" -f "$calibration" --chunks 24 -t 2 --precision exact \
    --json-progress -o "$scratch/stopped" > /dev/null 2> "$scratch/progress" &
pid=$!
while kill -0 "$pid" 2> /dev/null && ! grep -q '"layers"' "$scratch/progress"; do sleep 0.01; done
kill -s INT "$pid" 2> /dev/null || true
wait "$pid" || true
[ -e "$scratch/stopped.partial" ] || fail "no checkpoint"
expect_error 1 'other options.*--restart' "$IMATRIX" collect -m "$model" -f "$calibration" --chunks 24 --precision fast \
    -o "$scratch/stopped"
