#!/bin/sh
# No circle between files. A.c and A.h are one unit; unit A knows unit B
#
#   - by including: A.c or A.h includes B's header (evenhand.h and system headers do not count);
#   - by linking: A's object uses a symbol that B's defines, whatever header declares it.
#
# Each of the two graphs must be free of circles.
#
#     circles.sh SRC               the includes
#     circles.sh --objects LIST    the symbols: LIST has the path of one object file a line
#     circles.sh --selftest [CC]   plant circles in a tree of its own and see that each is caught
set -eu
export LC_ALL=C

# Arrows that close a circle in the tree of today, and how each could go. The lists only shrink: an arrow that is
# not there any more, or that closes no circle any more, fails.
# "FROM TO: way out", one a line.
known_includes=''
known_links=''

# circles KNOWN: reads arrows "FROM TO WHY" (sorted), prints each circle as a path; 1 when there is one.
circles() {
    EH_KNOWN=$1 awk '
        # Depth first; an arrow to a unit that is being visited closes a circle.
        function visit(unit,    list, n, i, to) {
            state[unit] = 1
            path[++depth] = unit
            n = split(next_of[unit], list, " ")
            for (i = 1; i <= n; i++) {
                to = list[i]
                if ((unit, to) in known)
                    continue
                if (state[to] == 1)
                    report(to)
                else if (state[to] == 0)
                    visit(to)
            }
            depth--
            state[unit] = 2
        }
        function report(to,    i, from) {
            for (from = depth; path[from] != to;)
                from--
            printf "a circle: %s", to
            for (i = from; i < depth; i++)
                printf " -> %s (%s)", path[i + 1], why[path[i], path[i + 1]]
            printf " -> %s (%s)\n", to, why[path[depth], to]
            n_wrong++
        }
        # Whether a way leads from one unit to another beside the known arrows.
        function leads(from, to,    queue, seen, n_queue, at, list, n, i) {
            split("", seen)
            queue[n_queue = 1] = from
            seen[from] = 1
            for (at = 1; at <= n_queue; at++) {
                if (queue[at] == to)
                    return 1
                n = split(next_of[queue[at]], list, " ")
                for (i = 1; i <= n; i++)
                    if (!(list[i] in seen) && !((queue[at], list[i]) in known)) {
                        seen[list[i]] = 1
                        queue[++n_queue] = list[i]
                    }
            }
            return 0
        }
        BEGIN {
            n_known = split(ENVIRON["EH_KNOWN"], row, "\n")
            for (i = 1; i <= n_known; i++)
                if (split(row[i], word, "[ :]") >= 2)
                    known[word[1], word[2]] = row[i]
        }
        !(($1, $2) in why) {
            n_arrow++
            why[$1, $2] = $3
            next_of[$1] = next_of[$1] " " $2
            if (!($1 in met)) {
                met[$1] = 1
                order[++n_unit] = $1
            }
        }
        END {
            for (i = 1; i <= n_unit; i++)
                if (state[order[i]] == 0)
                    visit(order[i])
            for (pair in known) {
                split(pair, word, SUBSEP)
                if (!(pair in why))
                    said = "is not there any more"
                else if (!leads(word[2], word[1]))
                    said = "closes no circle any more"
                else
                    continue
                printf "%s -> %s %s: strike it from the list in circles.sh\n", word[1], word[2], said
                n_wrong++
            }
            printf "%d arrows, %d wrong\n", n_arrow, n_wrong
            exit n_wrong > 0 || n_arrow == 0
        }'
}

