#!/bin/bash
# Checks the files themselves: check_files.sh [ROOT]
#
# No source file over 600 lines; every .c and .h as clang-format writes it; no note to oneself, no
# path of a developer's machine, no leftover of a merge. Functions over 60 lines are listed, but pass:
# a forward pass or a table may be longer.
set -u
cd "${1:-$(dirname "$0")/..}" || exit 2
violations=0

wrong() {
    echo "$1"
    violations=$((violations + 1))
}

list() {
    find . \( -name .git -o -path './build*' -o -path ./models -o -path ./tests/golden \
        -o -path ./worker/model/clip_vocabulary \) -prune -o -type f \( "$@" \) -print |
        sed 's|^\./||' | LC_ALL=C sort
}

mapfile -t c_files < <(list -name '*.c' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh')
mapfile -t sources < <(list -name '*.c' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' \
    -o -name '*.sh' -o -name '*.py' -o -name '*.js' -o -name '*.cmake' -o -name CMakeLists.txt \
    -o -name '*.proto')
mapfile -t all < <(list -true)
[ ${#c_files[@]} -gt 0 ] || wrong "no source files in $PWD"

for file in "${sources[@]}"; do
    lines=$(wc -l <"$file")
    [ "$lines" -le 600 ] || wrong "$file: $lines lines, expected at most 600"
done

# In this style only a function's braces stand alone in the first column.
long=$(awk '/^\{$/ { start = FNR }
            /^\}$/ && start { if (FNR - start > 61) print FILENAME ":" start ": " FNR - start - 1 " lines"
                              start = 0 }' "${c_files[@]}" /dev/null)
[ -z "$long" ] || sed 's|^|note: function over 60 lines: |' <<<"$long"

format=${CLANG_FORMAT:-clang-format}
if command -v "$format" >/dev/null; then
    while IFS= read -r file; do
        wrong "$file: not as $format writes it"
    done < <([ ${#c_files[@]} = 0 ] || printf '%s\0' "${c_files[@]}" |
             xargs -0 -P 2 -n 40 "$format" --dry-run -Werror 2>&1 |
             sed -nE 's/^([^:]+):[0-9]+:[0-9]+: error: .*/\1/p' | sort -u)
else
    wrong "$format is not installed (CLANG_FORMAT names another)"
fi

# The brackets keep this script from finding itself.
words='(^|[^A-Za-z])(TO[D]O|FIX[M]E|XX[X])([^A-Za-z]|$)'
paths='(^|[^A-Za-z0-9_.~-])/(home|root|Users|work|farm)/'
merge='^(<{7}|>{7}|[|]{7})( |$)'
while IFS= read -r hit; do
    wrong "$hit"
done < <(grep -IHnE "$words|$paths|$merge" "${all[@]}" /dev/null)

echo "check_files: ${#all[@]} files, ${#c_files[@]} of them C, $violations violations"
[ "$violations" = 0 ]
