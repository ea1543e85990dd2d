#!/bin/sh
# Which tests of the last `ctest` run were skipped, and which of these nobody expected.
#
#     skips.sh FOLDER [BUILD]   FOLDER: where ctest ran; BUILD: its name in expected-skips.txt (default: FOLDER's own)
#     skips.sh --selftest       plant logs and see what is made of them
#
# ctest itself counts a program as skipped only when all its tests were. A test that says SKIP("why") writes
# "skipped: TEST: why" (check.c), which is read here from ctest's log; a program that exits with 77 is skipped whole.
# Exit status: 1 when a skip was not expected, 2 when there is no log.
set -eu
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)

# report FOLDER BUILD EXPECTED
report() {
    log=$1/Testing/Temporary/LastTest.log
    [ -f "$log" ] || {
        echo "skips: $log is not there: ctest did not run in $1" >&2
        return 2
    }
    # "NUMBER:PROGRAM" of each that was skipped whole; an earlier run's when the last skipped none (rm it before).
    whole=$1/Testing/Temporary/LastTestsDisabled.log
    [ -f "$whole" ] || whole=/dev/null
    awk -v build="$2" '
        # The words from the n-th on.
        function words_from(n,    i, s) {
            s = $0
            for (i = 1; i < n; i++)
                sub(/^[ \t]*[^ \t]+[ \t]+/, "", s)
            return s
        }
        function skip(program, test, why) {
            if ((program, test) in met)
                return
            met[program, test] = 1
            of_program[program]++
            n_skip++
            if (((program, test) in expected) || ((program, "*") in expected)) {
                if (!((program, why) in n_of))
                    order[++n_order] = program SUBSEP why
                n_of[program, why]++
            } else
                unexpected[++n_unexpected] = program ": " test ": " why
        }
        FNR == 1 { file++ }
        file == 1 {
            if ($0 ~ /^[ \t]*(#|$)/)
                next
            if (NF < 4) {
                printf "expected-skips.txt:%d: wanted builds, program, test and why\n", FNR
                n_bad++
            } else if ($1 == "any" || index("," $1 ",", "," build ",") > 0)
                expected[$2, $3] = words_from(4)
            next
        }
        file == 2 && /^[0-9]+\/[0-9]+ Test: / { program = $3 }
        file == 2 && /^skipped: [A-Za-z_0-9]+: / {
            test = $2
            sub(/:$/, "", test)
            skip(program, test, words_from(3))
        }
        file == 3 {
            program = $0
            sub(/^[0-9]+:/, "", program)
            if (!(program in of_program))
                skip(program, "*", "skipped whole")
        }
        END {
            for (i = 1; i <= n_order; i++) {
                split(order[i], part, SUBSEP)
                printf "skips: %s: %d as expected: %s\n", part[1], n_of[part[1], part[2]], part[2]
            }
            for (i = 1; i <= n_unexpected; i++)
                printf "skips: NOT EXPECTED: %s\n", unexpected[i]
            printf "skips: %d tests were skipped in build %s, %d of them not expected\n", n_skip, build, n_unexpected
            exit n_unexpected > 0 || n_bad > 0
        }' "$3" "$log" "$whole"
}

usage() {
    sed -n '4,5s/^# *//p' "$0" >&2
    exit 2
}
case ${1:-} in
--selftest) ;;
'' | -*) usage ;;
*)
    report "$1" "${2:-$(basename "$1")}" "$here/expected-skips.txt"
    exit
    ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/Testing/Temporary"

# expect RC BUILD WORDS: what is made of the log and the list that stand.
expect() {
    rc=0
    report "$work" "$2" "$work/expected" >"$work/said" 2>&1 || rc=$?
    if [ $rc != "$1" ] || ! grep -qF "$3" "$work/said"; then
        echo "wanted $1 and \"$3\", got $rc and: $(cat "$work/said")" >&2
        exit 1
    fi
}

cat >"$work/expected" <<'END'
# a comment

any test_a far_away needs the moon
asan,tsan test_b * too slow
END
expect 2 release 'is not there: ctest did not run'
# The form is ctest's.
cat >"$work/Testing/Temporary/LastTest.log" <<'END'
1/3 Testing: test_a
1/3 Test: test_a
Output:
[ RUN      ] far_away
skipped: far_away: the moon is down
[  SKIPPED ] far_away
[ RUN      ] near
[       OK ] near
a line that says skipped: near: but not at its beginning
Test Passed.
2/3 Testing: test_b
2/3 Test: test_b
skipped: one: slow
skipped: two: slow
3/3 Testing: cli_c
3/3 Test: cli_c
END
expect 0 asan 'skips: 3 tests were skipped in build asan, 0 of them not expected'
expect 0 tsan 'skips: test_b: 2 as expected: slow'
expect 1 release 'skips: NOT EXPECTED: test_b: one: slow'
expect 1 release 'skips: 3 tests were skipped in build release, 2 of them not expected'
expect 1 san 'NOT EXPECTED: test_b: two' # no part of a name
echo 3:cli_c >"$work/Testing/Temporary/LastTestsDisabled.log"
expect 1 asan 'skips: NOT EXPECTED: cli_c: *: skipped whole'
echo 2:test_b >"$work/Testing/Temporary/LastTestsDisabled.log"
expect 0 asan '3 tests were skipped' # told by its tests already
# What is expected to be skipped may run.
printf '1/1 Test: test_a\n[       OK ] far_away\n' >"$work/Testing/Temporary/LastTest.log"
rm "$work/Testing/Temporary/LastTestsDisabled.log"
expect 0 asan 'skips: 0 tests were skipped'
echo 'any test_a far_away' >"$work/expected"
expect 1 asan 'expected-skips.txt:1: wanted builds, program, test and why'
echo "every planted skip was told"
