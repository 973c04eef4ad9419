# SPDX-License-Identifier: MIT
#
# Sourced by the command-line tests: the model and texts the repository ships, a scratch folder that goes
# away, and a few checks. Needs IMATRIX (the program) and IMATRIX_SOURCE (the repository).
# shellcheck shell=bash disable=SC2034

model=$IMATRIX_SOURCE/examples/model/manuals-5M-f16.gguf
calibration=$IMATRIX_SOURCE/examples/text/calibration.txt
heldout=$IMATRIX_SOURCE/examples/text/heldout.txt
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

skip() {
    echo "skipped: $1"
    exit 77
}

fail() {
    echo "FAIL: $1" >&2
    exit 1
}

# expect_error STATUS PATTERN COMMAND...: the command fails with this status and a matching message.
expect_error() {
    local status=$1 pattern=$2
    shift 2
    local actual=0
    "$@" > "$scratch/stdout" 2> "$scratch/stderr" || actual=$?
    [ "$actual" -eq "$status" ] || fail "$*: exit status $actual instead of $status: $(< "$scratch/stderr")"
    grep -qE "$pattern" "$scratch/stderr" ||
        fail "$*: no match for '$pattern' in: $(< "$scratch/stderr")"
}

# expect_no_leftovers DIR: no temporary file of an atomic write is left there.
expect_no_leftovers() {
    local left
    left=$(find "$1" -name '.*.tmp' -o -name '*.tmp')
    [ -z "$left" ] || fail "left behind: $left"
}
