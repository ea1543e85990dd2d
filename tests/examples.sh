#!/bin/sh
# The examples say what the program says.
#
#     examples.sh SCORE PROGRAM MODEL
set -eu
score=$1
program=$2
model=$3
export EVENHAND_CONFIG=

said=$("$score" "$model" "The sky is" " blue" " red" | awk '{ printf "%.4f\n", $1 }')
meant=$(printf '{"context": "The sky is", "continuation": " %s"}\n' blue red |
    "$program" score "$model" --requests - 2>/dev/null | sed 's/.*"logprob":\([^,]*\),.*/\1/' |
    awk '{ printf "%.4f\n", $1 }')
if [ -z "$said" ] || [ "$said" != "$meant" ]; then
    echo "score: the example says $said, the program $meant" >&2
    exit 1
fi
status=0
"$score" "$model/none" a b 2>/dev/null || status=$?
[ $status = 1 ] || {
    echo "score: status $status without a model" >&2
    exit 1
}
