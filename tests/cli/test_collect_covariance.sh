#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# collect --covariance: what it adds to the file, and what becomes of it in the other commands.
set -euo pipefail
source "$(dirname "$0")/common.sh"
cd "$scratch"

collect() { "$IMATRIX" collect -m "$model" -f "$calibration" -c 128 "$@" > /dev/null 2> "$scratch/err"; }
products() { "$IMATRIX" show "$1" --json | jq .n_with_products; }

collect --chunks 6 -o plain.imatrix
collect --chunks 6 --covariance -t 1 -o whole.imatrix
collect --chunks 6 --covariance -t 2 -o again.imatrix
cmp whole.imatrix again.imatrix
[ "$(products plain.imatrix)" -eq 0 ] || fail "products nobody asked for"
[ "$(products whole.imatrix)" -eq 35 ] || fail "$(products whole.imatrix) weights have products instead of 35"
"$IMATRIX" show whole.imatrix > shown.txt
grep -q 'products of columns for 35 weights' shown.txt || fail "show: products"

# The rest of the file is as without.
"$IMATRIX" convert whole.imatrix -o whole.dat --output-format dat > /dev/null 2> losses.txt
"$IMATRIX" convert plain.imatrix -o plain.dat --output-format dat > /dev/null 2>&1
cmp whole.dat plain.dat
grep -q '35 weights lose the products of their columns' losses.txt || fail "convert: losses"

# GGUF and back; a merge keeps them where both files have them.
"$IMATRIX" convert whole.imatrix -o whole.gguf --output-format gguf > /dev/null
"$IMATRIX" convert whole.gguf -o back.imatrix > /dev/null
cmp whole.imatrix back.imatrix
"$IMATRIX" merge whole.imatrix again.imatrix -o merged.imatrix > /dev/null 2>&1
[ "$(products merged.imatrix)" -eq 35 ] || fail "merge loses products"
"$IMATRIX" merge whole.imatrix plain.imatrix -o merged.imatrix > /dev/null 2>&1
[ "$(products merged.imatrix)" -eq 0 ] || fail "merge makes up products"

# Killed on its way, the run goes on with what it has; one without products cannot go on from it.
many=(collect -m "$model" -f "$calibration" -c 128 --chunks 96 --checkpoint-interval 0)
"$IMATRIX" "${many[@]}" --covariance -o wanted.imatrix > /dev/null 2>&1
"$IMATRIX" "${many[@]}" --covariance -o resumed.imatrix > /dev/null 2>&1 &
while kill -0 $! 2> /dev/null && [ ! -e resumed.imatrix.partial ]; do sleep 0.01; done
kill -KILL $! 2> /dev/null || fail "the run ended too early to be killed"
wait $! 2> /dev/null || true
expect_error 1 'was left by a run with other options' "$IMATRIX" "${many[@]}" -o resumed.imatrix
"$IMATRIX" "${many[@]}" --covariance -o resumed.imatrix > /dev/null 2> err
grep -q 'resuming after layer' err || fail "does not resume"
cmp wanted.imatrix resumed.imatrix
