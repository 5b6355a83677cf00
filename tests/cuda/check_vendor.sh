#!/bin/bash
# Checks that the module's host objects call exactly these functions of the vendor's libraries:
# check_vendor.sh LIST OBJECT... Whatever stands in for the libraries has to have them all.
set -u
list=$1
shift
found=$(nm -u "$@" | awk '$1 == "U" && $2 ~ /^(cuda[A-Z]|cudnn|cublas|nccl|nvml)/ { print $2 }' | LC_ALL=C sort -u)
count=$(wc -w <<<"$found")
[ "$count" -gt 0 ] || { echo "check_vendor: no call of a vendor's library found"; exit 1; }
diff -u "$list" <(echo "$found") || { echo "check_vendor: $list is not what the objects call"; exit 1; }
echo "check_vendor: $count functions"
