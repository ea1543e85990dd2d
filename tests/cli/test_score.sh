#!/bin/sh
# score: what goes in comes out in order, with the same numbers however it was computed.
# shellcheck source=tests/cli/lib.sh
. "$2/tests/cli/lib.sh"

# Every sequence of golden.json from token 1 on, ids of every kind, a line without an id.
cat >"$work/in.jsonl" <<'END'
{"id": "len9", "tokens": [12,262,100,394,439,96,43,226,106], "from": 1}
{"id": {"a": [1, 2.5, 5.0, null, true], "b": "\u00e9\n\u0000"}, "tokens": [315,420], "from": 1}

{"tokens": [12,262,100,394,439], "from": 4, "more": "is let be"}
{"id": 18014398509481985, "tokens": [12,262,100,394,439,96,43,226,1], "from": 8}
END
run 0 score "$llama" --requests "$work/in.jsonl"
cp "$work/out" "$work/plain"
[ "$(wc -l <"$work/out")" = 4 ] || die "not four answers"
says '{"id":{"a":[1,2.5,5.0,null,true],"b":"é\n\u0000"},"logprob":'
says '{"id":4,"logprob":'
says '{"id":18014398509481985,"logprob":'
says '"tokens":[262,100,394,439,96,43,226,106],"is_greedy":false}'
grep -q "^4 requests in .* tokens computed for " "$work/err" || die "no summary"

# golden.json, float64: mean_next_token_nll of len9 and len2.
awk -F'"logprob":' '
    function near(x, y) { return x - y < 1e-4 && y - x < 1e-4 }
    NR == 1 { ok += near(-$2 / 8, 11.215034318436926) }
    NR == 2 { ok += near(-$2, 7.600856762797876) }
    END { exit ok != 2 }' "$work/plain" || die "not the golden's log-probabilities"

# The same bytes from any number of threads, any batch, shared prefixes or not, file or pipe.
for how in '--threads 1' '--threads 2' '--batch-tokens 3' --no-prefix-sharing '--memory 1'; do
    # shellcheck disable=SC2086
    run 0 score "$llama" --requests "$work/in.jsonl" --precision f32 $how
    same "$work/out" "$work/plain" "$how"
done
"$program" score "$llama" --requests - <"$work/in.jsonl" >"$work/out" 2>"$work/err"
same "$work/out" "$work/plain" "standard input"
run 0 score "$llama" --requests "$work/in.jsonl" -o "$work/answers"
[ ! -s "$work/out" ] || die "answers on stdout, too"
same "$work/answers" "$work/plain" "an output file"

# More lines than a block holds.
awk 'BEGIN { for (i = 0; i < 3000; i++) printf "{\"tokens\": [%d, %d, %d], \"from\": 1}\n", i % 7, i % 500, i % 11 }' \
    >"$work/many.jsonl"
run 0 score "$llama" --requests "$work/many.jsonl" --threads 1
awk -F'[:,]' '$2 != NR { exit 1 } END { exit NR != 3000 }' "$work/out" || die "blocks out of order"
grep -q '^3,000 requests' "$work/err" || die "no summary of blocks"

# Nine digits are enough for any float, and no number has more.
sed 's/.*"token_logprobs":\[\([^]]*\).*/\1/' "$work/out" | tr , '\n' | sed 's/^[-0.]*//; s/e.*//; s/\.//' >"$work/digits"
awk 'length > 9 { exit 1 } length == 9 { n++ } END { exit NR != 6000 || n == 0 }' "$work/digits" ||
    die "more digits than a float has"

