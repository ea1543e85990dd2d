#!/bin/sh
# The library keeps nothing that changes outside of what callers hold (models, sessions, backends): else two of them
# would meet in it. So no object has a variable that can change after the start, except one to each thread.
#
#     statics.sh --objects LIST     LIST has the path of one object file a line
#     statics.sh --selftest [CC]    plant such variables in objects and see that each is found
set -eu
export LC_ALL=C

# Which rooms may, and what for.
allowed='base: counters by which tests fail an allocation, a write or a hash
cli: the program, of which a process has one'

# check LIST: prints "room/name: variable" for each; 1 when there is one, or when an object cannot be read.
check() {
    while read -r object; do
        [ -f "$object" ] || {
            echo "no such object: $object" >&2
            return 1
        }
    done <"$1"
    # "VALUE FLAGS SECTION<tab>SIZE NAME"; what is constant but for addresses lies in .data.rel.ro.
    tr '\n' '\0' <"$1" | xargs -0 objdump -t | EH_ALLOWED=$allowed awk '
        BEGIN {
            n = split(ENVIRON["EH_ALLOWED"], row, "\n")
            for (i = 1; i <= n; i++)
                may[substr(row[i], 1, index(row[i], ":") - 1)] = 1
        }
        /: +file format / {
            n_object++
            unit = room = $0
            sub(/(\.c)?\.o: +file format .*/, "", unit)
            sub(/.*\/src\//, "", unit)
            room = unit
            sub(/\/.*/, "", room)
            next
        }
        index($0, "\t") > 0 {
            n_symbol++
            n = split(substr($0, 1, index($0, "\t") - 1), word, " ")
            if (word[n] !~ /^(\.data|\.bss|\*COM\*)/ || word[n] ~ /^\.data\.rel\.ro/ || $NF ~ /^\./ || (room in may))
                next
            print unit ": " $NF
            n_wrong++
        }
        END {
            printf "%d symbols read in %d objects, %d wrong\n", n_symbol, n_object, n_wrong
            exit n_wrong > 0 || n_symbol == 0
        }'
}

usage() {
    sed -n '5,6s/^# *//p' "$0" >&2
    exit 2
}
[ $# -ge 1 ] || usage
case $1 in
--objects)
    [ $# = 2 ] || usage
    check "$2"
    exit
    ;;
--selftest) ;;
*) usage ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc=${2:-cc}

# compile ROOM TEXT: one object src/ROOM/a.c.o of this text, and the list of it.
compile() {
    mkdir -p "$work/src/$1"
    printf '%s\n' "$2" >"$work/a.c"
    "$cc" -std=c11 -fPIC -c "$work/a.c" -o "$work/src/$1/a.c.o"
    echo "$work/src/$1/a.c.o" >"$work/list"
}

# plant ROOM TEXT NAME: must be found.
plant() {
    compile "$1" "$2"
    if check "$work/list" >"$work/said"; then
        echo "not found: $2" >&2
        exit 1
    fi
    grep -q "^$1/a: $3" "$work/said" || {
        echo "found in other words: $2: $(cat "$work/said")" >&2
        exit 1
    }
}

# allow ROOM TEXT: is fine.
allow() {
    compile "$1" "$2"
    check "$work/list" >"$work/said" || {
        echo "refused, but right: $2: $(cat "$work/said")" >&2
        exit 1
    }
}

plant model 'int f(void) { static int n; return ++n; }' n
plant backend 'static int ready = 1; int *f(void) { return &ready; }' ready
plant backend 'int shared; int f(void) { return shared; }' shared
plant op 'const char *name[2] = {"a", "b"};' name
plant op 'static _Atomic int n = 3; int f(void) { return n++; }' n
allow backend 'const int table[2] = {1, 2};'
allow backend 'const char *const name[2] = {"a", "b"};'
allow model 'static _Thread_local int n; int f(void) { return ++n; }'
allow base 'static int left; int f(void) { return left--; }'
echo "$work/nowhere/src/op/a.c.o" >"$work/list"
if check "$work/list" >"$work/said" 2>&1; then
    echo "an object that is not there passed" >&2
    exit 1
fi
echo "every planted variable was found"
