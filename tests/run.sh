#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Installs what is missing, builds, runs every test, and counts them in the last line.
#   tests/run.sh [PRESET]     release (default), debug, asan-ubsan
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}

examples/install-dependencies.sh
if command -v npm > /dev/null && [ ! -d tests/client/node_modules/node-llama-cpp ]; then
    # The client test is skipped when this does not work.
    npm install --prefix tests/client --omit=optional --ignore-scripts --no-audit --no-fund \
        > /dev/null 2>&1 || echo "node-llama-cpp could not be installed" >&2
fi
cmake --preset "$preset"
cmake --build --preset "$preset"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Several tests at a time share the processors: waiting threads should sleep, not spin.
export OMP_WAIT_POLICY=passive
status=0
ctest --preset "$preset" --parallel "$(nproc)" | tee "$log" || status=$?

count() { grep -cE "^ *[0-9]+/[0-9]+ Test +#[0-9]+: $1" "$log" || true; }
n_passed=$(count '.* Passed ')
n_skipped=$(count '.*\*\*\*Skipped')
echo "$n_passed passed, $(($(count '.*') - n_passed - n_skipped)) failed, $n_skipped skipped"
exit "$status"
