#!/bin/bash
# Checks the checks: each one passes a small clean tree and finds each violation planted in it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d) || exit 2
trap 'rm -rf "$tree" "$tree.out"' EXIT
failures=0 plants=0

clean_tree() {
    rm -rf "${tree:?}"/*
    mkdir -p "$tree"/{proto,kernels/cuda,worker/image,worker/model,worker/task,client,broker}
    cp "$here/../.clang-format" "$tree"
    for header in proto/a kernels/k worker/w worker/image/i worker/model/m client/c; do
        echo '#include <stddef.h>' >"$tree/$header.h"
    done
    echo '#include <cuda_runtime.h>' >"$tree/kernels/cuda/k.cu"
    echo 'message a {}' >"$tree/proto/wire.proto"
    printf '#include "proto/a.h"\n#include "proto/wire.pb-c.h"\n' >"$tree/client/c.c"
}

# passes CHECK: the tree as it is.
passes() {
    "$here/$1" "$tree" >"$tree.out" 2>&1 && return
    echo "$1 refuses a clean tree:"
    cat "$tree.out"
    failures=$((failures + 1))
}

# finds CHECK WORDS FILE TEXT: TEXT planted in FILE makes CHECK fail and say WORDS and the file.
finds() {
    clean_tree
    printf "$4\n" >"$tree/$3"
    plants=$((plants + 1))
    if "$here/$1" "$tree" >"$tree.out" 2>&1; then
        echo "$1 passes, though $3 has: $4"
    elif ! grep -F -- "$2" "$tree.out" | grep -qF -- "$3"; then
        echo "$1 fails for $3 without saying \"$2\":"
        cat "$tree.out"
    else
        return
    fi
    failures=$((failures + 1))
}

# exports TEXT RESULT: a shared library of this source gives that result.
exports() {
    echo "$1" >"$tree/library.c"
    plants=$((plants + 1))
    ${CC:-cc} -shared -fPIC -o "$tree/library.so" "$tree/library.c" || exit 2
    "$here/check_symbols.sh" "$tree/library.so" >"$tree.out" 2>&1
    [ $? = "$2" ] && return
    echo "check_symbols.sh gives another result than $2 for: $1"
    cat "$tree.out"
    failures=$((failures + 1))
}

clean_tree
passes check_includes.sh
finds check_includes.sh 'proto may use proto, not'    proto/b.h          '#include "kernels/k.h"'
finds check_includes.sh 'kernels may use kernels,'    kernels/b.c        '#include "proto/a.h"'
finds check_includes.sh 'kernels may use kernels,'    kernels/cuda/b.cu  '  #  include  "proto/a.h"'
finds check_includes.sh 'client may use'              client/b.c         '#include "worker/w.h"'
finds check_includes.sh 'broker may use'              broker/b.c         '#include "client/c.h"'
finds check_includes.sh 'worker/image may use'        worker/image/b.c   '#include "kernels/k.h"'
finds check_includes.sh 'worker/image may use'        worker/image/b.c   '#include "worker/w.h"'
finds check_includes.sh 'worker/model may use'        worker/model/b.h   '#include "worker/image/i.h"'
finds check_includes.sh 'worker/task may use'         worker/task/b.c    '#include "worker/w.h"'
finds check_includes.sh 'worker may use'              worker/b.c         '#include "client/c.h"'
finds check_includes.sh 'does not exist'              worker/b.c         '#include "w.h"'
finds check_includes.sh 'does not exist'              client/b.c         '#include "proto/gone.h"'
finds check_includes.sh 'does not exist'              client/b.c         '#include "proto/gone.pb-c.h"'
finds check_includes.sh 'source file'                 client/b.c         '#include "client/c.c"'
finds check_includes.sh 'CUDA header'                 worker/b.c         '#include <cuda_runtime.h>'
finds check_includes.sh 'CUDA header'                 kernels/b.h        '#include <cudnn.h>'
finds check_includes.sh 'neither'                     worker/b.c         '#include HEADER'
finds check_includes.sh 'no folder of the table'      b.c                'int b;'

clean_tree
passes check_files.sh
finds check_files.sh 'expected at most 600'           proto/b.sh         "$(seq -s '\n' 601)"
finds check_files.sh 'not as clang-format'            proto/b.c          'int  b;'
finds check_files.sh 'TO''DO'                         proto/b.c          '/* TO''DO */'
finds check_files.sh '/ho''me/me'                     proto/README.md    'see /ho''me/me/notes'
finds check_files.sh '<<<''<<<<'                      proto/b.txt        '<<<''<<<< ours'
clean_tree
{ echo 'void b(void)'; echo '{'; for i in $(seq 61); do echo '    b();'; done; echo '}'; } >"$tree/proto/b.c"
passes check_files.sh
grep -q 'proto/b.c:2: 61 lines' "$tree.out" || { echo "a function of 61 lines is not listed"; failures=$((failures + 1)); }

exports 'int overpaint_a; static int b; int *overpaint_c(void) { return &b; }' 0
exports 'int overpaint_a; int b;' 1
exports 'static int b; static int *c = &b;' 1

echo "check_checks: $plants violations and libraries planted, $failures answered wrongly"
[ "$failures" = 0 ]