# Bad lines: file, line and reason; the output file is as it was, and nothing is left beside it.
bad() {
    printf '{"tokens": [1,2], "from": 1}\n%s\n' "$2" >"$work/bad.jsonl"
    echo before >"$work/kept"
    refused 1 "$1" score "$llama" --requests "$work/bad.jsonl" -o "$work/kept"
    case $(cat "$work/err") in
    "evenhand: $work/bad.jsonl:2: "*) ;;
    *) die "no place in the message" ;;
    esac
    [ "$(cat "$work/kept")" = before ] || die "the output was touched"
    [ "$(find "$work" -name 'kept*' | wc -l)" = 1 ] || die "something was left behind"
}
bad 'not JSON' '{"tokens": [1,2], "from": 1'
bad 'not JSON' "$(printf '\377')"
bad 'a JSON object is wanted' '[1,2]'
bad 'exactly one of' '{"id": 1}'
bad 'exactly one of' '{"tokens": [1,2], "from": 1, "context": "a", "continuation": "b"}'
bad '"from" is missing' '{"tokens": [1,2]}'
bad '"from" is not a whole number' '{"tokens": [1,2], "from": 1.5}'
bad '"from" is 0; with 2 tokens it must lie in 1..1' '{"tokens": [1,2], "from": 0}'
bad '"from" is 2' '{"tokens": [1,2], "from": 2}'
bad '"from" is 1; with 0 tokens' '{"tokens": [], "from": 1}'
bad '"tokens"[1] is 512; the model'"'"'s vocabulary is 0..511' '{"tokens": [1,512], "from": 1}'
bad '"tokens"[0] is -1' '{"tokens": [-1,2], "from": 1}'
bad '"tokens"[1] is not a whole number' '{"tokens": [1,"2"], "from": 1}'
bad '"tokens" is not an array' '{"tokens": "1,2", "from": 1}'
bad '"context" is missing' '{"continuation": "a"}'
bad '"continuation" is not a string' '{"context": "a", "continuation": 1}'
bad '"choices" is not an array' '{"context": "a", "choices": []}'
bad '"choices"[1] is not a string' '{"context": "a", "choices": ["b", 2]}'
bad '258 tokens; the model' "{\"tokens\": [$(seq -s, 1 258)], \"from\": 1}"
bad 'not JSON: maximum parsing depth' "$(awk 'BEGIN { while (i++ < 100000) printf "[" }')"
run 0 score "$llama" --requests /dev/null
[ ! -s "$work/out" ] || die "answers to nothing"
refused 1 "$work/none: cannot open" score "$llama" --requests "$work/none"
refused 1 'cannot read' score "$llama" --requests "$work"
refused 1 'cannot open for writing' score "$llama" --requests "$work/in.jsonl" -o "$work/no/folder"
refused 1 'is a folder' score "$llama" --requests "$work/in.jsonl" -o "$work"

# A link is followed, a device is written to and stays one.
ln -s answers "$work/link"
run 0 score "$llama" --requests "$work/in.jsonl" -o "$work/link"
[ -h "$work/link" ] && same "$work/answers" "$work/plain" "an output behind a link"
run 0 score "$llama" --requests "$work/in.jsonl" -o /dev/null
[ -c /dev/null ] || die "/dev/null was replaced"

# Text: a pair, choices, an empty context, and a context that ends in blanks.
cat >"$work/text.jsonl" <<'END'
{"context": "The sky is", "continuation": " blue"}
{"context": "The sky is ", "continuation": "blue"}
{"context": "The sky is", "choices": [" blue", " red"]}
{"context": "", "continuation": "blue"}
END
run 0 score "$llama" --requests "$work/text.jsonl"
sed -n 1p "$work/out" | sed 's/.*"logprob"/"logprob"/' >"$work/1"
sed -n 2p "$work/out" | sed 's/.*"logprob"/"logprob"/' >"$work/2"
same "$work/1" "$work/2" "blanks that move to the continuation"
first=$(sed -n 's/.*"token_logprobs":\[\([^],]*\).*/\1/p' "$work/1")
sed -n 3p "$work/out" | grep -qF "{\"id\":3,\"logprobs\":[$first," || die "choices and pairs disagree"

# Text without a tokenizer is refused, tokens are not.
mkdir "$work/bare"
cp "$llama/config.json" "$llama/model.safetensors" "$work/bare"
refused 1 'text.jsonl:1: ' score "$work/bare" --requests "$work/text.jsonl"
run 0 score "$work/bare" --requests "$work/in.jsonl"
same "$work/out" "$work/plain" "a model without a tokenizer"

# Output that cannot be written.
if have_full; then
    refused 1 'cannot write: No space left' score "$llama" --requests "$work/in.jsonl" -o /dev/full
    status=0
    "$program" score "$llama" --requests "$work/many.jsonl" --threads 1 >/dev/full 2>"$work/err" || status=$?
    [ $status = 1 ] && grep -q 'standard output: cannot write: No space left' "$work/err" || die "/dev/full: $status"
fi
status=0
"$program" score "$llama" --requests "$work/in.jsonl" >&- 2>"$work/err" || status=$?
[ $status = 1 ] && grep -q 'standard output: cannot write' "$work/err" || die "closed stdout: $status"
{ "$program" score "$llama" --requests "$work/many.jsonl" --threads 1 2>"$work/err" || echo $? >"$work/status"; } | head -n 1 >/dev/null
[ "$(cat "$work/status")" = 1 ] && grep -q 'cannot write: Broken pipe' "$work/err" || die "a pipe that closes"

# Ctrl+C while requests still come: what is at hand is finished, and the output is as it was.
interrupted() {
    rm -f "$work/fifo" "$work/status"
    mkfifo "$work/fifo"
    echo before >"$work/kept"
    { "$program" score "$llama" --requests "$work/fifo" -o "$work/kept" 2>"$work/err" || echo $? >"$work/status"; } &
    exec 3>"$work/fifo"
    tries=0
    while ! pid=$(find "$work" -name 'kept.part-*' | grep .); do
        [ $((tries += 1)) -lt 100 ] || die "no output file in the making"
        sleep 0.1
    done
    pid=${pid##*-}
    sleep 0.3
    "$@"
    exec 3>&-
    wait
    [ "$(cat "$work/status")" = 130 ] || die "interrupted: status $(cat "$work/status")"
    [ "$(cat "$work/kept")" = before ] && [ "$(find "$work" -name 'kept*' | wc -l)" = 1 ] || die "interrupted: files"
}
once() {
    kill -INT "$pid"
    echo '{"tokens": [1,2], "from": 1}' >&3
}
twice() {
    kill -INT "$pid"
    sleep 0.1
    kill -INT "$pid"
}
interrupted once
grep -q 'interrupted after 1 requests; the output file was not written' "$work/err" || die "not told of it"
interrupted twice
! grep -q 'interrupted after' "$work/err" || die "the second Ctrl+C did not stop at once"

if have jq; then
    run 0 score "$llama" --requests "$work/text.jsonl"
    jq -es 'length == 4 and all(.[]; has("id")) and (.[0] | .logprob - (.token_logprobs | add) | fabs < 1e-5)' \
        "$work/out" >/dev/null || die "not the JSON that was promised"
fi
