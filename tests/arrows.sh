#!/bin/sh
# Who may know whom: reads every #include under a source tree and fails on an arrow that the table
# below (docs/map.md has it in words) does not hold.
#
#     arrows.sh SRC         check the tree
#     arrows.sh --selftest  plant wrong arrows in a tree of its own and see that each is caught
#
# A room may include its own headers, those of the rooms it may know, and the public ones; the spelling
# is "room/name.h". The program (cli) may include the public headers and the headers beside it, nothing else.
set -eu

rooms='base:
tensor: base
stats: base
jinja: base
text: base jinja
format: base tensor
backend: base tensor
arch: base format
op: base backend arch
model: base text backend arch op
score: base text model
probe: base model
task: base stats text
edit: base format model
job: base
audit: base stats model task job
train: base model task edit audit
locate: base stats model probe edit job audit
run: base stats model task edit job audit locate
fixture: base text backend task
report: base
cli:'

# System headers that one room hides from all others.
hidden='mpi.h: job
omp.h: base
dnnl.h: backend'

# check SRC: prints "FILE:LINE: what is wrong" for each wrong arrow; 1 when there is one.
check() {
    (cd "$1" && find . -name '*.[ch]' | sed 's,^\./,,' | LC_ALL=C sort) >"$work/files"
    [ -s "$work/files" ] || {
        echo "$1 holds no source" >&2
        return 1
    }
    # The file names go to awk as lines, so that no name needs quoting.
    (cd "$1" && EH_ROOMS=$rooms EH_HIDDEN=$hidden awk '
        function wrong(what) { printf "%s:%d: %s\n", file, line, what; n_wrong++ }
        function has(list, word) { return index(" " list " ", " " word " ") > 0 }
        function read_table(text, table,    row, n, i, at) {
            n = split(text, row, "\n")
            for (i = 1; i <= n; i++) {
                at = index(row[i], ":")
                table[substr(row[i], 1, at - 1)] = substr(row[i], at + 2)
            }
        }
        BEGIN { read_table(ENVIRON["EH_ROOMS"], may); read_table(ENVIRON["EH_HIDDEN"], owner) }
        {
            file = $0
            line = 0
            room = file
            if (!sub("/.*", "", room) || !(room in may)) {
                wrong("lies in no room of the table")
                next
            }
            while ((got = (getline text < file)) > 0) {
                line++
                if (text !~ /^[ \t]*#[ \t]*include[ \t]*["<]/)
                    continue
                n_include++
                quoted = text ~ /include[ \t]*"/
                sub(/^[^"<]*["<]/, "", text)
                sub(/[">].*$/, "", text)
                if (!quoted) {
                    if ((text in owner) && !has(owner[text], room))
                        wrong(room " includes <" text ">, which is for " owner[text] " only")
                    continue
                }
                if (text == "evenhand.h" || text ~ /^evenhand\//)
                    continue
                if (index(text, "/") == 0) {
                    if (room != "cli")
                        wrong("\"" text "\" is not spelt with its room")
                    continue
                }
                to = text
                sub("/.*", "", to)
                if (to != room && !has(may[room], to))
                    wrong(room " may not know " to " (\"" text "\")")
            }
            if (got < 0)
                wrong("cannot be read")
            close(file)
        }
        END {
            printf "%d includes read in %d files, %d wrong\n", n_include, NR, n_wrong
            exit n_wrong > 0 || n_include == 0
        }' "$work/files")
}

# plant FILE TEXT WORDS: a tree with this one file must be refused with these words.
plant() {
    rm -rf "$work/src"
    mkdir -p "$work/src/${1%/*}"
    printf '#include <stdint.h>\n%s\n' "$2" >"$work/src/$1"
    if check "$work/src" >"$work/said"; then
        echo "not caught: $1 with $2" >&2
        exit 1
    fi
    grep -qF "$1:$4: $3" "$work/said" || {
        echo "caught in other words: $1 with $2: $(cat "$work/said")" >&2
        exit 1
    }
}

# allow FILE TEXT: a tree with this one file is fine.
allow() {
    rm -rf "$work/src"
    mkdir -p "$work/src/${1%/*}"
    printf '%s\n' "$2" >"$work/src/$1"
    check "$work/src" >"$work/said" || {
        echo "refused, but right: $1 with $2: $(cat "$work/said")" >&2
        exit 1
    }
}

[ $# = 1 ] || [ "${1:-}" = --selftest ] || {
    sed -n '5,6s/^# *//p' "$0" >&2
    exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ "$1" != --selftest ]; then
    check "$1"
    exit
fi

plant base/a.c '#include "tensor/dtype.h"' 'base may not know tensor' 2
plant task/a.h '#include "model/model.h"' 'task may not know model' 2
plant report/a.c '  #  include "model/engine.h" /* why not */' 'report may not know model' 2
plant stats/deeper/a.c '#include "../text/request.h"' 'stats may not know ..' 2
plant text/a.c '#include "request.h"' '"request.h" is not spelt with its room' 2
plant cli/a.c '#include "base/err.h"' 'cli may not know base' 2
plant model/a.c '#include <mpi.h>' 'model includes <mpi.h>, which is for job only' 2
plant attic/a.c '#include "base/err.h"' 'lies in no room of the table' 0
allow base/a.c '#include "evenhand.h"'
allow base/a.c '#include "base/err.h"'
allow cli/a.c '#include "command.h"'
allow run/a.c '#include "edit/recipe.h"'
allow job/a.c '#include <mpi.h>'
# What is only mentioned is not included.
allow base/a.c '#include "base/err.h" // as "model/model.h" does
/* "tensor/dtype.h" */ const char *s = "#include \"model/model.h\"";'
echo "every planted arrow was caught"
