#!/bin/bash
# Everything that a GPU must show, in three calls of at most nine minutes each, on any machine with
# CUDA and cuDNN (toolkit or pip wheels); nothing is fetched, and the programs need libc and what
# bench/carry.sh puts beside them.
#
#   bench/gpu.sh correctness|speed|peers|all [--out FOLDER] [--device cuda:0] [--minutes 9]
#                [--only PATTERN] [--build FOLDER] [--rehearse]
#
# In one command where the project was built: bench/gpu.sh all. Elsewhere: bench/carry.sh FOLDER
# here, then FOLDER/bench/gpu.sh all there. Every rung has a time limit, and one that fails does not
# keep the next from running. The folder (default: $OUT, else gpu-results) gets
#   results.jsonl  a line as soon as there is something to say (bench/results/README.md)
#   log.txt        all that was printed
#   device.json    cuDNN's description of the GPU
#   report.md      what came of it, from results.jsonl by bench/gpu_report.py
# --only: rungs whose names match. --rehearse: the same rungs with small models on the emulated GPU
# of the tests: no figure of it says anything. PYTHON names a Python with PyTorch and diffusers.
# Ends with 0 when rungs ran and none failed or was late; those that something is missing for are
# listed.
set -u
ulimit -c 0
root=$(cd "$(dirname "$0")/.." && pwd)
out=${OUT:-gpu-results} build=$root/build device=cuda:0 minutes=9 only=. rehearse=false call=""
python=${PYTHON:-python3}

usage() {
    sed -n '6,7s/^# *//p' "$0" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    correctness | speed | peers | all) call=$1 ;;
    --out) out=${2:?} && shift ;;
    --device) device=${2:?} && shift ;;
    --minutes) minutes=${2:?} && shift ;;
    --build) build=${2:?} && shift ;;
    --only) only=${2:?} && shift ;;
    --rehearse) rehearse=true ;;
    *) usage ;;
    esac
    shift
done
[ -n "$call" ] || { $rehearse && call=all; } || usage

# A carried build has its programs here, others in the build folder.
if [ -x "$root/bin/bench_step" ]; then
    home=$root golden=$root/golden
else
    home=$build golden=$root/tests/golden
fi
# Models and plans stay for the next call on this machine; those of a rehearsal do not.
work=${TMPDIR:-/tmp}/overpaint-gpu-$(id -u)
if $rehearse; then
    work=$(mktemp -d) || exit 2
    trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$out" "$work/models" "$work/cache/overpaint" || exit 2
results=$out/results.jsonl log=$out/log.txt last=$work/last.txt

# Folders of pip wheels that have libraries of CUDA.
wheels() {
    "$python" - 2>/dev/null <<'PYTHON'
import glob, os, sys
names = "libcudnn.so.*", "libcublasLt.so.*", "libnvrtc.so.*", "libnccl.so.*"
found = [os.path.dirname(f) for base in sys.path for folder in ("nvidia/*/lib", "nvidia/lib")
         for name in names for f in sorted(glob.glob(os.path.join(base, folder, name)))]
print(":".join(dict.fromkeys(found)))
PYTHON
}

if $rehearse; then
    device=cuemu:0 arch=tiny side=64 latents=8 rows=1,2 repeat=1 steps=1 moves="--gemm 64 --bytes 1M"
    warm=1 peer_device=cpu
    reports=$work/reports.txt
    : >"$reports"
    export OVERPAINT_VENDOR_REPORTS=$reports
else
    arch=sd15 side=512 latents=64 rows=2,1,4,8,16 repeat=200 steps=20,30,50 moves="" warm=20
    peer_device=cuda:${device##*:}
fi
model=$work/models/$arch.safetensors
vendor=$(wheels):/usr/local/cuda/lib64
libraries=$home/lib:$vendor
export OVERPAINT_GOLDEN=$golden OVERPAINT_MODELS=$work/models OVERPAINT_PROGRAMS=$home/bin XDG_CACHE_HOME=$work/cache
export OVERPAINT_BACKEND=${device%%:*} PYTHONUNBUFFERED=1
cache=$work/cache/overpaint # where the worker has it, too

# ---- rungs

quote() { # text as a JSON string
    tr -d '\000-\010\013-\037' | sed 's/[\\"]/\\&/g; s/\t/ /g' | awk '{ printf "%s%s", sep, $0; sep = "\\n" }'
}

end() { # NUMBER NAME STATE SECONDS STATUS TEXT
    printf '{"rung":%s,"name":"%s","state":"%s","seconds":%s,"status":%s,"says":"%s"}\n' \
        "$1" "$2" "$3" "$4" "$5" "$(quote <<<"$6")" >>"$results"
    printf '%-9s %2s %-32s %4s s\n' "$3" "$1" "$2" "$4" | tee -a "$log"
    case $3 in
    ok) good=$((good + 1)) ;;
    failed | slow | late) bad=$((bad + 1)) ;;
    esac
}

