#!/bin/sh
# What comments and pages point to is there: docs/... pages, and files by their room ("model/batch.h") or from the root
# ("src/model/batch.h", "include/evenhand/core.h"). A word in capitals stands for any name (task_NAME.c).
#
#     references.sh REPOSITORY   check src/, include/, examples/, bench/, cmake/, docs/ and README.md
#     references.sh --selftest   plant references in a tree of its own and see that each is caught
set -eu
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)

# check REPOSITORY
check() {
    rooms=$(cd "$1/src" && printf '%s\n' */ | sed 's,/$,,' | paste -sd '|')
    pattern="(docs/[A-Za-z0-9_/-]+\.md|(src/|tests/|examples/|bench/|include/)?($rooms|unit|golden|fault|fuzz|cli|evenhand)/[A-Za-z0-9_]+\.(c|h|sh))"
    (cd "$1" && grep -rnoE "(^|[^A-Za-z0-9_/.])$pattern" src include examples bench cmake docs README.md 2>"$work/errors") |
        sed -E 's,^([^:]*:[0-9]+):[^A-Za-z0-9_]?,\1 ,' >"$work/found" || true
    [ -s "$work/found" ] || {
        cat "$work/errors" >&2
        echo "no reference found in $1" >&2
        return 1
    }
    n=0 wrong=0
    while read -r at path; do
        n=$((n + 1))
        case $path in *[A-Z][A-Z][A-Z]*.c | *[A-Z][A-Z][A-Z]*.h) continue ;; esac
        for place in "$path" "src/$path" "include/$path" "tests/$path"; do
            [ ! -e "$1/$place" ] || continue 2
        done
        echo "$at: $path is not there"
        wrong=$((wrong + 1))
    done <"$work/found"
    echo "$n references read, $wrong wrong"
    [ $wrong = 0 ]
}

selftest() {
    tree=$work/tree
    mkdir -p "$tree/src/base" "$tree/include/evenhand" "$tree/examples" "$tree/bench" "$tree/cmake" "$tree/docs/methods"
    echo '/* base/b.h has more, docs/methods/m.md the formula, src/base/b.h the same */' >"$tree/src/base/a.c"
    echo '/* evenhand/core.h */' >"$tree/src/base/b.h"
    : >"$tree/include/evenhand/core.h"
    echo 'A page: `base/NAME.c`, `base/a.c`, a name like x/base/gone.c of other people, <https://x.y/docs/gone.md>.' \
        >"$tree/docs/methods/m.md"
    echo 'See docs/methods/m.md.' >"$tree/README.md"
    check "$tree" >"$work/out" || {
        cat "$work/out"
        echo 'a tree without a wrong reference failed'
        return 1
    }
    for wrong in 'src/base/a.c|/* base/gone.h */' 'src/base/a.c|/* docs/gone.md */' 'README.md|`src/base/gone.c`' \
        'docs/methods/m.md|(evenhand/gone.h)' 'include/evenhand/core.h|/* docs/methods/gone.md */'; do
        file=${wrong%%|*}
        cp "$tree/$file" "$work/kept"
        printf '%s\n' "${wrong#*|}" >>"$tree/$file"
        if check "$tree" >"$work/out"; then
            echo "not caught: $wrong"
            return 1
        fi
        grep -q "^$file:[0-9]*: .*gone\.[a-z]* is not there" "$work/out" || {
            cat "$work/out"
            return 1
        }
        cp "$work/kept" "$tree/$file"
    done
    echo 'every planted reference was caught'
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case ${1:-} in
--selftest) selftest ;;
'')
    sed -n '5,6s/^# *//p' "$here/references.sh" >&2
    exit 2
    ;;
*) check "$1" ;;
esac
