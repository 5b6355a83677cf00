#!/bin/sh
# Lays a trained model here, in parts below 25 MB that the build joins: split.sh WORKDIR/demo.safetensors
set -eu
here=$(cd "$(dirname "$0")" && pwd)
rm -f "$here"/overpaint-demo.safetensors.[1-9]
split --bytes=20000000 --numeric-suffixes=1 --suffix-length=1 "$1" "$here/overpaint-demo.safetensors."
