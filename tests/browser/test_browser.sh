#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Opens reports in a headless Chromium and looks whether all is drawn. Skipped where node or Chromium is missing.
set -euo pipefail
source "$(dirname "$0")/../cli/common.sh"
source "$(dirname "$0")/../cli/report_inputs.sh"
here=$(cd "$(dirname "$0")" && pwd)
cd "$scratch"

command -v node > /dev/null || skip "node is not installed"
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome) ||
    skip "Chromium is not installed: apt-get install chromium"

make_report_inputs
"$IMATRIX" report -o report.html inputs/*.json > /dev/null
jq '(.. | strings) |= "<script>trapped()</script>\"><img src=x onerror=trapped()>" + .' inputs/show.json > trap.json
"$IMATRIX" report -o trap.html trap.json > /dev/null
node "$here/check_report.mjs" "$chromium" report.html trap.html
