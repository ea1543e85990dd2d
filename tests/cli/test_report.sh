#!/bin/sh
# report: the page again from the records, the verdict on the terminal.
# shellcheck source=tests/cli/lib.sh
. "$2/tests/cli/lib.sh"

records=$repo/tests/golden/report
for name in success worse nothing_found audit_only nulls hostile large; do
    mkdir "$work/$name"
    cp "$records/$name.json" "$work/$name/run.json"
    run 0 report "$work/$name"
    [ ! -s "$work/err" ] || die "$name: something on stderr"
    [ -s "$work/$name/report.html" ] && [ -s "$work/$name/report.md" ] || die "$name: no page"
    says "$work/$name/report.html"
    awk '{ n = length($0) } n > 130 && !/^The page is/ { exit 1 }' "$work/out" || die "$name: a line is too long"
    ! LC_ALL=C grep -q "$(printf '\033')" "$work/out" || die "$name: an escape sequence on no terminal"
done

run 0 report "$work/success"
says 'The targeted bias came down, by more than random edits do.'
says 'Better        Bias where the context does not answer'
cp "$work/success/report.html" "$work/first.html"
run 0 report "$work/success/"
same "$work/success/report.html" "$work/first.html" "the page again"
! grep -q '//report' "$work/out" || die "a path with two slashes"

# The record of a run that an earlier build made.
mkdir "$work/old"
cp "$repo/tests/golden/old/run/run.json" "$work/old"
run 0 report "$work/old"
says "$work/old/report.html"
grep -q '44af46fcdb73' "$work/old/report.html" || die "not the fingerprint of the old record's model"
grep -q '^| 3 | 5 | 0\.906 |' "$work/old/report.md" || die "not the head that the old run selected first"

# What got worse leads.
run 0 report "$work/worse"
[ "$(sed -n '/^Worse\|^Better\|^Caution/{s/ .*//;p;q}' "$work/out")" = Worse ] || die "what got worse does not lead"
run 0 report "$work/nothing_found"
says 'Nothing was found: no head correlates with this bias reliably and beyond chance.'

# Markdown tables: every row of a table has as many columns as its head.
awk -F'|' '/^\|/ { gsub(/\\\|/, ""); n = gsub(/\|/, "|"); if (inside && n != columns) exit 1; columns = n; inside = 1; next }
    { inside = 0 }' "$work/hostile/report.md" || die "a Markdown table with uneven rows"

refused 1 "$work/none/run.json" report "$work/none"
refused 2 DIR report
mkdir "$work/bad"
echo '{"version":1,"model":{"n_layer":2,"n_head":2},"locate":{"before":[[1,2],[3]]}}' >"$work/bad/run.json"
refused 1 'before[1] is an array of 1, wanted an array of 2 heads' report "$work/bad"
[ ! -e "$work/bad/report.html" ] || die "a page of a bad record"
echo '{"version":7,"model":{}}' >"$work/bad/run.json"
refused 1 '"version" is 7' report "$work/bad"
if as_anyone; then
    chmod a-w "$work/worse"
    refused 1 'report' report "$work/worse"
    as=
fi

if have jq; then
    run 0 report "$work/worse" --json
    jq -e '.headline != "" and (.verdict | length > 3) and .verdict[0].kind == "Worse" and
        (.page | endswith("/report.html"))' "$work/out" >/dev/null || die "--json"
fi
if have xmllint; then
    for name in success hostile large; do
        xmllint --html --noout "$work/$name/report.html" 2>"$work/err" || :
        # libxml2 knows no HTML 5: its word on tags that are new is no error.
        ! grep 'error' "$work/err" | grep -vE 'Tag (header|nav|main|section|figure|figcaption|details|summary|svg|title|desc|line|rect|circle|path|text|footer) invalid' ||
            die "$name: xmllint does not like it"
    done
fi
