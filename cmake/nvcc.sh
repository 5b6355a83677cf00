#!/bin/bash
# One .cu file to OUT.o (code for each generation since Ampere, PTX for those to come), OUT.ptx (without
# clusters and with them, to look at) and OUT.log (what ptxas says): nvcc.sh NVCC ROOT SOURCE.cu OUT
#
# Spills fail on the generation that the kernels are made for; check_cuda.sh tells those of others. No
# contraction: what is fused is written fmaf, so that the emulation rounds alike. GPUs of major 9 and later are
# asked for clusters (module.c), so what they run must have them: no PTX of compute_80, which they would take
# for lack of better.
set -u
nvcc=$1 root=$2 source=$3 out=$4
flags=(-std=c++17 -O3 --fmad=false "-I$root" -Xcompiler -fPIC,-Wall,-Wno-unknown-pragmas)
generations=(-gencode "arch=compute_90a,code=sm_90a")
for number in 80 86 89 100 120; do
    generations+=(-gencode "arch=compute_$number,code=sm_$number")
done
generations+=(-gencode arch=compute_90,code=compute_90)
if ! "$nvcc" "${flags[@]}" "${generations[@]}" -Xptxas -v -c "$source" -o "$out.o" >"$out.log" 2>&1; then
    grep -vE '^ptxas info' "$out.log"
    exit 1
fi
if ! awk '/Compiling entry function/ { here = /sm_90a/; name = $0 }
    here && / bytes spill stores/ && !/ 0 bytes spill stores/ { print name; print; bad = 1 }
    END { exit bad }' "$out.log"; then
    rm -f "$out.o"
    exit 1
fi
"$nvcc" "${flags[@]}" -ptx -arch=compute_80 "$source" -o "$out.80.ptx" &&
    "$nvcc" "${flags[@]}" -ptx -arch=compute_90 "$source" -o "$out.90.ptx" &&
    cat "$out.80.ptx" "$out.90.ptx" >"$out.ptx"
