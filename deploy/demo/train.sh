#!/bin/bash
# The whole recipe: train.sh WORKDIR. Runs the stages in their order, each until its result is there;
# what an earlier run finished is kept, and trainings go on from their checkpoints.
# SIGTERM saves and ends; SIGSTOP and SIGCONT to the process group pause it. PYTHON names the
# interpreter that has what requirements.txt lists.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:?usage: train.sh WORKDIR}"
work=$(cd "$1" && pwd)
exec 9>"$work/lock"
flock -n 9 || { echo "train.sh: another run uses $work" >&2; exit 1; }
echo $$ >"$work/pid"

child=
stop() {
    [ -z "$child" ] || { kill -TERM "$child" 2>/dev/null && wait "$child"; } || true
    exit 143
}
trap stop TERM INT

# stage SCRIPT RESULT
stage() {
    [ ! -e "$work/$2" ] || return 0
    echo "$(date '+%F %T') stage $1" >>"$work/log"
    "${PYTHON:-python3}" "$here/$1.py" "$work" >>"$work/log" 2>&1 9>&- &
    child=$!
    wait "$child"
    child=
}

stage data data.pt
stage autoencoder autoencoder.pt
stage latents latents-96.pt
stage text text.pt
stage diffusion diffusion.pt
stage export demo.safetensors
echo "$(date '+%F %T') done" >>"$work/log"
