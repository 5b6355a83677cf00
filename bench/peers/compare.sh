#!/bin/bash
# PyTorch + diffusers and Overpaint in one run: the same weights, threads and calls. See README.md here.
#   bench/peers/compare.sh PYTHON [ROUNDS] [WIDTH HEIGHT]
set -eu
cd "$(dirname "$0")/../.."
python=${1:-python3} rounds=${2:-2} width=${3:-512} height=${4:-512}
threads=$(nproc)
model=build/models/sd15.safetensors
mkdir -p build/models
[ -f "$model" ] || build/bin/make_model sd15 "$model"
ours() { build/bin/bench_step --device cpu --model "$model" --width "$width" --height "$height" --batch 1 \
    --threads "$threads" --json "$@"; }
for round in $(seq "$rounds"); do
    echo "round $round"
    "$python" bench/peers/pytorch_step.py "$model" "$width" "$height" "$threads" 1
    for budget in 6.5G 13G; do
        echo "budget $budget"
        ours --memory-budget "$budget"
    done
done | tee build/compare.log | "$python" -c '
import json, sys
best, budget = {}, ""
for line in sys.stdin:
    if line.startswith("budget"): budget = line.split()[1]
    if not line.startswith("{") or "text_ms" not in line: continue
    r = json.loads(line); who = r.get("program") or "Overpaint in " + budget
    for key in ("text_ms", "unet_step_ms", "vae_encode_ms", "vae_decode_ms"):
        best[who, key] = min(best.get((who, key), 1e30), r[key])
peer = next(who for who, _ in best if who.startswith("PyTorch"))
for (who, key), ms in best.items(): print(f"{who:24} {key:14} {ms:9.1f} ms   {best[peer, key] / ms:5.2f} x")
'