# includes SRC: "FROM TO file:line" for each #include of a header of the tree. Inside cli the spelling is the
# plain name.
includes() {
    (cd "$1" && find . -name '*.[ch]' | sed 's,^\./,,' | sort) >"$work/files"
    (cd "$1" && awk '
        { exists[$0] = 1 }
        END {
            for (file in exists) {
                unit = room = file
                sub(/\.[ch]$/, "", unit)
                sub(/\/[^\/]*$/, "", room)
                line = 0
                while ((getline text < file) > 0) {
                    line++
                    if (text !~ /^[ \t]*#[ \t]*include[ \t]*"/)
                        continue
                    sub(/^[^"]*"/, "", text)
                    sub(/".*/, "", text)
                    to = (text in exists) ? text : room "/" text
                    if (!(to in exists))
                        continue
                    sub(/\.[ch]$/, "", to)
                    if (to != unit)
                        printf "%s %s %s:%d\n", unit, to, file, line
                }
                close(file)
            }
        }' "$work/files") | sort
}

# links LIST: "FROM TO symbol" for each symbol that one object uses and another defines. An object is known by
# its place below src/: .../src/room/name.c.o is room/name. None, and so a failure, when something cannot be read.
links() {
    while read -r object; do
        [ -f "$object" ] || {
            echo "no such object: $object" >&2
            return 0
        }
    done <"$1"
    tr '\n' '\0' <"$1" | xargs -0 nm -A -P -g | awk '
        {
            # "PATH: SYMBOL TYPE VALUE SIZE"; the path may hold blanks.
            at = index($0, ".c.o: ")
            unit = substr($0, 1, at - 1)
            if (at == 0 || !sub(/.*\/src\//, "", unit)) {
                print "not a symbol of an object of src/: " $0 > "/dev/stderr"
                bad = 1
                exit
            }
            $0 = substr($0, at + 6)
        }
        $2 == "U" || $2 == "v" || $2 == "w" { used[unit " " $1] = 1; next }
        { owner[$1] = unit }
        END {
            if (bad)
                exit
            for (pair in used) {
                split(pair, word, " ")
                to = owner[word[2]]
                if (to != "" && to != word[1])
                    print word[1], to, word[2]
            }
        }' | sort
}

usage() {
    sed -n '9,11s/^# *//p' "$0" >&2
    exit 2
}
[ $# -ge 1 ] || usage
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case $1 in
--objects)
    [ $# = 2 ] || usage
    links "$2" >"$work/arrows"
    circles "$known_links" <"$work/arrows"
    exit
    ;;
--selftest) ;;
*)
    [ $# = 1 ] || usage
    includes "$1" >"$work/arrows"
    circles "$known_includes" <"$work/arrows"
    exit
    ;;
esac

src=$work/src
# file NAME TEXT: adds to the tree.
file() {
    mkdir -p "$src/${1%/*}"
    printf '%s\n' "$2" >"$src/$1"
}

# judge RC KNOWN WORDS: what circles makes of $work/arrows.
judge() {
    rc=0
    circles "$2" <"$work/arrows" >"$work/said" || rc=$?
    if [ $rc != "$1" ] || ! grep -qF -e "$3" "$work/said"; then
        echo "wanted $1 and \"$3\", got $rc and: $(cat "$work/said")" >&2
        exit 1
    fi
}

# expect RC KNOWN WORDS: the same of the tree's includes.
expect() {
    includes "$src" >"$work/arrows"
    judge "$@"
}

# A header and its source are one unit, and an include of evenhand.h or of the system is no arrow.
file base/a.h '#include <stdio.h>'
file base/a.c '#include "base/a.h"
#include "evenhand.h"'
file text/b.h '#include "base/a.h"'
expect 0 '' '1 arrows, 0 wrong'
file base/a.c '#include "base/a.h"
  # include "text/b.h" /* needed */'
expect 1 '' 'a circle: base/a -> text/b (base/a.c:2) -> base/a (text/b.h:1)'
expect 0 'base/a text/b' '2 arrows, 0 wrong'
expect 1 'base/a text/b
text/b base/a' 'text/b -> base/a closes no circle any more'
expect 1 'base/a text/b
base/a text/c' 'base/a -> text/c is not there any more'
# A longer one, and a plain name beside the file that says it.
file base/a.c '#include "base/a.h"
#include "c.h"'
file base/c.h '#include "text/d.h"'
file text/d.h '#include "text/b.h"'
expect 1 '' \
    'a circle: base/a -> base/c (base/a.c:2) -> text/d (base/c.h:1) -> text/b (text/d.h:1) -> base/a (text/b.h:1)'
# Two at one unit: both are told.
file text/b.c '#include "text/e.h"'
file text/e.h '#include "text/b.h"'
expect 1 '' '6 arrows, 2 wrong'
rm -r "$src"
mkdir "$src"
expect 1 '' '0 arrows'

# Symbols: a circle that no header shows, through three objects.
file base/a.c 'int eh_b(void); int eh_a(void); int eh_a(void) { return eh_b(); }'
file base/b.c 'int eh_c(void); int eh_b(void); int eh_b(void) { return eh_c(); }'
file text/c.c 'extern int eh_row[]; int eh_c(void); int eh_c(void) { return eh_row[0]; }'
file text/d.c 'int eh_row[2] = {1, 2}; static int eh_a(void) { return 1; }
int eh_d(void); int eh_d(void) { return eh_a(); }'
compile() {
    : >"$work/list"
    for unit in base/a base/b text/c text/d; do
        "${cc:-cc}" -c -o "$src/$unit.c.o" "$src/$unit.c"
        echo "$src/$unit.c.o" >>"$work/list"
    done
    links "$work/list" >"$work/arrows"
}
cc=${2:-cc}
compile
judge 0 '' '3 arrows, 0 wrong'
file text/d.c 'int eh_a(void); int eh_row[2]; int eh_d(void); int eh_d(void) { return eh_a(); }'
compile
judge 1 '' 'a circle: base/a -> base/b (eh_b) -> text/c (eh_c) -> text/d (eh_row) -> base/a (eh_a)'
judge 0 'text/d base/a' '4 arrows, 0 wrong'
echo "$work/no/such/src/text/e.c.o" >>"$work/list"
links "$work/list" >"$work/arrows" 2>"$work/said"
judge 1 '' '0 arrows, 0 wrong'
echo "every planted circle was caught"
