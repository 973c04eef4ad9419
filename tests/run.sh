#!/usr/bin/env bash
# Installs what is missing, builds, runs every test. Last line: ctest's summary.
#   tests/run.sh [PRESET]     release (default), debug, asan-ubsan
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}
examples/install-dependencies.sh
cmake --preset "$preset"
cmake --build --preset "$preset"
ctest --preset "$preset" --parallel "$(nproc)"
