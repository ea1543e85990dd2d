# locate and run on a planted model: found, mended, proven; killed at any moment, the same bytes.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

run 0 plant -o "$work/planted" --seed 3
items=$work/planted/items.jsonl

# ---- locate ---------------------------------------------------------------------------------------

run 0 locate "$work/planted" --items "$items" -o "$work/located" --confirm 2 --permutations 999 --json
says '"found":true'
head -n 1 "$work/located/heads.csv" | grep -q '^layer,head,category,statistic,score,p,q,' || die "heads.csv has other columns"
# The planted heads, and they alone, are the selected ones.
truth=$(tr -d ' \n' <"$work/planted/truth.json" | sed 's/.*"heads":\(\[\[[^"]*\]\]\).*/\1/' | grep -o '[0-9][0-9]*,[0-9][0-9]*' | sort)
chosen=$(tr -d ' ' <"$work/out" | grep -o '"layer":[0-9]*,"head":[0-9]*' | sed 's/"layer":\([0-9]*\),"head":/\1,/' | sort)
[ "$truth" = "$chosen" ] || die "planted $truth, selected $chosen"
for f in layers.csv confirm.csv locate.json samples_locate.jsonl samples_confirm.jsonl; do
    [ -s "$work/located/$f" ] || die "no $f"
done

# The help states the defaults that the library uses.
run 0 help locate
cp "$work/out" "$work/locate_help"
for what in "q q_level" "floor floor" "share share" "select select" "split split" "seed seed"; do
    # shellcheck disable=SC2086
    set -- $what
    stated=$(awk -v option="--$1" '
        on && /^  .*--/ { exit }
        on { text = text " " $0 }
        $1 == option { on = 1 }
        END { sub(/.*\(default */, "", text); sub(/\).*/, "", text); print text }' "$work/locate_help")
    used=$(sed -n "s/.*\"$2\":\"\{0,1\}\([^\",]*\).*/\1/p" "$work/located/locate.json" | head -n 1)
    [ -n "$used" ] && [ "$stated" = "$used" ] || die "--$1: the help states \"$stated\", used was \"$used\""
done
# 0 is 0, and the published thresholds are called so.
run 0 locate "$work/planted" --items "$items" -o "$work/floor" --confirm 0 --permutations 99 --floor 0 --json
grep -q '"select":"fdr","q_level":0.05,"floor":0,' "$work/floor/locate.json" || die "--floor 0 was not taken"
run 0 locate "$work/planted" --items "$items" -o "$work/floor" --confirm 0 --permutations 99 --select published --json
grep -q '"select":"published"' "$work/floor/locate.json" || die "--select published was not taken"
refused 2 'one of fdr, published is wanted' locate "$work/planted" --items "$items" -o "$work/floor" --select seed
run 0 locate "$work/planted" --items "$items" -o "$work/located" --confirm 2 --permutations 999 --json

# How far the predicted order agrees with what ablating did is Spearman's rho of what confirm.csv lists: of |score|
# with |zero|, and of the predicted change with zero (no ties among these).
rho() {
    awk -F, -v a="$1" -v b="$2" -v sign="$3" '
        function of(x) { return sign == "abs" && x < 0 ? -x : x + 0 }
        NR > 1 { x[++n] = of($a); y[n] = of($b) }
        END {
            for (i = 1; i <= n; i++) {
                d = 0
                for (k = 1; k <= n; k++)
                    d += (x[k] < x[i]) - (y[k] < y[i])
                sum += d * d
            }
            printf "%.9f", 1 - 6 * sum / (n * (n * n - 1))
        }' "$work/located/confirm.csv"
}
[ "$(wc -l <"$work/located/confirm.csv")" = 5 ] || die "not two heads and two to compare them with"
for what in "confirmed 4 6 abs" "confirmed_effect 5 6 as_it_is"; do
    # shellcheck disable=SC2086
    set -- $what
    found=$(sed -n "s/.*\"$1\":\([-0-9.e]*\).*/\1/p" "$work/out")
    echo "$found $(rho "$2" "$3" "$4")" | awk '{ exit !($1 != "" && $1 - $2 < 1e-6 && $2 - $1 < 1e-6) }' ||
        die "$1 is $found, not $(rho "$2" "$3" "$4")"
done

# The same answers asked again cost nothing and change no byte.
cp -r "$work/located" "$work/once"
run 0 locate "$work/planted" --items "$items" -o "$work/located" --confirm 2 --permutations 999 --json
same "$work/once/heads.csv" "$work/located/heads.csv" "resumed"
same "$work/once/locate.json" "$work/located/locate.json" "resumed"
run 0 locate "$work/planted" --items "$items" -o "$work/one" --confirm 2 --permutations 999 --threads 1 --batch-tokens 100
same "$work/once/heads.csv" "$work/one/heads.csv" "one thread, small batches"

# A model with nothing planted: nothing found, and that is said.
run 0 plant -o "$work/null" --seed 3 --null
run 0 locate "$work/null" --items "$work/null/items.jsonl" -o "$work/nothing" --permutations 999 --confirm 0
says 'Nothing found'

# A sentence pair of which one sentence is too long is skipped, and said to be; the others are looked at.
mkdir "$work/pairs"
awk 'BEGIN {
    for (i = 0; i < 31; i++) {
        long = ""
        for (k = 0; i == 30 && k < 300; k++)
            long = long "very "
        printf "{\"id\":\"p%d\",\"category\":\"c\",\"cluster\":\"k%d\",\"direction\":\"stereo\",", i, i / 2
        printf "\"sent_more\":\"The cat sat on %d.\",\"sent_less\":\"The dog sat on %s%d.\"}\n", i, long, i
    }
}' >"$work/pairs/pairs.jsonl"
run 0 locate "$llama" --tasks pairs --probes "$work/pairs" --split all --permutations 99 --confirm 0 --json \
    -o "$work/located_pairs"
