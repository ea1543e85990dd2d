#!/bin/sh
# plant, and items of one's own: a folder that is whole or not there, and the answers to its items.
# shellcheck source=tests/cli/lib.sh
. "$2/tests/cli/lib.sh"
disk=
clean() {
    [ -z "$disk" ] || umount "$disk"
    rm -rf "$work"
}
trap clean EXIT

run 0 plant -o "$work/deep/planted" --seed 3
says "$work/deep/planted: a model of 5 layers of 8 heads, 480 biased items, 120 utility questions"
says 'planted heads (layer.head): '
planted=$work/deep/planted
[ "$(find "$work/deep" -type f | wc -l)" = 8 ] || die "not eight files: $(find "$work/deep" -type f)"
run 0 plant -o "$work/again/" --seed 3 --json
diff -r "$planted" "$work/again" >"$work/err" || die "the same seed made another folder"
grep -qE '"heads":\[(\[[0-9],[0-9]\],?){4}\],"neurons":\[(\[[0-9],[0-9]+\],?){6}\]' "$work/out" || die "--json"
run 0 plant -o "$work/nothing" --null
says 'nothing is planted'
grep -q '"heads":\[\],"neurons":\[\]' "$work/nothing/truth.json" || die "a truth of something"

# ---- Refusals ---------------------------------------------------------------------------------------

refused 2 'is there already' plant -o "$planted"
refused 2 '--out' plant
echo mine >"$work/again/thesis.tex"
refused 2 'holds thesis.tex' plant -o "$work/again" --force
[ -e "$work/again/thesis.tex" ] || die "somebody's file is gone"
rm "$work/again/thesis.tex"
run 0 plant -o "$work/again" --seed 4 --force
cmp -s "$planted/truth.json" "$work/again/truth.json" && die "--force replaced nothing"
[ "$(find "$work" -maxdepth 1 -name 'again*' | wc -l)" = 1 ] || die "something is left beside the folder"
refused 2 'is not a folder' plant -o "$planted/truth.json" --force
if as_anyone; then
    mkdir -m 555 "$work/sealed"
    refused 1 'Permission denied' plant -o "$work/sealed/planted"
    as=
fi
if may_mount "$work/small" 1m; then
    disk=$work/small
    refused 1 'No space left on device' plant -o "$disk/planted"
    [ -z "$(ls -A "$disk")" ] || die "half a folder is left: $(ls -A "$disk")"
fi

# ---- Its items ----------------------------------------------------------------------------------------

run 0 audit "$planted" --items "$planted/items.jsonl" -o "$work/audit" --json
run 0 audit "$planted" --items "$planted/items.jsonl" -o "$work/audit1" --json --threads 1 --batch-tokens 300
same "$work/audit/samples_items.jsonl" "$work/audit1/samples_items.jsonl" "another batch"
[ "$(wc -l <"$work/audit/samples_items.jsonl")" = 480 ] || die "not a record an item"
if have jq; then
    jq -e '[.rows[] | select(.category == "all")] | map({(.score): .value}) | add |
        .bias > 0.9 and .log_ratio > 1 and .CI_bias > 0.2 and .biased_share > 0.95 and has("acc") == false' \
        "$work/out" >/dev/null || die "the planted bias is not what the audit finds"
fi
run 3 audit "$planted" --items "$planted/items.jsonl" -o "$work/audit" --fail-if 'items:|bias|>0.5'
run 0 audit "$work/nothing" --items "$work/nothing/items.jsonl" -o "$work/audit0" --fail-if 'items:|bias|>0.2'
run 0 audit "$planted" --items "$planted/utility.jsonl" -o "$work/utility" --fail-if 'items:acc<0.99'
run 0 audit "$planted" --tasks utility --probes "$planted" -o "$work/utility2" --fail-if 'utility:acc<0.99'

refused 2 '--items FILE' audit "$planted" --tasks items -o "$work/refused"
refused 2 'do not hold "items"' audit "$planted" --tasks probes --items "$planted/items.jsonl" -o "$work/refused"
refused 1 "$work/none.jsonl" audit "$planted" --items "$work/none.jsonl" -o "$work/refused"
printf '{"prompt": "p", "choices": ["a", "b"], "biased": 2, "cluster": "c"}\n' >"$work/bad.jsonl"
refused 1 'bad.jsonl: line 1: ' audit "$planted" --items "$work/bad.jsonl" -o "$work/refused"
[ ! -e "$work/refused" ] || die "a refused audit made its folder"

# ---- And its heads --------------------------------------------------------------------------------------

run 0 locate "$planted" --items "$planted/items.jsonl" -o "$work/located" --permutations 999 --confirm 0 --json
if have jq; then
    jq -e --slurpfile truth "$planted/truth.json" '[.selected[] | [.layer, .head]] | sort == ($truth[0].heads | sort)' \
        "$work/out" >/dev/null || die "not the planted heads: $(jq -c .selected "$work/out")"
fi
