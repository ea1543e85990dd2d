#!/bin/sh
# locate.sh - what looking at heads costs: a plain audit, the same items with every forward statistic of every head, and
# with head_effect as well. The three are taken in turns.
#
#   sh bench/locate.sh --model models/SmolLM2-135M-Instruct.Q4_1.gguf
#
#   --rounds N (3)   --categories LIST (Age,Gender)   --answer FORM (letters)   --threads N (2)
# Printed per round: seconds of processor time (user and system: the machine may be shared) and wall time, and at the
# end the ratios to the audit, least and median over rounds. Each command's start and packing are inside.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
evenhand=${EVENHAND:-$root/build/release/evenhand}
model='' rounds=3 categories=Age,Gender answer=letters threads=2
while [ $# -gt 0 ]; do
    case $1 in
    --model | --rounds | --categories | --answer | --threads)
        [ $# -ge 2 ] || { echo "locate.sh: $1 wants a value" >&2; exit 2; }
        eval "${1#--}=\$2" ;;
    *) echo "locate.sh: unknown option $1 (see the head of $0)" >&2; exit 2 ;;
    esac
    shift 2
done
[ -n "$model" ] || { echo "locate.sh: --model is needed" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM

# once WHAT ARGUMENT...: appends "WHAT cpu wall" to the times.
once() {
    what=$1
    shift
    rm -rf "$work/out"
    command time -f "$what %U %S %e" -a -o "$work/times" "$evenhand" "$@" "$model" --categories "$categories" --answer "$answer" \
        --threads "$threads" --split all -o "$work/out" >/dev/null 2>"$work/err" || { tail -n 3 "$work/err" >&2; exit 1; }
}
round=1
while [ "$round" -le "$rounds" ]; do
    once audit audit --tasks probes
    once forward locate --tasks probes --confirm 0 --permutations 99 --resamples 1 --statistics group_attention
    once effect locate --tasks probes --confirm 0 --permutations 99 --resamples 1 --statistics head_effect
    round=$((round + 1))
done
awk '{ cpu = $2 + $3; printf "%-8s %7.2f s of processor, %7.2f s\n", $1, cpu, $4; if ($1 == "audit") base = cpu; else print $1, cpu / base > "/dev/stderr" }' \
    "$work/times" 2>"$work/ratios"
for what in forward effect; do
    grep "^$what" "$work/ratios" | sort -k2 -n | awk -v what="$what" '{ x[NR] = $2 }
        END { printf "%s: %.2f times the audit at least, %.2f in the median\n", what, x[1], x[int((NR + 1) / 2)] }'
done
