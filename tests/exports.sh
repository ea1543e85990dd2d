#!/bin/sh
# What the shared library shows to programs: the functions of evenhand.h and nothing else.
#
#     exports.sh LIB        print the exported symbols, one a line
#     exports.sh LIB LIST   compare them with the committed list
set -eu

exported() {
    nm -D --defined-only "$1" | awk '{ print $NF }' | LC_ALL=C sort -u
}

case $# in
1) exported "$1" ;;
2)
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    exported "$1" >"$work/now"
    [ -s "$work/now" ] || {
        echo "$1 exports nothing" >&2
        exit 1
    }
    if grep -v '^eh_' "$work/now" >"$work/foreign"; then
        echo "exported without the eh_ prefix:" >&2
        cat "$work/foreign" >&2
        exit 1
    fi
    if ! diff -u "$2" "$work/now" >&2; then
        echo "The public functions have changed. When that is meant: ninja -C BUILD exported-symbols" >&2
        exit 1
    fi
    ;;
*)
    sed -n '4,5s/^# *//p' "$0" >&2
    exit 2
    ;;
esac
