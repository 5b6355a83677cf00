#!/bin/bash
# Tests bench/gpu.sh without a GPU: rehearsal.sh BUILD. Some rungs on the emulated GPU must be ok and
# on the page; a device that is not there must fail its rungs, and not keep the next from running.
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=$(mktemp -d) || exit 2
trap 'rm -rf "$out"' EXIT
failures=0

wrong() {
    echo "$1"
    failures=$((failures + 1))
}

# says FILE TEXT
says() {
    grep -qF -- "$2" "$out/$1" || wrong "$1 does not say: $2"
}

"$here/gpu.sh" --rehearse --build "$1" --out "$out/good" --only '^device|clip|models|tuner|^steps$|SDXL|exact|graph' ||
    wrong "a rehearsal fails"
says good/report.md 'A rehearsal on the emulated GPU'
says good/report.md '- gemm_gflops: '
says good/report.md '| unet | '
says good/report.md '| layers of SDXL | self-attention | 2 | 70 | '
says good/report.md '| 5 | tiny networks against golden data: clip | ok |'
says good/report.md '| 8 | tuner | ok |'
says good/report.md '| 9 | steps not tuned, --exact=off | ok |'
says good/results.jsonl ', exact off"'
says good/results.jsonl '"name":"whole jobs, eight at once, --exact=pairs","state":"absent"'
says good/results.jsonl '"name":"PyTorch: graph","state":"absent"'

"$here/gpu.sh" correctness --build "$1" --out "$out/bad" --device cpux:0 --only '^device|rows' &&
    wrong "a device that does not exist passes"
[ "$(grep -c '"state":"failed"' "$out/bad/results.jsonl")" = 3 ] || wrong "not every rung is tried after a failure"
says bad/report.md '--device is "cpux:0"'

"$here/gpu.sh" correctness --build "$1" --out "$out/late" --minutes 0 --only '^device' &&
    wrong "a call without time passes"
says late/results.jsonl '"state":"late"'
[ "$failures" = 0 ]