says '"n_item":30'
tail -n 1 "$work/located_pairs/samples_locate.jsonl" |
    grep -qx '{"doc_id":30,.*"skipped":"longer than the model.s context"}' || die "a pair that is too long"

refused 2 'one of group_attention, context_attention' locate "$work/planted" --items "$items" -o "$work/bad" --statistics maximum
refused 2 'one benchmark at a time' locate "$work/planted" --tasks probes,pairs -o "$work/bad"
refused 2 'another' locate "$work/planted" --items "$items" -o "$work/located" --statistics head_relevance
refused 2 'cannot be located on utility' locate "$work/planted" --tasks utility --probes "$work/planted" -o "$work/bad"
refused 2 'cannot locate on utility' run "$work/planted" --tasks utility -o "$work/bad"
refused 2 'there is no benchmark "probe"' run "$work/planted" --items "$items" --also probe -o "$work/bad"
# What is measured beside a benchmark is not the benchmark itself.
run 0 run "$repo/tests/golden/tiny/llama" --tasks pairs --limit 4 --no-model -o "$work/pairs"
[ -s "$work/pairs/bias_evaluation/samples_utility.jsonl" ] || die "nothing measured beside pairs"

# ---- run ------------------------------------------------------------------------------------------

options="--items $items --probes $work/planted --points 4 --train edited --steps 6 --json"
go() {
    # shellcheck disable=SC2086
    run 0 run "$work/planted" $options -o "$1"
}
go "$work/run"
says '"found":true'
for f in run.json report.html report.md unlearning_results.csv edit.json SHA256SUMS bias_evaluation/results.json \
    bias_localization_before/heads.csv bias_localization_after/heads.csv bias_mitigation/samples_search.jsonl \
    bias_mitigation/calibration/tune.jsonl bias_evaluation_after/results.json model/model.safetensors; do
    [ -s "$work/run/$f" ] || die "no $f"
done
(cd "$work/run" && sha256sum --quiet -c SHA256SUMS) || die "SHA256SUMS does not hold"
# At least nine tenths of the bias are gone on templates that chose nothing, and every utility question is answered
# as before.
awk -F, '$1 == "items" && $2 == "all" && $3 == "log_ratio" { found = 1; if ($6 / $5 > 0.1) exit 1 }
    END { exit !found }' "$work/run/unlearning_results.csv" || die "less than nine tenths of the bias are gone"
awk -F, '$1 == "utility" && $2 == "all" && $3 == "acc" { found = 1; if ($7 != 0) exit 1 } END { exit !found }' \
    "$work/run/unlearning_results.csv" || die "utility changed"
# What was written is a model, and carries the edit.
run 0 compare "$work/planted" "$work/run/model"
refused 1 'applied already' edit "$work/run/model" --recipe "$work/run/edit.json" -o "$work/twice"

refused 2 'applied already' run "$work/run/model" --items "$items" --probes "$work/planted" -o "$work/twice" --json

# Killed after ever longer times, in whatever stage that is, and resumed: the same bytes at the end.
tries=0
delay=0.05
while [ ! -s "$work/killed/report.html" ]; do
    # shellcheck disable=SC2086
    timeout -s KILL "$delay" "$program" run "$work/planted" $options -o "$work/killed" >/dev/null 2>&1 || true
    tries=$((tries + 1))
    delay=$(echo "$delay" | awk '{ print $1 * 1.3 }')
    [ "$tries" -lt 60 ] || die "not done after 60 tries"
done
go "$work/killed"
(cd "$work/run" && find . -type f ! -name reproduce.json ! -name journal.jsonl ! -name run.json ! -name 'report.*' |
    sort) >"$work/files"
while read -r f; do
    same "$work/run/$f" "$work/killed/$f" "killed $tries times"
done <"$work/files"
# The record names the folder in its command, and nothing else differs.
sed "s,$work/killed,$work/run,g" "$work/killed/run.json" >"$work/killed.json"
same "$work/run/run.json" "$work/killed.json" "the record"

refused 2 'names several' run "$work/planted" --tasks probes,pairs -o "$work/bad"
refused 2 'give both' run "$work/planted" --items "$items" --heads 2 -o "$work/bad"

# Categories are those of the benchmark that is judged; what is measured beside it has its own.
run 0 plant -o "$work/small" --seed 4
run 0 run "$work/small" --items "$work/small/items.jsonl" --probes "$work/small" --categories clan,creed -o "$work/two" \
    --points 2 --no-model --json
grep -q '^utility,all,acc' "$work/two/unlearning_results.csv" || die "no utility beside two categories"
refused 2 'no category' run "$work/small" --items "$work/small/items.jsonl" --categories nobody -o "$work/bad"
