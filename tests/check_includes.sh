#!/bin/bash
# Checks the direction of the dependencies: check_includes.sh [ROOT]
#
# Every quoted include is written from the root, exists, is no .c file and stands in a folder that
# the including file's folder may use. CUDA headers are for kernels/cuda and its stand-ins only. The
# table says who may use whom; the longest matching folder counts; a folder without a row is a violation.
set -u
cd "${1:-$(dirname "$0")/..}" || exit 2

find . \( -name .git -o -path './build*' \) -prune -o \
    -type f \( -name '*.c' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' \) -print |
    sed 's|^\./||' | LC_ALL=C sort | awk '
BEGIN {
    uses["proto"]         = "proto"
    uses["kernels"]       = "kernels"
    uses["worker/image"]  = "worker/image proto"
    uses["worker/sample"] = "worker/sample proto"
    uses["worker/model"]  = "worker/model kernels proto"
    uses["worker/task"]   = "worker/task worker/image worker/model worker/sample kernels proto"
    uses["worker"]        = "worker kernels proto"
    uses["broker"]        = "broker proto"
    uses["client"]        = "client proto"
    uses["tests"]         = "tests worker broker client kernels proto"
    uses["bench"]         = "bench tests worker broker client kernels proto"
    cuda = "^(cuda|cudnn|cublas|cufft|curand|nccl|nvrtc|nvml|nvtx|nvToolsExt|cooperative_groups|mma\\.h|device_launch_parameters|driver_types)"
}

function inside(path, folder) { return index(path, folder "/") == 1 }

function wrong(text) {
    printf "%s:%d: %s\n", file, line, text
    violations++
}

# The longest folder of the table that holds the path.
function part_of(path,    folder, best) {
    best = ""
    for (folder in uses)
        if (inside(path, folder) && length(folder) > length(best))
            best = folder
    return best
}

function exists(path,    ignored, found) {
    sub(/\.pb-c\.h$/, ".proto", path) # compiled from it when building
    found = (getline ignored < path) >= 0
    close(path)
    return found
}

function check_quoted(name,    part, count, list, i) {
    part = part_of(file)
    if (name ~ /\.c$/)
        wrong("includes the source file " name)
    if (!exists(name)) {
        wrong("\"" name "\" does not exist; includes are written from the root")
        return
    }
    count = split(uses[part], list, " ")
    for (i = 1; i <= count; i++)
        if (inside(name, list[i]))
            return
    wrong(part " may use " uses[part] ", not \"" name "\"")
}

function check_line(text,    name) {
    sub(/^[ \t]*#[ \t]*include[ \t]*/, "", text)
    includes++
    if (text !~ /^("[^"]+"|<[^>]+>)/) {
        wrong("#include of neither \"file\" nor <file>")
        return
    }
    name = substr(text, 2)
    sub(/[">].*/, "", name)
    if (name ~ cuda && !inside(file, "kernels/cuda") && !inside(file, "tests/vendor"))
        wrong("CUDA header " name " outside kernels/cuda and tests/vendor")
    else if (text ~ /^"/)
        check_quoted(name)
}

{
    file = $0
    line = 0
    files++
    if (part_of(file) == "")
        wrong("stands in no folder of the table")
    while ((getline text < file) > 0) {
        line++
        if (text ~ /^[ \t]*#[ \t]*include/)
            check_line(text)
    }
    close(file)
}

END {
    printf "check_includes: %d files, %d includes, %d violations\n", files, includes, violations
    exit !(files && includes && !violations)
}'
