#!/bin/sh
# No line is wider than 120 columns: src/, include/ and the C of tests/.
#
#     columns.sh REPOSITORY   check the tree
#     columns.sh --selftest   plant wide lines in a tree of its own and see that each is caught
#
# Wide lines from before the rule are counted by room below. The list only shrinks: a room with fewer than
# its number fails, too, and says what to write here.
set -eu
export LC_ALL=C

old=''

# check REPOSITORY OLD
check() {
    (cd "$1" && find src include tests -name '*.[ch]' | sort) >"$work/files"
    (cd "$1" && EH_OLD=$2 awk '
        BEGIN {
            n = split(ENVIRON["EH_OLD"], row, "\n")
            for (i = 1; i <= n; i++)
                if ((at = index(row[i], ":")) > 0)
                    old[substr(row[i], 1, at - 1)] = substr(row[i], at + 2) + 0
        }
        {
            file = $0
            line = 0
            room = file
            # src/ROOM/...: counted by room; include and tests by themselves.
            if (sub("^src/", "", room) == 0 || sub("/.*", "", room) == 0)
                sub("/.*", "", room)
            while ((got = (getline text < file)) > 0) {
                line++
                gsub(/[\200-\277]/, "", text) # the bytes of a character after its first
                if (length(text) <= 120)
                    continue
                wide[room]++
                said[room] = said[room] sprintf("%s:%d: %d columns, 120 are the most\n", file, line, length(text))
            }
            if (got < 0) {
                printf "%s: cannot be read\n", file
                n_wrong++
            }
            close(file)
        }
        END {
            for (room in wide)
                if (wide[room] > old[room] + 0) {
                    printf "%s%s has %d wide lines, %d are known\n", said[room], room, wide[room], old[room]
                    n_wrong++
                }
            for (room in old)
                if (wide[room] + 0 < old[room]) {
                    printf "%s has only %d wide lines now: write that in place of %d in columns.sh\n", room,
                           wide[room], old[room]
                    n_wrong++
                }
            printf "%d files read, %d rooms wrong\n", NR, n_wrong
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
    check "$1" "$old"
    exit
fi

# expect RC OLD WORDS: what check makes of the tree that stands.
expect() {
    rc=0
    check "$work/tree" "$2" >"$work/said" || rc=$?
    if [ $rc != "$1" ] || ! grep -qF "$3" "$work/said"; then
        echo "with \"$2\" wanted $1 and \"$3\", got $rc and: $(cat "$work/said")" >&2
        exit 1
    fi
}

x120=$(printf '%0120d' 0)
mkdir -p "$work/tree/src/base" "$work/tree/src/text" "$work/tree/include" "$work/tree/tests/unit"
echo "$x120" >"$work/tree/src/base/a.c"
# 120 characters, some of two bytes and one of three.
printf '%0116d\303\244\303\244\342\202\254x\n' 0 >"$work/tree/src/text/b.c"
expect 0 '' '2 files read, 0 rooms wrong'
printf 'a\n%s1\n' "$x120" >"$work/tree/src/base/a.h"
expect 1 '' 'src/base/a.h:2: 121 columns, 120 are the most'
expect 1 'text: 1' 'base has 1 wide lines, 0 are known'
expect 0 'base: 1' '0 rooms wrong'
expect 1 'base: 2' 'base has only 1 wide lines now: write that in place of 2'
rm "$work/tree/src/base/a.h"
echo "${x120}1" >"$work/tree/include/e.h"
expect 1 '' 'include/e.h:1: 121 columns'
mv "$work/tree/include/e.h" "$work/tree/tests/unit/t.c"
expect 1 '' 'tests/unit/t.c:1: 121 columns'
rm -r "$work/tree"/*/*
expect 1 '' '0 files read'
echo "every planted wide line was caught"
