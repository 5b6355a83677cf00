#!/bin/bash
# Checks what nvcc made of the kernels: check_cuda.sh [--write] NVCC ROOT FOLDER
#
# FOLDER has a .log and a .ptx for each kernels/cuda/*.cu (target cuda_kernels). Registers must be
# those of kernels/cuda/registers.txt, which --write makes anew; every generation must have every kernel;
# there must be no atomic operation on floats: their order is not fixed. 77: nothing to look at.
set -u
write=false
[ "${1:-}" = --write ] && write=true && shift
nvcc=${1:-} root=${2:?the source folder is missing} folder=${3:?the build folder is missing}
file=$root/kernels/cuda/registers.txt
violations=0 kernels=0
while IFS= read -r found; do
    echo "$found: only grid.h and ptx.h may ask for __CUDACC__"
    violations=$((violations + 1))
done < <(grep -l __CUDACC__ "$root"/kernels/cuda/*.{h,cu} | grep -vE '/(grid|ptx)\.h$')
if ! [ -x "$nvcc" ] && [ "$violations" = 0 ]; then
    echo "check_cuda: skipped, there is no nvcc"
    exit 77
fi
for source in "$root"/kernels/cuda/*.cu; do
    name=$folder/$(basename "$source" .cu)
    if ! [ -s "$name.log" ] || ! [ -s "$name.ptx" ]; then
        echo "$source: not compiled"
        violations=$((violations + 1))
        continue
    fi
    if grep -nE '(^|[^a-z])(red|atom)[.a-z:]*\.(f16|f32|f64|bf16|f16x2|bf16x2)' "$name.ptx"; then
        echo "$source: atomic operations on floats"
        violations=$((violations + 1))
    fi
done

# "entry function 'NAME'" is followed by "Used N registers".
found=$(cat "$folder"/*.log | awk '
    /Compiling entry function/ { split($0, part, "\047"); name = part[4] == "sm_90a" ? part[2] : "" }
    name && /Used [0-9]+ registers/ { for (i = 1; i < NF; i++) if ($i == "Used") print $(i + 1), name }' |
    c++filt | sed 's/([^()]*)$//; s/ void / /' | LC_ALL=C sort -k2)
kernels=$(grep -c . <<<"$found")
for generation in sm_80 sm_86 sm_89 sm_90a sm_100 sm_120; do
    compiled=$(cat "$folder"/*.log | grep -c "Compiling entry function .* for '$generation'")
    if [ "$compiled" != "$kernels" ]; then
        echo "$generation has $compiled kernels, expected $kernels"
        violations=$((violations + 1))
    fi
done
cat "$folder"/*.log | awk '
    /Compiling entry function/ { split($0, part, "\047"); name = part[2]; generation = part[4] }
    /bytes spill stores/ && !/ 0 bytes spill stores/ { print generation, $0, name }' | c++filt
if ! grep -q 'barrier.cluster' "$folder/norm.ptx"; then
    echo "norm.cu: the PTX for GPUs to come has no clusters, which they are asked for"
    violations=$((violations + 1))
fi
version=$("$nvcc" --version | grep -o 'release [0-9.]*, V[0-9.]*')
if $write; then
    printf '# Registers a thread on sm_90a, %s.\n%s\n' "$version" "$found" >"$file"
elif ! head -n 1 "$file" | grep -qF "$version"; then
    echo "check_cuda: registers not compared, $file is not of $version"
elif ! diff <(tail -n +2 "$file") <(echo "$found"); then
    echo "registers differ from $file"
    violations=$((violations + 1))
fi
echo "check_cuda: $kernels kernels, $violations violations"
[ "$kernels" -gt 0 ] && [ "$violations" = 0 ]
