#!/bin/sh
# No stretch of more than 15 lines stands twice in the tree: the same lines, but for comments, blank lines and
# white space.
#
#     repeats.sh SRC         check the tree
#     repeats.sh --selftest  plant stretches in a tree of its own and see that each is caught
#
# (The developers' `duplicates` also finds stretches of the same shape with other names.)
set -eu
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)

# check SRC
check() {
    (cd "$1" && find . -name '*.[ch]' | sed 's,^\./,,' | sort) >"$work/files"
    cat >"$work/repeats.awk" <<'END'
# Every line that counts gets the number of its text; a stretch is known by its numbers.
{
    file = $0
    line = in_comment = 0
    while ((got = (getline text < file)) > 0) {
        line++
        text = code(text, 1)
        gsub(/[ \t\r\f]/, "", text)
        if (text == "")
            continue
        if (!(text in number))
            number[text] = ++n_text
        id[++n] = number[text]
        at[n] = line
        file_of[n] = file
    }
    if (got < 0) {
        print file ": cannot be read"
        n_wrong++
    }
    close(file)
    id[++n] = 0 # no stretch runs from file to file
}
END {
    for (i = 1; i + window - 1 <= n; i++) {
        key = ""
        for (k = i; k < i + window && id[k] > 0; k++)
            key = key " " id[k]
        twin[i] = 0
        if (k < i + window)
            continue
        if (!(key in first)) {
            first[key] = i
            continue
        }
        j = twin[i] = first[key]
        if (i > 1 && twin[i - 1] > 0 && twin[i - 1] == j - 1)
            continue # told with the line before
        for (k = 0; id[i + k] > 0 && id[i + k] == id[j + k];)
            k++
        printf "%s:%d-%d stands again at %s:%d-%d (%d lines)\n", file_of[j], at[j], at[j + k - 1], file_of[i], at[i],
               at[i + k - 1], k
        n_wrong++
    }
    printf "%d lines read in %d files, %d stretches twice\n", n - NR, NR, n_wrong
    exit n_wrong > 0 || n == NR
}
END
    (cd "$1" && awk -v window=16 -f "$here/c_text.awk" -f "$work/repeats.awk" "$work/files")
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

# lines FROM TO [BEFORE]: so many different lines.
lines() {
    awk -v from="$1" -v to="$2" -v before="${3:-}" '
        BEGIN { for (i = from; i <= to; i++) print before "x" i " = " i ";" }'
}

# expect RC WORDS: what check makes of the tree.
expect() {
    rc=0
    check "$work/src" >"$work/said" || rc=$?
    if [ $rc != "$1" ] || ! grep -qF "$2" "$work/said"; then
        echo "wanted $1 and \"$2\", got $rc and: $(cat "$work/said")" >&2
        exit 1
    fi
}

mkdir -p "$work/src/base" "$work/src/text"
lines 1 30 >"$work/src/base/a.c"
expect 0 '30 lines read in 1 files, 0 stretches twice'
lines 11 25 >"$work/src/text/b.c" # fifteen may
expect 0 '45 lines read in 2 files, 0 stretches twice'
lines 10 25 >"$work/src/text/b.c"
expect 1 'base/a.c:10-25 stands again at text/b.c:1-16 (16 lines)'
# Comments, blank lines and white space hide nothing, and a longer stretch is told once.
{
    echo 'int before; /* one'
    lines 2 4
    echo '*/'
    lines 2 9 '    '
    echo
    echo '// a word'
    lines 10 20 ' /* " */ '
    echo 'int after;'
} >"$work/src/text/b.c"
expect 1 'base/a.c:2-20 stands again at text/b.c:6-26 (19 lines)'
expect 1 ' 1 stretches twice'
# What a string says is not white space or a comment.
{
    lines 2 9
    echo 's = "/* x */";'
    lines 10 20
} >"$work/src/base/a.c"
{
    lines 2 9
    echo 's = "/* y */";'
    lines 10 20
} >"$work/src/text/b.c"
expect 0 '0 stretches twice'
# Twice in one file.
rm "$work/src/text/b.c"
{
    lines 1 16
    echo 'int between;'
    lines 1 16
} >"$work/src/base/a.c"
expect 1 'base/a.c:1-16 stands again at base/a.c:18-33 (16 lines)'
# The end of one file and the beginning of the next are not a stretch.
lines 1 16 >"$work/src/base/a.c"
lines 1 8 >"$work/src/base/b.c"
lines 9 16 >"$work/src/base/c.c"
expect 0 '0 stretches twice'
rm -r "$work/src"/*
expect 1 '0 lines read'
echo "every planted stretch was caught"
