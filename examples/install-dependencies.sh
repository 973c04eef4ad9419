#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Installs the packages the build needs, where one is missing. Debian and Ubuntu; elsewhere CMake names
# what is missing.
set -euo pipefail

packages=(gcc cmake ninja-build pkg-config zstd libzstd-dev libxxhash-dev libpcre2-dev libjansson-dev
    libdnnl-dev libcmocka-dev jq)

if ! command -v dpkg-query > /dev/null; then
    exit 0
fi
missing=()
for package in "${packages[@]}"; do
    if ! dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null | grep -qx installed; then
        missing+=("$package")
    fi
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
echo "Installing: ${missing[*]}" >&2
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
fi
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" > /dev/null
