#!/bin/sh
# Wrong usage ends with status 2 and one sentence that says what is wrong.
# shellcheck source=tests/cli/lib.sh
. "$2/tests/cli/lib.sh"

refused 2 'score wants a MODEL' score
refused 2 'score wants --requests FILE' score "$llama"
refused 2 'no option --request; did you mean --requests?' score "$llama" --request x
refused 2 'no option --zzz; "evenhand help score"' score "$llama" --zzz
# Three of seven letters may be wrong, not four.
refused 2 'no option --thrxads; did you mean --threads?' score "$llama" --thrxads
refused 2 'no option --thrxxx; "evenhand help score"' score "$llama" --thrxxx
refused 2 'no option -q' score "$llama" -q
refused 2 'one operand too many' score "$llama" "$llama"
refused 2 '--requests wants a value (FILE)' score "$llama" --requests
refused 2 'write --requests=--out if that' score "$llama" --requests --out
refused 2 '--no-prefix-sharing is "maybe"; yes or no' score "$llama" --requests - --no-prefix-sharing=maybe
refused 2 'one of auto, f32, bf16 is wanted' score "$llama" --requests - --precision f16

for number in 1025 -1 9999999999999999999999; do
    refused 2 "--threads is \"$number\"; a number from 1 to 1024 or all is wanted" score "$llama" --requests - --threads=$number
done
for number in x 1x '' ' 1' 0x10 inf nan 1e999; do
    refused 2 "a number or all is wanted" score "$llama" --requests - "--threads=$number"
done
refused 2 'a whole number is wanted' score "$llama" --requests - --threads 1.5
for size in 1Q M 1MM 1MiBB -1M.; do
    refused 2 'a size such as 512M' score "$llama" --requests - "--memory=$size"
done
for size in 100000000 100M 0.1G 102400KiB 96MB; do
    run 0 inspect "$llama" --time no --memory $size
done

# Nothing after -- is an option; the model of that name is not there.
refused 1 '--help' inspect -- --help

refused 2 'either --prompt or --prompts' generate "$llama"
refused 2 'either --prompt or --prompts' generate "$llama" --prompt a --prompts b
refused 2 'all 2 samples would be the same' generate "$llama" --prompt a --samples 2
refused 2 'either --text or --documents' perplexity "$llama"
refused 2 '--documents wants --kind harness' perplexity "$llama" --documents x --kind wanda
refused 2 'takes neither --input nor --decode' tokenize "$llama" --text a --decode
refused 2 'takes neither --text nor --decode' tokenize "$llama" --plain --decode
refused 2 'choose one' audit "$llama" --resume --force
refused 2 'there is no benchmark "prob"; did you mean "probes"?' audit "$llama" --tasks utility,prob
for gate in x bbq:s 'bbq:s>' 'bbq:s>x' 's>1' 'bbq:s>>1' 'bbq:s>1 '; do
    refused 2 "--fail-if \"$gate\"" audit "$llama" --fail-if "$gate"
done

# A wrong model is no wrong usage.
refused 1 "$work/none" inspect "$work/none"
