#!/bin/bash
# What bench/gpu.sh needs, in one folder that is small enough to travel: programs and the module of
# the build, the libraries of this system they want (not libc, CUDA or the compiler's), golden data,
# scripts. Models are made there.
#   bench/carry.sh FOLDER [--wheels]
# --wheels: with diffusers and what it wants besides PyTorch's usual company, from the package index,
# for the peers. FOLDER/bench/gpu.sh then runs on any x86-64 Linux that has this system's libc or a
# later one, with CUDA and cuDNN.
set -eu
cd "$(dirname "$0")/.."
to=${1:?usage: bench/carry.sh FOLDER [--wheels]}
most_mib=60
programs="bench_classes bench_device bench_step bench_whole check_bytes check_full kerncheck_device make_model
          overpaint overpaint-broker overpaint-worker process_golden test_clip test_unet test_vae"
packages="diffusers==0.42.1 importlib_metadata==8.7.0 zipp==3.23.0"
theirs='^(ld-linux.*|lib(c|m|dl|rt|pthread|resolv|stdc\+\+|gcc_s)|lib(cud|cublas|nv).*)\.so'

[ -f build/lib/overpaint/overpaint-cuda.so ] || {
    echo "build/lib/overpaint/overpaint-cuda.so is missing: build with CUDA and cuDNN first" >&2
    exit 1
}
mkdir -p "$to"/{bin,lib/overpaint,bench/peers,tests/cuda/devices,golden}
for program in $programs; do
    if [ -x "build/bin/$program" ]; then
        strip -o "$to/bin/$program" "build/bin/$program"
    else
        echo "left out, since it is not in the build: $program"
    fi
done
strip -o "$to/lib/overpaint/overpaint-cuda.so" build/lib/overpaint/overpaint-cuda.so
for file in "$to"/bin/*; do ldd "$file"; done | awk '$3 ~ /^\// { print $3 }' | sort -u |
    while IFS= read -r library; do
        grep -qE "$theirs" <<<"${library##*/}" || cp -L "$library" "$to/lib/"
    done
cp -r tests/golden/. "$to/golden/"
cp -r build/share "$to/"
cp tests/cuda/devices/h200.json "$to/tests/cuda/devices/"
cp bench/gpu.sh bench/gpu_report.py bench/device_description.py bench/missing.sh "$to/bench/"
cp bench/peers/pytorch_gpu.py bench/peers/networks.py "$to/bench/peers/"
git rev-parse --short HEAD >"$to/version.txt"
if [ "${2:-}" = --wheels ]; then
    # shellcheck disable=SC2086
    python3 -m pip download -q --no-deps --only-binary=:all: -d "$to/wheels" $packages
fi
size=$(du -sm "$to" | cut -f1)
echo "$to: $size MiB; there: $to/bench/gpu.sh correctness, speed, peers"
[ "$size" -le "$most_mib" ] || {
    echo "expected at most $most_mib MiB" >&2
    exit 1
}
