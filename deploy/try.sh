#!/bin/sh
# The main job, from nothing: installs what is missing, builds, starts the service with the demo model, turns
# a rough sketch into a picture, repaints a part of it, enlarges both and a photograph, says where they are,
# and ends everything.
set -eu
cd "$(dirname "$0")/.."
deploy/packages.sh
mkdir -p build
cmake -B build -G Ninja >build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
cmake --build build

bin=$PWD/build/bin
work=$(mktemp -d)
endpoint=ipc://$work/broker
up=
finish() {
    [ -z "$up" ] || { kill "$up" 2>/dev/null && wait "$up" 2>/dev/null; } || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

"$bin/overpaint" up --demo --endpoint "$endpoint" >"$work/ready" 2>"$work/log" &
up=$!
until grep -q '^ready ' "$work/ready"; do
    kill -0 "$up" 2>/dev/null || { cat "$work/log" >&2; up=; exit 1; }
    sleep 0.1
done
export OVERPAINT_ENDPOINT=$endpoint
as="--width 64 --height 64 --cfg-scale 3 --seed 2"
# shellcheck disable=SC2086
"$bin/overpaint" img2img examples/sketch.png --output "$work/fox.png" $as --sampler "DPM++ 2M Karras" \
    --denoising-strength 0.85 --prompt "a fox on a blue background"
# shellcheck disable=SC2086
"$bin/overpaint" inpaint "$work/fox.png" --mask examples/sketch-mask.png --output "$work/panda.png" $as \
    --sampler "DPM++ 2M Karras" --denoising-strength 1 --prompt "a panda on a blue background"
for name in fox panda; do
    "$bin/overpaint" upscale "$work/$name.png" --upscaler Lanczos --scale 4 --output "build/$name.png"
done
"$bin/overpaint" upscale examples/chelsea.png --upscaler animevideov3-x4 --scale 2 \
    --output build/enlarged.png
echo "The pictures are $PWD/build/fox.png (from examples/sketch.png), panda.png (its middle repainted) and"
echo "enlarged.png. Their model, deploy/demo, is small and knows emoji only: put a Stable Diffusion 1.x model into"
echo "a folder and name it with --models to see others."
