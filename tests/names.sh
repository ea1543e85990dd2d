#!/bin/sh
# A name means one thing in the whole tree:
#
#   - a source file's name, without its ending, is that of one room (x.c and x.h beside each other are one unit);
#   - a type that others can see (defined in a header, or named eh_ or cli_) has a name that no other type has,
#     not even a private one;
#   - so has a function that is not static.
#
#     names.sh REPOSITORY   check src/ and include/
#     names.sh --selftest   plant names in a tree of its own and see that each is caught
#
# What a .c file defines for itself, under a plain name, is its own business.
set -eu
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)

# Names that still exist twice. The list only shrinks: an entry that is no longer needed fails.
known=''

# check REPOSITORY KNOWN
check() {
    (cd "$1" && find src include -name '*.[ch]' | sort) >"$work/files"
    cat >"$work/names.awk" <<'END'
function wrong(what) {
    print what
    n_wrong++
}
# A name is met. Where: file:line.
function meet(kind, name, public,    where) {
    where = file ":" line
    n_met++
    # The same file may say it twice, under #if and #else.
    if ((kind, name) in first_file && first_file[kind, name] != file) {
        if ((public || first_public[kind, name]) && !was_known(name))
            wrong(where ": " kind " " name " is also at " first_at[kind, name])
        return
    }
    if (!((kind, name) in first_file)) {
        first_file[kind, name] = file
        first_at[kind, name] = where
        first_public[kind, name] = public
    }
}
function was_known(name) {
    if (!(name in known))
        return 0
    used[name] = 1
    return 1
}
function meet_type(kind, name) {
    meet(kind, name, file ~ /\.h$/ || name ~ /^(eh|cli)_/)
}
function last_word(s) {
    sub(/[ \t]*(\[[^]]*\][ \t]*)*$/, "", s)
    if (!match(s, /[A-Za-z_][A-Za-z_0-9]*$/))
        return ""
    return substr(s, RSTART)
}
function no_attributes(s,    at, end, open, c) {
    while ((at = index(s, "__attribute__")) > 0) {
        open = 0
        for (end = at + 13; end <= length(s); end++) {
            c = substr(s, end, 1)
            open += (c == "(") - (c == ")")
            if (c == ")" && open == 0)
                break
        }
        s = substr(s, 1, at - 1) substr(s, end + 1)
    }
    return s
}
# said: the text since the last ; { or } - up to an opening brace.
function opening(    s, name) {
    s = said
    if (match(s, /(^|[^A-Za-z_0-9])(struct|union|enum)[ \t]+[A-Za-z_][A-Za-z_0-9]*[ \t]*$/)) {
        meet_type("the tag", last_word(s))
        return
    }
    if (depth > 0 || s ~ /=/ || s !~ /\)[ \t]*$/ || s ~ /(^|[^A-Za-z_0-9])static[^A-Za-z_0-9]/)
        return
    s = no_attributes(s)
    sub(/[ \t]*\(.*/, "", s)
    name = last_word(s)
    if (name != "") {
        meet("the function", name, 1)
        in_body = 1
    }
}
# A whole statement outside of braces, {} standing for what was in them.
function statement(s,    name) {
    if (s !~ /^[ \t]*typedef[^A-Za-z_0-9]/)
        return
    s = no_attributes(s)
    if (match(s, /\([ \t]*\*[ \t]*[A-Za-z_][A-Za-z_0-9]*[ \t]*\)/)) {
        name = substr(s, RSTART + 1, RLENGTH - 2)
        gsub(/[ \t*]/, "", name)
    } else {
        sub(/[ \t]*\(.*/, "", s)
        name = last_word(s)
    }
    if (name != "")
        meet_type("the typedef", name)
}
function read_line(s,    c) {
    while (match(s, /[{};]/)) {
        c = substr(s, RSTART, 1)
        said = said substr(s, 1, RSTART - 1)
        if (depth == 0)
            whole = whole substr(s, 1, RSTART - 1)
        s = substr(s, RSTART + 1)
        if (c == "{") {
            opening()
            depth++
        } else if (c == "}") {
            depth--
            if (depth == 0)
                whole = in_body ? "" : whole "{}"
            if (depth == 0)
                in_body = 0
        } else if (depth == 0) {
            statement(whole)
            whole = ""
        }
        said = ""
    }
    said = said s " "
    if (depth == 0)
        whole = whole s " "
}
BEGIN {
    n = split(ENVIRON["EH_KNOWN"], word, " ")
    for (i = 1; i <= n; i++)
        known[word[i]] = 1
}
{
    file = $0
    room = name = file
    sub(/\/[^\/]*$/, "", room)
    sub(/.*\//, "", name)
    sub(/\.[ch]$/, "", name)
    if (room ~ /^src/) {
        if ((name in room_of) && room_of[name] != room && !was_known(name))
            wrong(file ": " room_of[name] " has a file " name ", too")
        room_of[name] = room
    }
    line = depth = in_comment = in_body = directive = 0
    said = whole = ""
    while ((got = (getline text < file)) > 0) {
        line++
        text = code(text, 0)
        if (directive || text ~ /^[ \t]*#/) {
            directive = text ~ /\\$/
            continue
        }
        read_line(text)
    }
    if (got < 0)
        wrong(file ": cannot be read")
    if (depth != 0)
        wrong(file ": ends inside of " depth " braces, as it is read here")
    close(file)
}
END {
    for (name in known)
        if (!(name in used))
            wrong(name " is in the list of names.sh, and does not exist twice: strike it")
    printf "%d names met in %d files, %d wrong\n", n_met, NR, n_wrong
    exit n_wrong > 0 || n_met == 0
}
END
    (cd "$1" && EH_KNOWN=$2 awk -f "$here/c_text.awk" -f "$work/names.awk" "$work/files")
}

[ $# = 1 ] || [ "${1:-}" = --selftest ] || {
    sed -n '9,10s/^# *//p' "$0" >&2
    exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ "$1" != --selftest ]; then
    check "$1" "$known"
    exit
fi

# file NAME TEXT: adds to the tree.
file() {
    mkdir -p "$work/tree/${1%/*}" "$work/tree/include"
    printf '%s\n' "$2" >"$work/tree/$1"
}

# expect RC KNOWN WORDS: what check makes of the tree, which is then gone.
expect() {
    rc=0
    check "$work/tree" "$2" >"$work/said" || rc=$?
    if [ $rc != "$1" ] || ! grep -qF "$3" "$work/said"; then
        echo "wanted $1 and \"$3\", got $rc and: $(cat "$work/said")" >&2
        exit 1
    fi
    rm -rf "$work/tree"
}

file src/base/a.h 'typedef struct eh_a { int x; } eh_a;'
file src/base/a.c '#include "base/a.h"'
file src/text/a.c 'int eh_b(void) { return 0; }'
expect 1 '' 'src/text/a.c: src/base has a file a, too'

file src/base/a.h 'typedef struct eh_a { int x; } eh_a;'
file src/text/a.c 'int eh_b(void) { return 0; }'
expect 0 a '3 names met in 2 files, 0 wrong'

file src/base/a.h 'typedef struct eh_a eh_a;'
expect 1 a 'a is in the list of names.sh, and does not exist twice'

file src/base/a.h 'typedef struct eh_a {
    int x;
} eh_a;'
file src/text/b.h '/* typedef */ typedef struct eh_other { int y; } eh_a;'
expect 1 '' 'src/text/b.h:1: the typedef eh_a is also at src/base/a.h:3'

