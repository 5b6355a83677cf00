#!/bin/sh
# Installs what building and testing Overpaint needs on Debian 12, where it is missing.
#   deploy/packages.sh [--tests]
set -eu
packages="gcc libc6-dev cmake ninja-build pkg-config protobuf-c-compiler libprotobuf-c-dev libzmq3-dev
    libdnnl-dev libpng-dev zlib1g-dev libjpeg62-turbo-dev libwebp-dev liblcms2-dev libutf8proc-dev
    libjansson-dev libcmocka-dev"
tests="clang libclang-rt-14-dev llvm clang-format git"
[ "${1:-}" = --tests ] && packages="$packages $tests"

missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0
echo "installing:$missing"
sudo=""
[ "$(id -u)" = 0 ] || sudo=sudo
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
