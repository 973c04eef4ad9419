#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The layering law: which rooms each room may include. Fails on the first include that breaks it.
set -euo pipefail
cd "$IMATRIX_SOURCE"

# check DIR DEPTH ALLOWED: files in DIR include, of the project's own headers, only paths that match.
check() {
    local broken
    broken=$(find "$1" -maxdepth "$2" -name '*.[ch]' -print0 |
        xargs -0 grep -nHE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' |
        grep -vE "\"($3)" || true)
    if [ -n "$broken" ]; then
        echo "FAIL: $1 may only include $3, but:"
        echo "$broken"
        exit 1
    fi
}

check formats 9 'formats/'
check kernels 9 'kernels/|formats/'
check calib 9 'calib/|kernels/|formats/'
check quant 9 'quant/|kernels/|formats/'
check imatrix 1 'imatrix/[a-z_]*\.h|calib/|quant/|kernels/|formats/'
check imatrix/cli 9 'imatrix/imatrix\.h|imatrix/cli/'

# Rooms reach each other by quoted paths only, so nothing hides behind <...>.
if grep -rnE '#[[:space:]]*include[[:space:]]*<(formats|kernels|calib|quant|imatrix)/' formats kernels calib quant imatrix; then
    echo "FAIL: project headers are included with quotes"
    exit 1
fi

# File names are unique across the tree.
twice=$(find formats kernels calib quant imatrix -name '*.[ch]' -printf '%f\n' | sort | uniq -d)
if [ -n "$twice" ]; then
    echo "FAIL: file names used twice: $twice"
    exit 1
fi
echo "layering holds"
