#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A calibrated run that is killed or stopped, at any moment and often, goes on with --resume and ends with
# the bytes of one that was not; what another run has left is refused.
set -euo pipefail
source "$(dirname "$0")/common.sh"
command -v python3 > /dev/null || skip "no python3"

dense=$scratch/dense.gguf
"$MAKE_MODEL" --layers 3 --embd 256 --ff 128 --vocab 4096 "$scratch/untokenized.gguf"
python3 "$IMATRIX_SOURCE/tests/bench/lend_tokenizer.py" "$scratch/untokenized.gguf" "$model" "$dense"
mkdir "$scratch/whole" "$scratch/killed"
run=("$IMATRIX" quantize -t 2 --calibrate "$calibration" -c 256 --chunks 3)
mkfifo "$scratch/progress"

# finish_often MOST ARGUMENTS...: SIGKILL after a random number of reports, MOST at most, until a run
# gets through.
RANDOM=7
finish_often() {
    local most=$1
    shift
    n_killed=0
    n_resumed=0
    local status=1
    while [ "$status" -ne 0 ]; do
        local n_lines=$((RANDOM % most + 1)) line
        status=0
        "${run[@]}" --checkpoint-interval 0 --json-progress --resume "$@" > /dev/null 2> "$scratch/progress" &
        local pid=$!
        while read -r line; do
            n_lines=$((n_lines - 1))
            case $line in *'"resumes":true'*) n_resumed=$((n_resumed + 1)) ;; esac
            [ "$n_lines" -ne 0 ] || kill -KILL "$pid" 2> /dev/null || true
        done < "$scratch/progress"
        wait "$pid" 2> /dev/null || status=$?
        [ "$status" -eq 0 ] || n_killed=$((n_killed + 1))
        [ "$n_killed" -lt 100 ] || fail "100 runs did not get through"
    done
    [ "$n_killed" -ge 2 ] && [ "$n_resumed" -ge 1 ] || fail "only $n_killed killed and $n_resumed resumed"
}

"${run[@]}" --types Q2_K,Q4_0 -o "$scratch/whole" "$dense" > /dev/null 2>&1
finish_often 50 --types Q2_K,Q4_0 -o "$scratch/killed" "$dense"
diff -r "$scratch/whole" "$scratch/killed" || fail "resuming changes bytes or leaves files behind"

"${run[@]}" --inputs quantized --process-output "$dense" "$scratch/whole/inputs.gguf" Q2_K > /dev/null 2>&1
finish_often 40 --inputs quantized --process-output "$dense" "$scratch/killed/inputs.gguf" Q2_K
diff -r "$scratch/whole" "$scratch/killed" || fail "--inputs quantized: resuming changes bytes"

# A signal: the run ends soon and dies of it, and says where its checkpoint is.
out=$scratch/out.gguf
: > "$scratch/stopped.err"
"${run[@]}" --checkpoint-interval 0 "$dense" "$out" Q2_K > /dev/null 2>> "$scratch/stopped.err" &
pid=$!
while kill -0 "$pid" 2> /dev/null && [ ! -e "$out.calibration" ]; do sleep 0.01; done
kill -TERM "$pid" 2> /dev/null || true
status=0
wait "$pid" || status=$?
[ "$status" -eq 143 ] || fail "SIGTERM: exit status $status"
grep -q 'out.gguf.calibration the run can be resumed' "$scratch/stopped.err" || fail "SIGTERM: $(< "$scratch/stopped.err")"

# Others are refused, and nothing is touched; without --resume they begin anew.
sum=$(cat "$out.calibration" "$out.partial" | cksum)
refused() { expect_error 1 "$1" "${run[@]}" --resume "${@:2}"; }
refused 'other options.*--resume' --inputs quantized "$dense" "$out" Q2_K
refused 'another text.*--resume' --chunks 4 "$dense" "$out" Q2_K
refused 'another job' --tensor-type ffn_up=Q4_K "$dense" "$out" Q2_K
[ "$(cat "$out.calibration" "$out.partial" | cksum)" = "$sum" ] || fail "a refused run has written"
"${run[@]}" --tensor-type ffn_up=Q4_K "$dense" "$out" Q2_K > /dev/null 2>&1
[ ! -e "$out.calibration" ] && [ ! -e "$out.partial" ] || fail "a finished run leaves files behind"
"${run[@]}" --tensor-type ffn_up=Q4_K "$dense" "$scratch/anew.gguf" Q2_K > /dev/null 2>&1
cmp "$out" "$scratch/anew.gguf" || fail "what another run had left is in the file"

# Files that another run has begun anew are not taken for what this one has left.
kill_at() { # CHECKPOINT ARGUMENTS...: where a run is over before it is killed, another one follows
    while :; do
        "${run[@]}" --checkpoint-interval 0 "${@:2}" > /dev/null 2>&1 &
        pid=$!
        while kill -0 "$pid" 2> /dev/null && [ ! -e "$1" ]; do sleep 0.01; done
        kill -KILL "$pid" 2> /dev/null || true
        wait "$pid" 2> /dev/null || true
        [ ! -e "$1" ] || return 0
    done
}
kill_at "$scratch/two/dense-Q2_K.gguf.calibration" --types Q2_K,Q4_0 -o "$scratch/two" "$dense"
kill_at "$scratch/two/dense-Q4_0.gguf.calibration" --types Q4_0 -o "$scratch/two" "$dense"
refused 'other files or options' --types Q2_K,Q4_0 -o "$scratch/two" "$dense"
