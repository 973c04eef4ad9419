#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The public header compiles alone, as C99, C17 and C++, with nothing but itself on the include path.
set -euo pipefail
source "$(dirname "$0")/common.sh"

mkdir -p "$scratch/include/imatrix"
cp "$IMATRIX_SOURCE/imatrix/imatrix.h" "$scratch/include/imatrix/"
echo '#include <imatrix/imatrix.h>' > "$scratch/alone.c"
strict=(-Wall -Wextra -Werror -Wpedantic -fsyntax-only -I "$scratch/include")
"${CC:-cc}" -std=c99 "${strict[@]}" "$scratch/alone.c"
"${CC:-cc}" -std=c17 "${strict[@]}" "$scratch/alone.c"
if command -v c++ > /dev/null; then
    c++ -std=c++17 -x c++ "${strict[@]}" "$scratch/alone.c"
fi
echo "the public header stands alone"