# rung NUMBER NAME SECONDS PROGRAM ARGUMENT...: lines of its output that begin with { are results.
# PROGRAM is one of the project unless it has a slash. Exit status 77: what it needs is not there.
rung() {
    local number=$1 name=$2 limit=$3 program=$4 left=$((deadline - SECONDS)) began=$SECONDS status
    shift 4
    grep -qE -- "$only" <<<"$name" || return
    if [[ $program != */* ]]; then
        [ -x "$home/bin/$program" ] || {
            end "$number" "$name" absent 0 0 "there is no $program in this build"
            return
        }
        set -- env "LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" "$home/bin/$program" "$@"
    else
        set -- "$program" "$@"
    fi
    if [ "$left" -lt 5 ]; then
        end "$number" "$name" late 0 0 "no time was left in this call"
        return
    fi
    [ "$limit" -le "$left" ] || limit=$left
    printf '{"rung":%s,"name":"%s","state":"begun"}\n' "$number" "$name" >>"$results"
    echo "== $number $name: $*" >>"$log"
    timeout -k 5 "$limit" "$@" 2>&1 | tee -a "$log" "$last.new" | grep --line-buffered '^{' >>"$results"
    status=${PIPESTATUS[0]}
    mv "$last.new" "$last"
    local text state
    text=$(grep -v '^{' "$last" | tail -n 12)
    case $status in
    0) state=ok ;;
    77) state=absent ;;
    124 | 137) state=slow ;;
    *) state=failed ;;
    esac
    end "$number" "$name" "$state" $((SECONDS - began)) "$status" "$text"
}

# Not in a rehearsal, which says why.
for_real() { # REASON rung...
    local reason=$1
    shift
    if ! $rehearse; then
        "$@"
    elif grep -qE -- "$only" <<<"$3"; then
        end "$2" "$3" absent 0 0 "not in a rehearsal: $reason"
    fi
}

found() { # the path of a tool, or of what says that it is missing
    command -v "$1" || command -v "/usr/local/cuda/bin/$1" || echo "$root/bench/missing.sh"
}

make_models() {
    rung 0 "models: $arch by formula" 180 make_model "$arch" "$model"
}

ours() { # NAME ROWS REPEAT SECONDS
    # shellcheck disable=SC2086
    rung 9 "$1" "$4" bench_step --device "$device" --model "$model" --width "$side" --height "$side" \
        --rows "$2" --repeat "$3" --cache "$cache" $gemm --json
}

correctness() {
    for_real "there is no driver" rung 0 "driver" 30 "$(found nvidia-smi)" --format=csv \
        --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem,power.limit,temperature.gpu
    for_real "it is a file of the tests" rung 0 "description of the GPU" 60 \
        /usr/bin/env "LD_LIBRARY_PATH=$vendor" "$python" "$root/bench/device_description.py" "$out/device.json"
    # shellcheck disable=SC2086
    rung 0 "device" 120 bench_device --device "$device" $moves --json
    rung 1 "kernels, small shapes" 150 kerncheck_device --device "$device"
    for_real "a minute of emulation each" rung 2 "kernels, shapes of SD 1.5" 240 \
        kerncheck_device --device "$device" --real
    for network in clip vae unet; do
        rung 5 "tiny networks against golden data: $network" 120 "test_$network"
    done
    make_models
    for_real "sd15 takes hours there" rung 5 "SD 1.5 against golden data" 180 check_full --device "$device"
    for_real "it takes hours there" rung 5 "golden pictures by the real programs" 150 process_golden
    rung 6 "bytes: op by op, recorded, rows (tiny)" 180 check_bytes --device "$device" --rows "$tiny_rows" \
        --cache "$cache"
    for_real "sd15 takes hours there" rung 7 "bytes: op by op, recorded, rows (SD 1.5)" 240 \
        check_bytes --device "$device" --arch "$arch" --side "$latents" --rows 1,2,4,8,16 --cache "$cache"
    for tool in memcheck racecheck; do
        for_real "it is for GPUs" rung 1 "compute-sanitizer: $tool" 90 "$(found compute-sanitizer)" \
            --tool "$tool" --error-exitcode 99 \
            /usr/bin/env "LD_LIBRARY_PATH=$libraries" "$home/bin/kerncheck_device" --device "$device" --rounds 1
    done
}

tune() {
    if [ -x "$home/bin/overpaint-worker" ] &&
        LD_LIBRARY_PATH=$libraries "$home/bin/overpaint-worker" --help 2>&1 | grep -q -- '--tune '; then
        rung 8 tuner 280 overpaint-worker --tune --device "$device" --models "$work/models" --model "$arch" \
            --tune-seconds "$tune_seconds" --tune-sizes "${side}x$side"
    elif grep -qE -- "$only" <<<tuner; then
        end 8 tuner absent 0 0 "this overpaint-worker has no --tune, or does not start"
    fi
}

speed() {
    make_models
    ours "steps before tuning" "${rows%%,*}" "$repeat" 120
    tune
    # shellcheck disable=SC2086
    rung 9 "device" 60 bench_device --device "$device" $moves --json
    ours "steps" "$rows" "$repeat" 200
    # shellcheck disable=SC2086
    rung 9 "classes of kernels: $arch" 60 bench_classes --device "$device" --model "$model" \
        --width "$side" --height "$side" --rows 2 --repeat "$class_repeat" $moves --cache "$cache"
    # shellcheck disable=SC2086
    rung 9 "classes of kernels: layers of SDXL" 60 bench_classes --device "$device" --sdxl $small --rows 2 \
        --repeat "$class_repeat" $moves --cache "$cache"
    rung 9 "whole jobs, one at a time" 150 bench_whole --device "$device" --arch "$arch" --side "$side" \
        --steps "$steps" --repeat "$jobs_repeat" --cache "$cache"
    exactness
}

# What same bytes cost: kernels by rule for all numbers of rows, and for each of them, nothing tuned;
# and whole jobs that share no UNet call, or share it with kernels for each number of rows.
exactness() {
    local mode
    for mode in on off; do
        # shellcheck disable=SC2086
        rung 9 "steps not tuned, --exact=$mode" 120 bench_step --device "$device" --model "$model" \
            --width "$side" --height "$side" --rows "$rows" --repeat "$repeat" --cache "$work/untuned" $gemm \
            --exact "$mode" --json
    done
    for mode in on pairs off; do
        for_real "one at a time is enough" rung 9 "whole jobs, eight at once, --exact=$mode" 90 \
            bench_whole --device "$device" --arch "$arch" --side "$side" --steps "${steps%%,*}" --jobs 8 \
            --repeat 5 --cache "$cache" --exact "$mode"
    done
}

# Ours, theirs, ours again: what lies between ours and ours is noise.
peers() {
    make_models
    if ls "$root"/wheels/*.whl >/dev/null 2>&1; then
        rung 10 "packages that were carried" 60 "$(found "$python")" -m pip install -q --no-index --no-deps \
            --no-compile --no-cache-dir --upgrade --target "$work/site" "$root"/wheels/*.whl
        export PYTHONPATH=$work/site${PYTHONPATH:+:$PYTHONPATH}
    fi
    ours "ours, first" "$rows" "$repeat" 90
    for mode in eager channels_last graph compile; do
        peer_rows=$rows
        [ "$mode" != compile ] || peer_rows=${rows%%,*},16,8 # minutes each
        rung 10 "PyTorch: $mode" 300 "$(found "$python")" \
            "$root/bench/peers/pytorch_gpu.py" "$model" --arch "$arch" --side "$side" --mode "$mode" \
            --device "$peer_device" --rows "$peer_rows" --repeat "$repeat" --warm-up "$warm"
    done
    ours "ours, again" "$rows" "$repeat" 90
}

# What the stand-ins of a rehearsal have to say about how they were used.
rules() {
    $rehearse || return
    if [ -s "$reports" ]; then
        end 10 "rules of the stand-ins" failed 0 1 "$(sort "$reports" | uniq -c | head -n 12)"
    else
        end 10 "rules of the stand-ins" ok 0 0 "none was broken"
    fi
}

run_call() {
    deadline=$((SECONDS + minutes * 60 - 10))
    printf '{"call":"%s","at":"%s","version":"%s","device":"%s","rehearsal":%s}\n' "$1" \
        "$(date -u +%FT%TZ)" "$(cat "$root/version.txt" 2>/dev/null || git -C "$root" rev-parse --short HEAD)" \
        "$device" "$rehearse" >>"$results"
    "$1"
}

good=0 bad=0 tiny_rows=1,2,4,8,16 tune_seconds=240 jobs_repeat=20 class_repeat=20 gemm="" small=""
$rehearse && tiny_rows=1,2 tune_seconds=5 jobs_repeat=1 class_repeat=1 gemm="--gemm 64" small=--small
: >"$last.new"
if [ "$call" = all ]; then
    for each in correctness speed peers; do run_call $each; done
else
    run_call "$call"
fi
rules
"$python" "$root/bench/gpu_report.py" "$results" >"$out/report.md" || bad=$((bad + 1))
echo "$good rungs ok, $bad not; see $out/report.md"
[ "$bad" = 0 ] && [ "$good" -gt 0 ]
