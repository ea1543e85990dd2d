#!/bin/sh
# tune.sh - training all weights of SmolLM2 in f32, 4 x 256 tokens a step: evenhand against transformers, in turns.
#
#   sh bench/venv.sh /var/tmp/bench-venv
#   sh bench/tune.sh --venv /var/tmp/bench-venv --model /var/tmp/models/smollm2-hf [--rounds 3]
#
# Printed: tokens/s, peak memory, and both ratios a round. evenhand's rate comes from two runs, of 2 and of 2 + N steps,
# so that loading, packing once and writing the model are outside of it, as they are outside of the baseline's.
#   --rounds N (3)   --steps N (6)   --threads N (2)   --skip transformers   leaves the baseline out
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
evenhand=${EVENHAND:-$root/build/release/evenhand}
text=$root/data/probes/plain.txt
venv=/var/tmp/bench-venv model='' rounds=3 steps=6 threads=2 skip=''
while [ $# -gt 0 ]; do
    case $1 in
    --venv | --model | --rounds | --steps | --threads | --skip)
        [ $# -ge 2 ] || { echo "tune.sh: $1 wants a value" >&2; exit 2; }
        eval "${1#--}=\$2" ;;
    *) echo "tune.sh: unknown option $1 (see the head of $0)" >&2; exit 2 ;;
    esac
    shift 2
done
[ -n "$model" ] || { echo "tune.sh: --model is needed" >&2; exit 2; }
work=$(mktemp -d "${TMPDIR:-/var/tmp}/tune-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT

# ours STEPS: "seconds peak-kB" of a whole run
ours() {
    rm -rf "$work/out"
    /usr/bin/time -f '%e %M' -o "$work/time" "$evenhand" tune "$model" --train all --text "$text" --text-block 256 \
        --text-batch 4 --held-out 0 --steps "$1" --schedule constant --threads "$threads" --precision f32 \
        -o "$work/out" >"$work/said" 2>"$work/talk" || { cat "$work/talk" >&2; exit 1; }
    tail -n 1 "$work/time"
}

for round in $(seq "$rounds"); do
    short=$(ours 2)
    long=$(ours $((2 + steps)))
    rate=$(echo "$short $long" | awk -v n="$steps" '{ printf "%.1f", n * 1024 / ($3 - $1) }')
    peak=$(echo "$long" | awk '{ print $2 }')
    echo "round $round: evenhand $rate tokens/s, $((peak / 1024)) MiB"
    [ "$skip" != transformers ] || continue
    "$venv/bin/python" "$root/bench/tune_transformers.py" "$model" --text "$text" --steps $((1 + steps)) \
        --threads "$threads" >"$work/base" 2>"$work/talk" || { cat "$work/talk" >&2; exit 1; }
    "$venv/bin/python" - "$work/base" "$rate" "$peak" "$round" <<'END'
import json, sys
d = json.load(open(sys.argv[1]))
print(f"round {sys.argv[4]}: transformers {d['tokens_per_s']:.1f} tokens/s, {d['peak_bytes'] >> 20} MiB; "
      f"speed {float(sys.argv[2]) / d['tokens_per_s']:.2f}x, memory {int(sys.argv[3]) * 1024 / d['peak_bytes']:.2f}x")
END
done
