#!/bin/bash
# One .cu file to OUT.o (sm_90a and PTX of compute_80), OUT.ptx (the latter, to look at) and OUT.log
# (what ptxas says): nvcc.sh NVCC ROOT SOURCE.cu OUT
#
# Spills fail. No contraction: what is fused is written fmaf, so that the emulation rounds alike.
set -u
nvcc=$1 root=$2 source=$3 out=$4
flags=(-std=c++17 -O3 --fmad=false "-I$root" -Xcompiler -fPIC,-Wall,-Wno-unknown-pragmas)
if ! "$nvcc" "${flags[@]}" -gencode arch=compute_90a,code=sm_90a \
    -gencode arch=compute_80,code=compute_80 -Xptxas -v,--warn-on-spills,--warning-as-error \
    -c "$source" -o "$out.o" >"$out.log" 2>&1; then
    grep -vE '^ptxas info' "$out.log"
    exit 1
fi
"$nvcc" "${flags[@]}" -ptx -arch=compute_80 "$source" -o "$out.ptx"
