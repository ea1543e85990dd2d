#!/bin/sh
# No line is wider than 120 columns: src/, include/ and the C of tests/.
#
#     columns.sh REPOSITORY   check the tree
#     columns.sh --selftest   plant wide lines in a tree of its own and see that each is caught
set -eu
export LC_ALL=C

# check REPOSITORY
check() {
    (cd "$1" && find src include tests -name '*.[ch]' | sort) >"$work/files"
    (cd "$1" && awk '
        {
            file = $0
            line = 0
            while ((got = (getline text < file)) > 0) {
                line++
                gsub(/[\200-\277]/, "", text) # the bytes of a character after its first
                if (length(text) <= 120)
                    continue
                printf "%s:%d: %d columns, 120 are the most\n", file, line, length(text)
                n_wrong++
            }
            if (got < 0) {
                printf "%s: cannot be read\n", file
                n_wrong++
            }
            close(file)
        }
        END {
            printf "%d files read, %d lines wrong\n", NR, n_wrong
            exit n_wrong > 0 || NR == 0
        }' "$work/files")
}

[ $# = 1 ] || [ "${1:-}" = --selftest ] || {
    sed -n '4,5s/^# *//p' "$0" >&2
    exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ "$1" != --selftest ]; then
    check "$1"
    exit
fi

# expect RC WORDS: what check makes of the tree that stands.
expect() {
    rc=0
    check "$work/tree" >"$work/said" || rc=$?
    if [ $rc != "$1" ] || ! grep -qF "$2" "$work/said"; then
        echo "wanted $1 and \"$2\", got $rc and: $(cat "$work/said")" >&2
        exit 1
    fi
}

x120=$(printf '%0120d' 0)
mkdir -p "$work/tree/src/base" "$work/tree/src/text" "$work/tree/include" "$work/tree/tests/unit"
echo "$x120" >"$work/tree/src/base/a.c"
# 120 characters, some of two bytes and one of three.
printf '%0116d\303\244\303\244\342\202\254x\n' 0 >"$work/tree/src/text/b.c"
expect 0 '2 files read, 0 lines wrong'
printf 'a\n%s1\n' "$x120" >"$work/tree/src/base/a.h"
expect 1 'src/base/a.h:2: 121 columns, 120 are the most'
rm "$work/tree/src/base/a.h"
echo "${x120}1" >"$work/tree/include/e.h"
expect 1 'include/e.h:1: 121 columns'
mv "$work/tree/include/e.h" "$work/tree/tests/unit/t.c"
expect 1 'tests/unit/t.c:1: 121 columns'
rm -r "$work/tree"/*/*
expect 1 '0 files read'
echo "every planted wide line was caught"
