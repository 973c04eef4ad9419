#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Bad input gets a clear error, a non-zero exit, and leaves nothing behind and nothing lost.
set -euo pipefail
source "$(dirname "$0")/common.sh"

collect() { "$IMATRIX" collect -m "$model" -f "$calibration" --chunks 4 -c 128 "$@"; }
collect -o "$scratch/good.imatrix" > /dev/null 2>&1
out=$scratch/out.gguf
echo "the old file" > "$out"

# Models that are none, or are cut off.
expect_error 1 'not a GGUF file' "$IMATRIX" quantize "$calibration" "$out" Q4_0
head -c 100000 "$model" > "$scratch/short.gguf"
expect_error 1 'short.gguf: .*(truncated|beyond the end)' "$IMATRIX" quantize "$scratch/short.gguf" "$out" Q4_0
printf 'GGUF\0\0\0\3' > "$scratch/big-endian.gguf"
expect_error 1 'big-endian' "$IMATRIX" quantize "$scratch/big-endian.gguf" "$out" Q4_0
printf 'GGUF\1\0\0\0' > "$scratch/v1.gguf"
expect_error 1 'version 1 is not supported' "$IMATRIX" quantize "$scratch/v1.gguf" "$out" Q4_0
expect_error 1 'is not a regular file' "$IMATRIX" quantize "$scratch" "$out" Q4_0

# Texts.
: > "$scratch/empty.txt"
expect_error 1 'empty.txt: ' "$IMATRIX" collect -m "$model" -f "$scratch/empty.txt" -o "$out"
echo "Too short." > "$scratch/short.txt"
expect_error 1 'short.txt: .*token' "$IMATRIX" eval -m "$model" -f "$scratch/short.txt"

# Imatrix files.
head -c 500 "$scratch/good.imatrix" > "$scratch/cut.imatrix"
expect_error 1 'cut.imatrix' "$IMATRIX" quantize --imatrix "$scratch/cut.imatrix" "$model" "$out" Q4_0
expect_error 1 'calibration.txt' "$IMATRIX" quantize --imatrix "$calibration" "$model" "$out" Q4_0

# The output would be the source, or cannot be written.
cp "$model" "$scratch/source.gguf"
expect_error 1 'is the source model' "$IMATRIX" quantize "$scratch/source.gguf" "$scratch/source.gguf" Q4_0
cmp "$model" "$scratch/source.gguf"
expect_error 1 'no-such-dir' "$IMATRIX" quantize "$model" "$scratch/no-such-dir/x.gguf" Q4_0

# What could not be written is known before the work, not after it.
expect_error 1 'no-such-dir' "$IMATRIX" collect -m "$model" -f "$calibration" -o "$scratch/no-such-dir/x"
! grep -q layers "$scratch/stderr" || fail "the model was run for an output that cannot be written"

# A disk that fills up (here: a file size limit) leaves the old file as it was.
expect_error 1 'out.gguf' bash -c 'ulimit -f 1000; exec "$0" "$@"' "$IMATRIX" quantize "$model" "$out" Q8_0
expect_error 1 'out.gguf' bash -c 'ulimit -f 1; exec "$0" "$@"' "$IMATRIX" collect -m "$model" \
    -f "$calibration" --chunks 2 -o "$out"
[ "$(cat "$out")" = "the old file" ] || fail "a failed run touched the old file"
rm "$out.partial" || fail "a full disk left nothing to resume"

# So does a signal. What has been written stays, for --resume.
for signal in INT TERM; do
    # A background job of a script ignores SIGINT unless it is told otherwise.
    env --default-signal="$signal" "$IMATRIX" quantize --effort best "$model" "$out" Q2_K \
        > /dev/null 2>&1 &
    pid=$!
    while kill -0 "$pid" 2> /dev/null && [ ! -e "$out.partial" ]; do :; done
    kill -s "$signal" "$pid" 2> /dev/null || true
    wait "$pid" && fail "the run ended before SIG$signal could reach it"
    [ "$(cat "$out")" = "the old file" ] || fail "SIG$signal touched the old file"
    [ -e "$out.partial" ] || fail "SIG$signal removed the partial file"
    rm "$out.partial"
done
expect_no_leftovers "$scratch"
echo "bad input is refused, nothing is lost"
