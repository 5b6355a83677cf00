#!/bin/sh
# The main job, from nothing: installs what is missing, builds, starts the service, turns a photograph
# into another picture, says where it is, and ends everything.
set -eu
cd "$(dirname "$0")/.."
deploy/packages.sh
mkdir -p build
cmake -B build -G Ninja >build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
cmake --build build

bin=$PWD/build/bin
models=$PWD/build/demo-models
work=$(mktemp -d)
endpoint=ipc://$work/broker
up=
finish() {
    [ -z "$up" ] || { kill "$up" 2>/dev/null && wait "$up" 2>/dev/null; } || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM
mkdir -p "$models"
[ -f "$models/tiny.safetensors" ] || "$bin/make_model" tiny "$models/tiny.safetensors"

"$bin/overpaint" up --endpoint "$endpoint" --models "$models" >"$work/ready" 2>"$work/log" &
up=$!
until grep -q '^ready ' "$work/ready"; do
    kill -0 "$up" 2>/dev/null || { cat "$work/log" >&2; up=; exit 1; }
    sleep 0.1
done
"$bin/overpaint" img2img examples/chelsea.png --output build/picture.png --endpoint "$endpoint" \
    --prompt "a red fox in the snow, oil painting" --steps 8 --width 192 --height 128 --seed 1
echo "The picture is $PWD/build/picture.png"
echo "(Its model, tiny, has generated weights: the picture is noise in the photograph's shapes. Put a"
echo "Stable Diffusion 1.x model into a folder and name it with --models to see real ones.)"