file src/base/a.h 'struct eh_a { enum kind { ONE } k; };'
file src/text/b.c 'static enum kind { TWO } two;'
expect 1 '' 'src/text/b.c:1: the tag kind is also at src/base/a.h:1'

file include/e.h 'typedef int eh_see(void *ctx, int n);'
file src/text/b.h 'typedef void (*eh_see)(void);'
expect 1 '' 'src/text/b.h:1: the typedef eh_see is also at include/e.h:1'

file src/base/a.c 'typedef float eh_four[4];'
file src/text/b.c 'typedef unsigned eh_four __attribute__((aligned(4)));'
expect 1 '' 'src/text/b.c:1: the typedef eh_four is also at src/base/a.c:1'

file src/base/a.c 'int
eh_f(const struct b *b,
     int n)
{
    if (n) { return 1; }
    return "{"[0] + '"'{'"';
}'
file src/text/b.c '__attribute__((format(printf, 1, 2))) void eh_f(const char *f, ...) {}'
expect 1 '' 'src/text/b.c:1: the function eh_f is also at src/base/a.c:4'

# What is fine: a prototype beside the function; private types and static functions of one name in two files;
# a tag and a typedef of one name; the two halves of an #if; a call, a table, a macro.
file src/base/a.h 'typedef struct eh_a eh_a;
int eh_f(eh_a *a);
#define TWICE(x) { x; \
    struct eh_in_macro {
extern const struct eh_a eh_rows[2];'
file src/base/a.c 'struct eh_a { int x; };
typedef struct job { int x; } job;
#if 1
int eh_f(eh_a *a) { struct eh_a b = {0}; return help(a); }
#else
int eh_f(eh_a *a) { return 0; }
#endif
static int help(eh_a *a) { return a->x; }
const struct eh_a eh_rows[2] = {{1}, {2}};'
file src/text/b.c 'typedef struct job { int y; } job;
static int
help(int a) { for (;;) { if (eh_f(0)) { return a; } } }'
expect 0 '' '0 wrong'

file src/base/a.c 'int eh_f(void) {'
expect 1 '' 'src/base/a.c: ends inside of 1 braces'
mkdir -p "$work/tree/src" "$work/tree/include"
expect 1 '' '0 names met in 0 files'
echo "every planted name was caught"
