#!/bin/sh
# speed.sh - evenhand against transformers on BBQ, the same rows, weights, threads and precision, taken in turns.
#
#   sh bench/venv.sh /var/tmp/bench-venv
#   /var/tmp/bench-venv/bin/python bench/gguf_to_hf.py "$(sh bench/smollm2.sh /var/tmp/models)" /var/tmp/models/smollm2-hf
#   sh bench/speed.sh --venv /var/tmp/bench-venv --model /var/tmp/models/smollm2-hf --data /path/to/bbq [--log]
#
# Each round runs batched transformers, single-prompt transformers, evenhand, for each precision. Printed are rows/s and,
# per round, evenhand's rate divided by the baseline's: the smallest and the median over rounds. Start-up and loading are
# outside of both rates, prompts and tokenising inside. Run it on an idle machine: both sides wait at barriers.
#   --rounds N     (3)      --rows N  of each category (40)     --threads N (2)     --precision "f32 bf16"
#   --skip single  leaves a slow baseline out (single or batched)
#   --out DIR      keeps every run's JSON there (a temporary folder otherwise)
#   --log          appends one line per precision to docs/speed.md
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)

# ---- what to change when evenhand's command line does: the command, and where it writes its rate -------------------
evenhand=${EVENHAND:-$root/build/release/evenhand}
run_evenhand() {    # precision, out folder
    "$evenhand" audit "$model" --tasks bbq --data "$data" --orders stored --rows "$rows" --threads "$threads" \
        --precision "$1" --out "$2" >"$2.stdout" 2>"$2.stderr"
}
evenhand_rate='d["rows_per_s"]'                         # Python, d = OUT/reproduce.json
# ---------------------------------------------------------------------------------------------------------------------

venv=/var/tmp/bench-venv log_file='' model='' data='' rounds=3 rows=40 threads=2 precisions='f32 bf16' skip='' out=''
while [ $# -gt 0 ]; do
    case $1 in
    --log) log_file=$root/docs/speed.md; shift; continue ;;
    --venv | --model | --data | --rounds | --rows | --threads | --skip | --out)
        [ $# -ge 2 ] || { echo "speed.sh: $1 wants a value" >&2; exit 2; }
        eval "${1#--}=\$2" ;;
    --precision) precisions=${2:?} ;;
    *) echo "speed.sh: unknown option $1 (see the head of $0)" >&2; exit 2 ;;
    esac
    shift 2
done
if [ -z "$model" ] || [ -z "$data" ]; then
    echo "speed.sh: --model and --data are needed" >&2
    exit 2
fi
[ -x "$evenhand" ] || { echo "speed.sh: no $evenhand; build it, or set EVENHAND" >&2; exit 2; }
if [ -z "$out" ]; then
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
    trap 'exit 130' HUP INT TERM
fi
mkdir -p "$out"
python=$venv/bin/python
read -r load _ </proc/loadavg
case $load in 0.*) ;; *) echo "speed.sh: load is $load: wait until the machine is idle, or trust no number" >&2 ;; esac

round=1
while [ "$round" -le "$rounds" ]; do
    for p in $precisions; do
        for mode in batched single; do
            [ "$mode" = "$skip" ] && continue
            "$python" "$root/bench/bbq_transformers.py" "$model" --data "$data" --mode "$mode" --dtype "$p" \
                --threads "$threads" --rows "$rows" >"$out/$mode.$p.$round.json" 2>"$out/$mode.$p.$round.stderr"
        done
        rm -rf "$out/evenhand.$p.$round"
        if ! run_evenhand "$p" "$out/evenhand.$p.$round"; then
            echo "speed.sh: evenhand failed:" >&2
            tail -n 5 "$out/evenhand.$p.$round.stderr" >&2
            exit 1
        fi
        echo "round $round of $rounds, $p: done" >&2
    done
    round=$((round + 1))
done

"$python" - "$out" "$rounds" "$evenhand_rate" "$log_file" \
    "$(git -C "$root" describe --always --dirty 2>/dev/null || echo unknown)" "$precisions" <<'END'
import datetime, json, pathlib, statistics, sys
out, rounds, where, log, commit, precisions = pathlib.Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]
read = lambda path: json.loads(path.read_text())
for p in precisions.split():
    r = range(1, rounds + 1)
    ours = [eval(where, {"d": read(out / f"evenhand.{p}.{i}" / "reproduce.json")}) for i in r]
    line, host = [f"{statistics.median(ours):.2f}"], None
    print(f"{p}: evenhand {' '.join(f'{x:.2f}' for x in ours)} rows/s")
    for mode in ("batched", "single"):
        if not (out / f"{mode}.{p}.1.json").exists():
            line += ["-", "-"]
            continue
        runs = [read(out / f"{mode}.{p}.{i}.json") for i in r]
        host = runs[0]
        ratio = [o / b["rows_per_s"] for o, b in zip(ours, runs)]
        theirs = statistics.median(b["rows_per_s"] for b in runs)
        print(f"{p}: {mode:8} {' '.join('%.2f' % b['rows_per_s'] for b in runs)} rows/s; "
              f"evenhand is {min(ratio):.2f} times as fast at least, {statistics.median(ratio):.2f} in the median")
        line += [f"{theirs:.2f}", f"{min(ratio):.2f} / {statistics.median(ratio):.2f}"]
    if host:
        print(f"{p}: {host['rows']} rows, {host['threads']} threads, {host['cpu']} ({' '.join(host['features'])}), "
              f"torch {host['versions']['torch']}, transformers {host['versions']['transformers']}")
        if log:                 # date, commit, CPU, precision, rows x rounds, evenhand, batched, ratio min/median, single, ratio
            with open(log, "a") as f:
                f.write("| " + " | ".join([datetime.date.today().isoformat(), commit, f"{host['cpu']} ({' '.join(host['features'])})",
                                           p, f"{host['rows']} x {rounds}", *line]) + " |\n")
END
