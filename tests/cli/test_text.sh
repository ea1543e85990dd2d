#!/bin/sh
# tokenize, generate, perplexity and inspect, on a tiny model.
# shellcheck source=tests/cli/lib.sh
. "$2/tests/cli/lib.sh"

# ---- tokenize: there and back
printf 'Hello, world\n  2023 \303\251\n\n' >"$work/text"
run 0 tokenize "$llama" --plain --input "$work/text"
cp "$work/out" "$work/ids"
[ "$(wc -l <"$work/ids")" = 3 ] || die "not a line each"
run 0 tokenize "$llama" --decode --input "$work/ids"
printf '{"text":"Hello, world"}\n{"text":"  2023 \303\251"}\n{"text":""}\n' >"$work/wanted"
same "$work/out" "$work/wanted" "decoded text"
"$program" tokenize "$llama" <"$work/wanted" >"$work/out"
same "$work/out" "$work/ids" "lines of JSON and plain lines"
run 0 tokenize "$llama" --text 'Hello, world'
head -n 1 "$work/ids" >"$work/wanted"
same "$work/out" "$work/wanted" "--text and a line"
echo '{"text": "a", "id": ["x"]}' | "$program" tokenize "$llama" >"$work/out"
says '{"id":["x"],"ids":['
for line in '{"txt": "a"}' '{"text": 1}' '{'; do
    echo "$line" >"$work/bad"
    refused 1 "$work/bad:1: " tokenize "$llama" --input "$work/bad"
done
echo '{"ids": [1, 99999]}' >"$work/bad"
refused 1 '"ids"[1] is 99999' tokenize "$llama" --decode --input "$work/bad"

# ---- generate: a text does not depend on what it is computed with
run 0 generate "$llama" --prompt 'Hello' --max-new 8 --ignore-eos
cp "$work/out" "$work/streamed"
run 0 generate "$llama" --prompt 'Hello' --max-new 8 --ignore-eos --json
says '{"id":0,"sample":0,"prompt":"Hello","text":"'
if have jq; then
    jq -r .text "$work/out" >"$work/text"
    same "$work/text" "$work/streamed" "the text as it streams and as JSON"
    [ "$(jq '.tokens | length' "$work/out")" = 8 ] || die "not eight tokens"
fi
printf '{"prompt": "Hello", "id": "a"}\n{"prompt": "The"}\n' >"$work/prompts"
run 0 generate "$llama" --prompts "$work/prompts" --max-new 5 --temperature 1 --samples 3 --seed 7
[ "$(wc -l <"$work/out")" = 6 ] || die "not six texts"
says '{"id":"a","sample":2,'
says '{"id":2,"sample":0,'
cp "$work/out" "$work/texts"
run 0 generate "$llama" --prompts "$work/prompts" --max-new 5 --temperature 1 --samples 3 --seed 7 --threads 1 \
    -o "$work/file"
same "$work/file" "$work/texts" "the same seed"
run 0 generate "$llama" --prompts "$work/prompts" --max-new 5 --temperature 1 --samples 3 --seed 8
! cmp -s "$work/out" "$work/texts" || die "another seed gives the same texts"
echo '{"text": "a"}' >"$work/bad"
refused 1 "$work/bad:1: \"prompt\" is missing" generate "$llama" --prompts "$work/bad"
if have_full; then
    status=0
    "$program" generate "$llama" --prompt Hello --max-new 4 >/dev/full 2>"$work/err" || status=$?
    [ $status = 1 ] && grep -q 'cannot write: No space' "$work/err" || die "generate > /dev/full: $status"
fi

# ---- perplexity: rows of WikiText, kinds, documents
field() {
    sed -n 's/.*"'"$1"'":\([-0-9.e+]*\).*/\1/p' "$work/out"
}
awk 'BEGIN { print " "; print " = Title = "; print " "; for (i = 0; i < 40; i++) print " The quick brown fox " i " . " }' \
    >"$work/wiki"
# The same rows, joined by hand.
awk '{ row = NF ? $0 "\n" : ""; printf "%s%s", (NR > 1 ? "\n\n" : ""), row }' "$work/wiki" >"$work/joined"
run 0 perplexity "$llama" --wikitext --text "$work/wiki" --window 64 --json
cp "$work/out" "$work/first"
run 0 perplexity "$llama" --text "$work/joined" --window 64 --json
same "$work/out" "$work/first" "--wikitext and rows joined by hand"
says '{"kind":"wanda","perplexity":'
[ $(($(field tokens))) = $(($(field windows) * 63)) ] || die "blocks of 64 predict 63"
run 0 perplexity "$llama" --text "$work/joined" --window 64 --max-windows 2 --kind sliding --stride 16 --json
[ "$(field tokens)" = 79 ] || die "63 and then 16 tokens are scored"
run 0 perplexity "$llama" --text "$work/joined" --window 64
says 'nats per token'

printf '{"text": "One two three."}\n{"text": ""}\n{"text": "Four five."}\n' >"$work/docs"
run 4 perplexity "$llama" --documents "$work/docs" --json
[ "$(field words)/$(field bytes)" = 5/24 ] || die "words and bytes of two documents"
grep -q '1 documents are empty' "$work/err" || die "the empty document is not told of"
printf '{"page": " = T = \\n One @-@ two ( three ) . "}\n' >"$work/page"
run 0 perplexity "$llama" --documents "$work/page" --json
[ "$(field words)/$(field bytes)" = 12/33 ] || die "words and bytes of the page as it stands"
page=$(field nats)
printf '{"text": " = T =\\nOne-two (three). "}\n' >"$work/page"
run 0 perplexity "$llama" --documents "$work/page" --json
[ "$(field nats)" = "$page" ] || die "a page is scored without the corpus' blanks"
echo '{"body": "x"}' >"$work/bad"
refused 1 "$work/bad:1: \"text\" is missing" perplexity "$llama" --documents "$work/bad"
refused 1 "holds no document" perplexity "$llama" --documents /dev/null

# ---- inspect
run 0 inspect "$llama" --time yes
says 'vocabulary   512 tokens'
says ' s for 1,000 tokens, measured'
run 0 inspect "$llama" --time no --json
says '"n_layer":2,"d_model":64,"n_head":4,"n_kv":2,"d_head":16,"d_ff":96,"n_vocab":512,"n_ctx":256,"n_param":94528,'
says '"seconds_per_1000_tokens":null}'
! have jq || jq -e '.fingerprint | length == 64' "$work/out" >/dev/null || die "no fingerprint"

# No colours where no terminal is, whatever TERM says.
TERM=xterm run 0 help
! grep -q "$(printf '\033')" "$work/out" || die "colours in a file"
