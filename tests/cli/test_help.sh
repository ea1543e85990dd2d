#!/bin/sh
# Help, man pages and completions come from the tables, whole and well-formed.
# shellcheck source=tests/cli/lib.sh
. "$2/tests/cli/lib.sh"

run 0 help
cp "$work/out" "$work/overview"
run 0 --help
same "$work/out" "$work/overview" "help and --help"
commands=$(sed -n '/^Commands$/,/^$/s/^  \([a-z]*\) .*/\1/p' "$work/overview")
[ "$(echo "$commands" | wc -w)" -ge 8 ] || die "help lists $commands"

run 2
[ ! -s "$work/out" ] && same "$work/err" "$work/overview" "no command at all"
run 0 --version
grep -Eq '^evenhand [0-9]+\.[0-9]+' "$work/out" || die "no version"
refused 2 'did you mean "score"?' scor
refused 2 'there is no command "scor"' help scor

for command in $commands; do
    run 0 help "$command"
    grep -q "^usage: evenhand $command" "$work/out" || die "no usage"
    cp "$work/out" "$work/help"
    run 0 "$command" --no-such-option --help
    same "$work/out" "$work/help" "help $command and $command --help"
    # Each line fits, and every option of the help is in the man page and both completions.
    awk 'length > 100 { exit 1 }' "$work/help" || die "$command: a line of the help is too long"
    run 0 help --man "$command"
    cp "$work/out" "$work/man"
    if have groff; then
        groff -man -ww -z "$work/man" 2>"$work/err" && [ ! -s "$work/err" ] || die "groff does not like $command"
    fi
    for shell in bash zsh; do
        run 0 help --completions $shell
        cp "$work/out" "$work/$shell"
    done
    for option in $(sed -n 's/^  *\(-., \)\{0,1\}--\([a-z0-9-]*\).*/\2/p' "$work/help"); do
        escaped=$(echo "$option" | sed 's/-/\\\\-/g')
        grep -q -- "\\\\-\\\\-$escaped" "$work/man" || die "man page of $command: no --$option"
        grep -q -- "--$option" "$work/bash" && grep -Eq -- "--$option(\}'){0,1}\[" "$work/zsh" ||
            die "completions of $command: no --$option"
    done
done
run 0 help --man
if have groff; then
    groff -man -ww -z "$work/out" 2>"$work/err" && [ ! -s "$work/err" ] || die "groff does not like the first page"
fi

if have bash; then
    completed() {
        bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _evenhand; echo "${COMPREPLY[*]}"' \
            bash "$work/bash" "$@"
    }
    [ "$(completed evenhand sco)" = score ] || die "bash: evenhand sco"
    [ "$(completed evenhand score --prec)" = --precision ] || die "bash: score --prec"
    [ "$(completed evenhand score --precision '')" = "auto f32 bf16" ] || die "bash: score --precision"
fi
! have zsh || zsh -n "$work/zsh"

# What cannot be written is an error, of help too.
if have_full; then
    status=0
    "$program" help >/dev/full 2>"$work/err" || status=$?
    [ $status = 1 ] && grep -q "standard output: cannot write" "$work/err" || die "help > /dev/full: status $status"
fi
