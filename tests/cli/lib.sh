# What the tests of the program share. Each is run as: sh test_WHAT.sh PROGRAM REPOSITORY
# shellcheck shell=sh disable=SC2034
set -eu
program=$1
repo=$2
llama=$repo/tests/golden/tiny/llama
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The tester's own settings stay out.
for variable in $(env | sed -n 's/^\(EVENHAND_[A-Z_]*\)=.*/\1/p'); do
    [ "$variable" = EVENHAND_SMOLLM2 ] || unset "$variable"
done
export EVENHAND_CONFIG=
# Threads that wait must not keep the cores from whatever else runs here.
export OMP_WAIT_POLICY=passive

die() {
    echo "$*" >&2
    [ ! -s "$work/out" ] || sed -n '1,5s/^/  out: /p' "$work/out" >&2
    [ ! -s "$work/err" ] || sed -n '1,5s/^/  err: /p' "$work/err" >&2
    exit 1
}

# skipped WHAT WHY: a part of the test that cannot be made here. It counts as a skipped test (tests/skips.sh).
skipped() {
    echo "skipped: $1: $2"
}

# have TOOL: whether it is installed; its part is skipped otherwise.
have() {
    command -v "$1" >/dev/null || {
        skipped "$1" "$1 is not installed"
        return 1
    }
}

# have_full: whether there is a device that is always full.
have_full() {
    [ -c /dev/full ] || {
        skipped dev_full 'there is no /dev/full'
        return 1
    }
}

# may_mount FOLDER SIZE: a file system of that size is there; the caller unmounts it.
may_mount() {
    mkdir "$1"
    mount -t tmpfs -o "size=$2" none "$1" 2>/dev/null || {
        skipped a_full_disk 'no file system may be mounted here'
        return 1
    }
}

# as_anyone: from here to as= the program may write only where its user has the right to, root or not.
as=
as_anyone() {
    [ "$(id -u)" = 0 ] || return 0
    as='setpriv --bounding-set=-all --inh-caps=-all'
    $as true 2>/dev/null || {
        as=
        skipped a_sealed_folder 'root may write everywhere here'
        return 1
    }
}

# run STATUS ARGUMENT...: the program must end with this status; its output is in out and err.
run() {
    expected=$1
    shift
    status=0
    # $as is a command with arguments, or nothing.
    # shellcheck disable=SC2086
    $as "$program" "$@" >"$work/out" 2>"$work/err" || status=$?
    [ "$status" = "$expected" ] || die "status $status, not $expected: evenhand $*"
}

# refused STATUS WORDS ARGUMENT...: that, with one sentence on stderr that holds the words and
# nothing on stdout.
refused() {
    words=$2
    code=$1
    shift 2
    run "$code" "$@"
    [ ! -s "$work/out" ] || die "something on stdout: evenhand $*"
    [ "$(wc -l <"$work/err")" -eq 1 ] || die "not one line on stderr: evenhand $*"
    case $(cat "$work/err") in
    "evenhand: "*"$words"*) ;;
    *) die "not said, \"$words\": evenhand $*" ;;
    esac
}

# same FILE FILE WHAT
same() {
    cmp -s "$1" "$2" || die "$3: $1 and $2 differ"
}

# says WORDS: the last output holds them.
says() {
    grep -qF -- "$1" "$work/out" || die "not on stdout: $1"
}
