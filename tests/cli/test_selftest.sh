#!/bin/sh
# selftest: a sound model passes, another model's logits and a damaged weight do not.
# shellcheck source=tests/cli/lib.sh
. "$2/tests/cli/lib.sh"

run 0 selftest "$llama"
[ "$(grep -c '^ok  ' "$work/out")" = "$(wc -l <"$work/out")" ] || die "not every check passed"
for check in 'finite values' 'prefix sharing' 'thread counts' 'reference product' 'tokenizer round trips'; do
    grep -q "^ok  $check  " "$work/out" || die "no check of $check"
done
[ ! -s "$work/err" ] || die "something on stderr"

# Without a tokenizer its check is skipped, and that is no failure.
run 0 selftest "$repo/tests/golden/tiny/mistral" --threads 1
grep -q '^skipped  tokenizer round trips  ' "$work/out" || die "not said what was skipped"

# A NaN in the first tensor: named as a check that failed, or refused with layer and site.
cp -r "$llama" "$work/bad"
header=$(od -An -tu8 -N8 "$llama/model.safetensors" | tr -d ' ')
dd if=/dev/zero bs=1 count=4096 2>/dev/null | tr '\000' '\377' |
    dd of="$work/bad/model.safetensors" bs=1 seek=$((8 + header)) conv=notrunc 2>/dev/null
run 1 selftest "$work/bad"
grep -qE 'checks failed|finite' "$work/err" || die "not said that a value is not finite"

refused 1 "$work/none" selftest "$work/none"
refused 1 "$work/none.json" selftest "$llama" --against "$work/none.json"
refused 2 'MODEL' selftest

if have jq; then
    run 0 selftest "$llama" --json
    jq -e 'length > 5 and all(.[]; .result == "ok" and (.found | length > 0))' "$work/out" >/dev/null || die "--json"
fi
