#!/bin/sh
# The main job, from nothing: installs what is missing, builds, starts the service, turns a photograph
# into another picture, repaints a part of it, enlarges it, says where the pictures are, and ends everything.
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
export OVERPAINT_ENDPOINT=$endpoint
"$bin/overpaint" img2img examples/chelsea.png --output build/picture.png \
    --prompt "a red fox in the snow, oil painting" --steps 8 --width 192 --height 128 --seed 1
"$bin/overpaint" inpaint examples/chelsea.png --mask examples/chelsea-mask.png --output build/inpainted.png \
    --inpaint-area only-masked --width 128 --height 128 --prompt "glasses" --steps 8 --seed 1
"$bin/overpaint" upscale examples/chelsea.png --upscaler animevideov3-x4 --scale 2 \
    --output build/enlarged.png
echo "The pictures are $PWD/build/picture.png, inpainted.png and enlarged.png."
echo "(Their model, tiny, has generated weights: what it paints is noise, all of picture.png and the"
echo "glasses of inpainted.png, whose rest is the photograph untouched. Put a Stable Diffusion 1.x model"
echo "into a folder and name it with --models to see real ones. enlarged.png is made by a real network.)"
