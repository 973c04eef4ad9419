#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A collection that is killed or stopped, at any moment and often, goes on and ends with the bytes of
# one that was not; a foreign or damaged checkpoint is refused; short memory changes nothing.
set -euo pipefail
source "$(dirname "$0")/common.sh"

out=$scratch/out.imatrix
args=(-m "$model" --chunks 16 -c 512 -t 2 --process-output) # four blocks a layer
collect() { "$IMATRIX" collect "${args[@]}" -f "$calibration" "$@"; }
collect -o "$scratch/whole.imatrix" > "$scratch/whole.txt" 2> "$scratch/whole.err"
grep -qE 'takes up to [0-9.]+ MiB of memory' "$scratch/whole.err" || fail "the peak is not told"
[ "$(grep -c '^layers' "$scratch/whole.err")" -ge 5 ] || fail "no line for each layer"
[ ! -e "$scratch/whole.imatrix.partial" ] || fail "the run left its checkpoint behind"

# The peak that was told holds. An instrumented build has its own memory besides.
if [ -x /usr/bin/time ] && [ "${IMATRIX_SANITIZED:-}" != yes ]; then
    /usr/bin/time -f '{"peak_kib": %M}' "$IMATRIX" collect "${args[@]}" -f "$calibration" --ppl --json-progress \
        -o "$scratch/peak.imatrix" > /dev/null 2> "$scratch/peak.err"
    jq -es '.[-1].peak_kib * 1024 <= .[0].memory_bytes' "$scratch/peak.err" > /dev/null ||
        fail "more memory than was told: $(sed -n '1p;$p' "$scratch/peak.err")"
fi

# SIGKILL after a random number of blocks, again and again, until a run gets through.
RANDOM=4
n_killed=0
mkfifo "$scratch/progress"
while [ ! -e "$out" ]; do
    n_lines=$((RANDOM % 9 + 1))
    "$IMATRIX" collect "${args[@]}" -f "$calibration" --checkpoint-interval 0 --json-progress -o "$out" \
        > /dev/null 2> "$scratch/progress" &
    pid=$!
    while read -r _; do
        n_lines=$((n_lines - 1))
        [ "$n_lines" -ne 0 ] || kill -KILL "$pid" 2> /dev/null || true
    done < "$scratch/progress"
    wait "$pid" 2> /dev/null || n_killed=$((n_killed + 1))
    [ "$n_killed" -lt 200 ] || fail "200 runs did not get through"
done
[ "$n_killed" -ge 2 ] || fail "only $n_killed runs were killed"
cmp "$out" "$scratch/whole.imatrix"
[ ! -e "$out.partial" ] || fail "the run left its checkpoint behind"

# A signal: the run ends soon, dies of it, and has written a checkpoint.
for signal in INT TERM; do
    rm -f "$out"
    : > "$scratch/stopped.err"
    # A background job of a script ignores SIGINT unless it is told otherwise.
    env --default-signal="$signal" "$IMATRIX" collect "${args[@]}" -f "$calibration" -o "$out" \
        > /dev/null 2>> "$scratch/stopped.err" &
    pid=$!
    while kill -0 "$pid" 2> /dev/null && ! grep -q '^layers' "$scratch/stopped.err"; do sleep 0.01; done
    kill -s "$signal" "$pid" 2> /dev/null || true
    status=0
    wait "$pid" || status=$?
    [ "$status" -eq $((128 + $(kill -l "$signal"))) ] || fail "SIG$signal: exit status $status"
    grep -q 'the same command goes on from there' "$scratch/stopped.err" || fail "SIG$signal: no word of the checkpoint"
    [ -e "$out.partial" ] || fail "SIG$signal left no checkpoint"
    if [ "$signal" = INT ]; then
        collect -o "$out" > /dev/null 2> "$scratch/resumed.err"
        grep -q 'resuming after layer' "$scratch/resumed.err" || fail "it was not resumed"
        cmp "$out" "$scratch/whole.imatrix"
    fi
done

# The checkpoint of SIGTERM stays: other options and damage are refused, nothing is touched.
cp "$out.partial" "$scratch/kept.partial"
expect_error 1 'other options.*--restart' collect --ppl -o "$out"
expect_error 1 'another text.*--restart' "$IMATRIX" collect "${args[@]}" -f "$heldout" -o "$out"
printf 'damage' | dd of="$out.partial" bs=1 seek=100000 conv=notrunc status=none
expect_error 1 'damaged.*--restart' collect -o "$out"
[ -e "$out.partial" ] && [ ! -e "$out" ] || fail "a damaged checkpoint was used or removed"
collect --restart -o "$out" > /dev/null 2> "$scratch/restarted.err"
! grep -q resuming "$scratch/restarted.err" || fail "--restart resumed"
cmp "$out" "$scratch/whole.imatrix"
[ ! -e "$out.partial" ] || fail "--restart left the checkpoint behind"

# A disk that fills up (here: a file size limit) is an error and keeps the last checkpoint.
cp "$scratch/kept.partial" "$out.partial"
rm "$out"
expect_error 1 'out.imatrix.partial' bash -c 'ulimit -f 1000; exec "$0" "$@"' "$IMATRIX" collect "${args[@]}" \
    -f "$calibration" --checkpoint-interval 0 -o "$out"
cmp "$out.partial" "$scratch/kept.partial"
[ ! -e "$out.partial.partial" ] || fail "half a checkpoint was left behind"

# It goes on with other threads and other memory, to the same bytes.
mv "$scratch/kept.partial" "$out.partial"
collect -t 1 --json-progress -o "$out" > /dev/null 2> "$scratch/json.err"
cmp "$out" "$scratch/whole.imatrix"
jq -es '.[0].phase == "start" and .[0].resumes and .[0].memory_bytes > 0 and .[1].phase == "layers" and
        .[1].part_total == 16 and .[-1].work_done == .[-1].work_total' "$scratch/json.err" > /dev/null ||
    fail "the progress is not as documented: $(< "$scratch/json.err")"

# Memory that is too short names what is needed; a little more lets the disk help, to the same bytes.
expect_error 1 'needs [0-9]+ MB of memory where 10 MB' collect --memory 10M -o "$out"
need=$(grep -oE 'needs [0-9]+' "$scratch/stderr" | grep -oE '[0-9]+')
rm "$out"
collect --memory $((need + 3))M -o "$out" > /dev/null 2> "$scratch/short.err"
grep -q 'of disk' "$scratch/short.err" || fail "no scratch file was used: $(< "$scratch/short.err")"
cmp "$out" "$scratch/whole.imatrix"

# Devices have no checkpoints.
collect --output-format gguf --checkpoint-interval 0 -o /dev/null > /dev/null 2>&1
[ ! -e /dev/null.partial ] || fail "a checkpoint beside a device"
expect_no_leftovers "$scratch"
! compgen -G "$scratch/*.partial*" > /dev/null || fail "left behind: $(ls "$scratch")"
echo "no run is lost ($n_killed killed)"
