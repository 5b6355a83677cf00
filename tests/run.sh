#!/bin/bash
# Every test: the sources' own checks, unit and process tests, the same under ASan+UBSan and TSan, and each
# fuzz target for a while. Installs what is missing. The last line counts: N passed, N failed, N skipped.
#   tests/run.sh [--quick]     --quick: without sanitizers and fuzzing
set -u
cd "$(dirname "$0")/.."
deploy/packages.sh --tests || exit 1
fuzz_seconds=${FUZZ_SECONDS:-30}
jobs=$(nproc)
launcher=""
command -v ccache >/dev/null && launcher=-DCMAKE_C_COMPILER_LAUNCHER=ccache
passed=0 failed=0 skipped=0

# build FOLDER OPTION...: configures and builds; a failure counts as a failed test.
build() {
    local folder=$1
    shift
    echo "== build $folder"
    if cmake -B "$folder" -G Ninja $launcher "$@" >"$folder.log" 2>&1 &&
        cmake --build "$folder" -j "$jobs" >>"$folder.log" 2>&1; then
        rm -f "$folder.log"
        return 0
    fi
    tail -n 40 "$folder.log"
    failed=$((failed + 1))
    return 1
}

# run FOLDER CTEST-OPTION...: runs the tests of a build and adds up what they say.
run() {
    local folder=$1 report
    shift
    echo "== test $folder"
    report=$(mktemp)
    ctest --test-dir "$folder" -j "$jobs" --output-on-failure --no-tests=error "$@" | tee "$report"
    local status=${PIPESTATUS[0]}
    local p s f
    p=$(grep -cE '^ *[0-9]+/[0-9]+ Test .* Passed ' "$report")
    s=$(grep -cE '^ *[0-9]+/[0-9]+ Test .*\*\*\*Skipped' "$report")
    f=$(grep -cE '^ *[0-9]+/[0-9]+ Test .*\*\*\*' "$report")
    f=$((f - s))
    [ "$status" -ne 0 ] && [ "$f" -eq 0 ] && f=1
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    rm -f "$report"
}

# fuzz FOLDER: every target for a while, as many at a time as there are processors.
fuzz() {
    local folder=$1 target log
    echo "== fuzz $folder, $fuzz_seconds s each"
    log=$(mktemp -d)
    for target in "$folder"/bin/fuzz_*; do echo "$target"; done |
        xargs -P "$jobs" -I{} sh -c 'n=$(basename {}); mkdir -p '"$log"'/$n.corpus
            if {} -max_total_time='"$fuzz_seconds"' -rss_limit_mb=4096 -timeout=20 -print_final_stats=1 \
                -artifact_prefix='"$log"'/ '"$log"'/$n.corpus >'"$log"'/$n.log 2>&1
            then echo pass >'"$log"'/$n.ok; fi'
    for target in "$folder"/bin/fuzz_*; do
        local name
        name=$(basename "$target")
        if [ -f "$log/$name.ok" ]; then
            echo "$name: $(grep -o 'number_of_executed_units: [0-9]*' "$log/$name.log")"
            passed=$((passed + 1))
        else
            echo "$name: FAILED"
            tail -n 30 "$log/$name.log"
            failed=$((failed + 1))
        fi
    done
    rm -rf "$log"
}

# Every cuDNN plan of every model, and every golden picture on an emulated GPU, take long and have labels of their own:
# ctest -L plans, ctest -L emulated.
build build && run build -LE 'plans|emulated'
if [ "${1:-}" != --quick ]; then
    build build-asan -DOVERPAINT_SANITIZE=address && run build-asan -LE 'full|sources|slow'
    build build-tsan -DOVERPAINT_SANITIZE=thread && run build-tsan -L threads
    build build-fuzz -DOVERPAINT_FUZZ=ON -DCMAKE_C_COMPILER=clang && fuzz build-fuzz
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
