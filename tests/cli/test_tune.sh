#!/bin/sh
# tune: what a training leaves, that it goes on to the same bytes, and what it refuses.
# shellcheck source=tests/cli/lib.sh
. "$2/tests/cli/lib.sh"
export EVENHAND_PROBES="$repo/data/probes"
pid=
disk=
clean() {
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
    [ -z "$disk" ] || umount "$disk"
    rm -rf "$work"
}
trap clean EXIT

cat >"$work/edit.json" <<'END'
{"version": 1, "units": [
  {"kind": "head", "layer": 0, "index": 1, "mode": "soft", "alpha": 0.4},
  {"kind": "head", "layer": 1, "index": 2, "mode": "zero", "alpha": 1}]}
END
printf '{"prompt": "Sky is", "answer": "blue"}\n{"prompt": "Grass is", "answer": "green"}\n' >"$work/mine.jsonl"

# tune DIR OPTION...: the edit, few items, a rate that shows.
tune() {
    folder=$1
    shift
    run 0 tune "$llama" --recipe "$work/edit.json" --limit 4 --lr 1e-3 --text "$repo/data/probes/plain.txt" \
        --tasks probes --text-block 32 --save-every 5 -o "$folder" "$@"
}

# trained_same DIR DIR WHAT
trained_same() {
    for file in tune.jsonl tune.ckpt model/model.safetensors; do
        same "$1/$file" "$2/$file" "$3"
    done
}

# ---- What it leaves, and says --------------------------------------------------------------------

tune "$work/plain" --threads 1
says 'weights trained'
says 'nats per token of what was held out: '
says "The model is $work/plain/model (4 of 20 tensors written anew)"
[ -s "$work/plain/tune.json" ] && [ -s "$work/plain/tune.ckpt" ] || die "not all files"
if have jq; then
    jq -es 'length > 10 and .[0].loss == null and (.[1:] | all(.[]; (.loss | type) == "number" and .grad_norm > 0))
        and (last.tune_loss < .[0].tune_loss) and last.lr < .[1].lr' "$work/plain/tune.jsonl" >/dev/null || die "tune.jsonl"
    jq -e '.train == "edited" and (.recipe.units | length == 2) and .split == "tune" and .text_share == 0.25
        and .fingerprint_before != .fingerprint_after' "$work/plain/tune.json" >/dev/null || die "tune.json"
    run 0 tune "$llama" --train norms --examples "$work/mine.jsonl" --held-out 0 --steps 2 --json -o "$work/json"
    jq -e '.examples == 2 and .held_out == 0 and .steps == 2 and .held_out_before == null and .tensors_changed == 5' \
        "$work/out" >/dev/null || die "--json"
fi
# What was written is a model like any other.
run 0 inspect "$work/plain/model"

tune "$work/two" --threads 2
trained_same "$work/two" "$work/plain" "two threads"
# Done is done.
tune "$work/two" --threads 1
trained_same "$work/two" "$work/plain" "a second call"

# The same from a GGUF file, which stays one.
run 0 tune "$repo/tests/golden/tiny/gguf/llama-F32.gguf" --recipe "$work/edit.json" --tasks probes --limit 4 --steps 2 \
    -o "$work/gguf"
run 0 inspect "$work/gguf/model.gguf"
for how in '--train attention --answer text' '--train norms --kl 0.5' '--train all --patience 2'; do
    rm -rf "$work/how"
    # shellcheck disable=SC2086
    tune "$work/how" --steps 3 --eval-every 1 $how
done

# ---- Killed and gone on ----------------------------------------------------------------------------

# A training of some seconds, in the background; the caller sees to its end.
long() {
    "$program" tune "$llama" --train all --examples "$work/mine.jsonl" --held-out 0 --steps 1000 --save-every 20 \
        --lr 1e-4 --threads 1 -o "$1" >"$work/out" 2>"$work/err"
}
long "$work/whole" || die "the long training"
for signal in KILL INT KILL; do
    folder=$work/on-$signal
    long "$folder" &
    pid=$!
    waited=0
    until [ -s "$folder/tune.ckpt" ] || [ "$waited" -ge 600 ]; do
        sleep 0.05
        waited=$((waited + 1))
    done
    kill -$signal "$(ps -o pid= --ppid "$pid" | head -n 1)" 2>/dev/null || kill -$signal "$pid"
    status=0
    wait "$pid" || status=$?
    pid=
    [ "$status" != 0 ] || die "the training had ended before SIG$signal"
    [ ! -e "$folder/model" ] || die "a model after SIG$signal"
done
for signal in KILL INT; do
    long "$work/on-$signal" || die "going on after SIG$signal"
    trained_same "$work/on-$signal" "$work/whole" "going on after SIG$signal"
    [ "$(find "$work/on-$signal" -name '*.part*' | wc -l)" -le 2 ] || die "parts left behind"
done

# ---- Refusals ---------------------------------------------------------------------------------------

refused 2 'no edit is in force' tune "$llama" -o "$work/no"
refused 2 'is the checkpoint of another training: its lr is ' tune "$llama" --recipe "$work/edit.json" --limit 4 \
    --lr 1e-4 --text "$repo/data/probes/plain.txt" --tasks probes --text-block 32 --save-every 5 -o "$work/plain"
mkdir -p "$work/theirs/model"
refused 2 'is there already, and no training of ours beside it' tune "$llama" --recipe "$work/edit.json" -o "$work/theirs"
refused 2 'nothing to learn from "pairs"' tune "$llama" --train all --tasks pairs -o "$work/no"
refused 1 'no --data folder is given' tune "$llama" --train all --tasks bbq -o "$work/no"
refused 1 '--precision f32' tune "$llama" --train all --precision bf16 --limit 4 -o "$work/no"
printf '{"prompt": "a"}\n' >"$work/bad.jsonl"
refused 1 'bad.jsonl: line 1: has no "answer"' tune "$llama" --train all --examples "$work/bad.jsonl" -o "$work/no"
refused 1 'cannot open' tune "$llama" --train all --text "$work/nothing" -o "$work/no"
refused 2 '--lr' tune "$llama" --train all --lr 0 -o "$work/no"
[ ! -e "$work/no" ] || [ -z "$(ls "$work/no")" ] || die "a refusal left files: $(ls "$work/no")"

if may_mount "$work/disk" 300k; then
    disk=$work/disk
    refused 1 'No space left on device' tune "$llama" --train all --tasks probes --limit 4 --steps 2 -o "$work/disk/out"
    [ ! -e "$work/disk/out/tune.ckpt" ] || die "a checkpoint on a full disk"
    mount -o remount,size=20m none "$work/disk"
    run 0 tune "$llama" --train all --tasks probes --limit 4 --steps 2 -o "$work/disk/out"
fi
