#!/bin/bash
# PyTorch and Overpaint, one network and picture size, taking turns. See README.md here.
#   bench/peers/compare_upscale.sh PYTHON [ROUNDS] [WIDTH HEIGHT]
set -eu
cd "$(dirname "$0")/../.."
python=${1:-python3} rounds=${2:-3} width=${3:-640} height=${4:-427}
threads=$(nproc)
model=deploy/models/animevideov3-x4.safetensors
for round in $(seq "$rounds"); do
    OMP_WAIT_POLICY=passive "$python" bench/peers/pytorch_upscale.py "$model" "$width" "$height" "$threads" 1
    build/bin/bench_upscale --model "$model" --width "$width" --height "$height" --threads "$threads" --repeat 1
done | "$python" -c '
import json, sys
best = {}
for line in sys.stdin:
    r = json.loads(line)
    for key in ("whole_ms", "whole_cpu_ms", "tiles_ms", "tiles_cpu_ms"):
        best[r["program"], key] = min(best.get((r["program"], key), 1e30), r[key])
peer = next(who for who, _ in best if who.startswith("PyTorch"))
for (who, key), ms in best.items(): print(f"{who:24} {key:14} {ms:9.1f} ms   {best[peer, key] / ms:5.2f} x")
'
