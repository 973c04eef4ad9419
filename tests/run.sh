#!/usr/bin/env bash
# Installs what is missing, builds, runs every test. Last line: ctest's summary.
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
ctest --preset "$preset" --parallel "$(nproc)"
