#!/bin/bash
# Checks what the shared client library shows to the world: check_symbols.sh LIBRARY.so
#
# Every defined dynamic symbol begins with overpaint_, and there is at least one.
set -u
library=${1:?the path of the shared library is missing}
symbols=$(nm -D --defined-only --format=posix "$library" | awk '{print $1}') || exit 2
# Some linkers define these in every library.
symbols=$(grep -vxE '_init|_fini|_edata|_end|__bss_start' <<<"$symbols")
ours=$(grep -c '^overpaint_' <<<"$symbols")
foreign=$(grep -v '^overpaint_' <<<"$symbols" | grep .)
[ -z "$foreign" ] || sed "s|^|$library: exports |; s|\$|, expected overpaint_* only|" <<<"$foreign"
echo "check_symbols: $ours symbols overpaint_*, $(grep -c . <<<"$foreign") others"
[ "$ours" -gt 0 ] && [ -z "$foreign" ]
