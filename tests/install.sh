#!/bin/sh
# Installs a build into a folder that does not exist yet, moves that folder, and compiles a program
# against it with what pkg-config says: the installed library is enough, and its paths are relative.
#
#     install.sh BUILD CC
set -eu
build=$1
cc=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/first" >"$work/log" || {
    cat "$work/log" >&2
    exit 1
}
mv "$work/first" "$work/moved"
pc=$(find "$work/moved" -name evenhand.pc)
[ -n "$pc" ] || {
    echo "no evenhand.pc was installed" >&2
    exit 1
}
cat >"$work/use.c" <<'EOF'
#include <evenhand.h>
#include <stdio.h>

int main(void)
{
    eh_audit_options o;
    eh_audit_options_init(&o, sizeof o);
    printf("%s, split %s\n", eh_error_name(EH_ENOMEM), eh_choice_name(EH_CHOICE_SPLIT, (int)o.split));
    return 0;
}
EOF

lib=$(dirname "$pc")/..
static=
[ -e "$lib/libevenhand.so" ] || static=--static
flags=$(PKG_CONFIG_PATH=$(dirname "$pc") pkg-config $static --cflags --libs evenhand)
case $flags in
*"$build"* | *"$work/first"*)
    echo "evenhand.pc names a folder that is not the installed one: $flags" >&2
    exit 1
    ;;
esac
# $cc and $flags are lists of words on purpose.
# shellcheck disable=SC2086
$cc -std=c11 -Wall -Wextra -Werror "$work/use.c" -o "$work/use" $flags
said=$(LD_LIBRARY_PATH=$lib "$work/use")
[ "$said" = "out of memory, split all" ] || {
    echo "the program said: $said" >&2
    exit 1
}
[ -f "$work/moved/share/evenhand/probes/bbq_form.jsonl" ] || {
    echo "the probes were not installed" >&2
    exit 1
}

# A man page for each command the program has and no other, and completions that a shell can read.
program=$work/moved/bin/evenhand
export LD_LIBRARY_PATH="$lib"
"$program" help | sed -n '/^Commands/,/^$/s/^  \([a-z]*\) .*/evenhand-\1.1/p' | { cat && echo evenhand.1; } |
    sort >"$work/commands"
(cd "$work/moved/share/man/man1" && echo *) | tr " " "\n" | sort >"$work/pages"
cmp "$work/commands" "$work/pages" || {
    diff "$work/commands" "$work/pages" >&2
    exit 1
}
"$program" help --man audit | cmp - "$work/moved/share/man/man1/evenhand-audit.1"
"$program" help --completions zsh | cmp - "$work/moved/share/zsh/site-functions/_evenhand"
"$program" help --completions bash | cmp - "$work/moved/share/bash-completion/completions/evenhand"
if command -v bash >/dev/null; then
    bash -n "$work/moved/share/bash-completion/completions/evenhand"
fi
