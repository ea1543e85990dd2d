#!/bin/sh
# edit and compare: written, undone, exported, compared; what cannot be is refused and leaves nothing.
# shellcheck source=tests/cli/lib.sh
. "$2/tests/cli/lib.sh"

gguf=$repo/tests/golden/tiny/gguf/llama-Q8_0.gguf
edited=$work/edited
recipe=$work/edit.json
cat >"$recipe" <<'R'
{"version": 1, "units": [
  {"kind": "head", "layer": 1, "index": 2, "mode": "soft", "alpha": 0.3},
  {"kind": "neuron", "layer": 0, "index": 3, "mode": "zero"}]}
R
sums() {
    (cd "$1" && find . -type f ! -name edit.undo | LC_ALL=C sort | xargs sha256sum)
}

# A folder, and back.
run 0 edit "$llama" --recipe "$recipe" -o "$edited"
says "$edited: 5 of "
says 'kept for --undo'
[ ! -s "$work/err" ] || die "something on stderr"
run 0 edit "$edited" --undo -o "$work/back"
[ "$(sums "$llama")" = "$(sums "$work/back")" ] || die "undo gave other bytes"
[ "$(sums "$llama")" != "$(sums "$edited")" ] || die "nothing was edited"
same "$llama/tokenizer.json" "$edited/tokenizer.json" "the tokenizer was not carried over"
run 0 inspect "$edited" --time no

# A GGUF file, and back.
run 0 edit "$gguf" -r "$recipe" -o "$work/edited.gguf"
run 0 edit "$work/edited.gguf" --undo -o "$work/back.gguf"
same "$gguf" "$work/back.gguf" "undo"

# What differs, in words and as JSON.
run 0 compare "$llama" "$edited"
says 'model.layers.1.self_attn.o_proj.weight'
says '5 of '
grep -qE '^head +1 +2 ' "$work/out" || die "the head is not named"
grep -qE '^neuron +0 +3 ' "$work/out" || die "the neuron is not named"
run 0 compare "$llama" "$llama"
says 'no number differs'
run 0 compare "$gguf" "$work/edited.gguf"
says 'blk.1.attn_q.weight'
if have jq; then
    run 0 compare "$llama" "$edited" --json
    jq -e '.n_tensor_differ == 5 and (.units | length == 2) and (.equal_bytes < 1) and
           ([.tensors[] | select(.unequal > 0)] | length == 5)' "$work/out" >/dev/null || die "compare --json"
fi
refused 1 'only models of one shape' compare "$llama" "$repo/tests/golden/tiny/qwen2"

# An adapter.
run 0 edit "$llama" -r "$recipe" --lora "$work/adapter"
says 'rank 16 at most'
[ -s "$work/adapter/adapter_model.safetensors" ] && [ -s "$work/adapter/adapter_config.json" ] || die "no adapter"
run 0 edit "$llama" -r "$recipe" --lora "$work/adapter16" --lora-rank 16
same "$work/adapter/adapter_model.safetensors" "$work/adapter16/adapter_model.safetensors" "a limit that is just met"
refused 1 'above the limit of 15' edit "$llama" -r "$recipe" --lora "$work/adapter4" --lora-rank 15
refused 1 'above the limit of 4' edit "$llama" -r "$recipe" --lora "$work/adapter4" --lora-rank 4
refused 1 'is a GGUF file' edit "$gguf" -r "$recipe" --lora "$work/adapter4"

# Wrong use.
refused 2 '--recipe, or --undo' edit "$llama" -o "$work/no"
refused 2 '-o for the edited model' edit "$llama" -r "$recipe"
refused 2 '--undo wants -o' edit "$edited" --undo
refused 2 'neither --recipe nor --lora' edit "$edited" --undo -r "$recipe" -o "$work/no"

# Recipes that cannot be applied.
refused 1 "$work/none.json" edit "$llama" -r "$work/none.json" -o "$work/no"
bad() { # bad WORDS UNIT
    echo "{\"version\": 1, \"units\": [$2]}" >"$work/bad.json"
    refused 1 "$1" edit "$llama" -r "$work/bad.json" -o "$work/no"
}
bad 'unit 0 is layer 1, head 4; the model has layers 0 to' '{"kind": "head", "layer": 1, "index": 4, "mode": "zero"}'
bad '"alpha" is 1.5, wanted 0 to 1' '{"kind": "head", "layer": 1, "index": 0, "mode": "soft", "alpha": 1.5}'
bad '"alpha" is -1, wanted 0 to 1' '{"kind": "head", "layer": 1, "index": 0, "mode": "soft", "alpha": -1}'
bad 'bad.json' '{"kind": "head", "layer": 1, "index": 0, "mode": "soft", "alpha": NaN}'
bad 'evenhand locate' '{"kind": "head", "layer": 1, "index": 0, "mode": "mean"}'
bad 'is not a field of a recipe' '{"kind": "head", "layer": 1, "index": 0, "mode": "zero", "beta": 1}'
bad 'units 0 and 1 are both' '{"kind": "head", "layer": 1, "index": 0, "mode": "zero"},
    {"kind": "head", "layer": 1, "index": 0, "mode": "zero"}'
echo '{"version": 1, "model": "0000000000000000000000000000000000000000000000000000000000000000",
    "units": [{"kind": "head", "layer": 0, "index": 0, "mode": "zero"}]}' >"$work/other.json"
refused 1 'is for another model' edit "$llama" -r "$work/other.json" -o "$work/no"
refused 1 'applied already' edit "$edited" -r "$recipe" -o "$work/no"
refused 1 'applied already' edit "$work/edited.gguf" -r "$recipe" -o "$work/no.gguf"

# Places that cannot be written.
refused 1 'is there already; --force' edit "$llama" -r "$recipe" -o "$edited"
refused 1 'is there already; --force' edit "$gguf" -r "$recipe" -o "$work/edited.gguf"
refused 1 'is the model itself' edit "$llama" -r "$recipe" -o "$llama" --force
mkdir "$work/home"
echo dear >"$work/home/letter"
refused 1 'is no model folder' edit "$llama" -r "$recipe" -o "$work/home" --force
[ "$(cat "$work/home/letter")" = dear ] || die "--force emptied a folder"
run 0 edit "$llama" -r "$recipe" -o "$edited" --force
refused 1 'edit.undo' edit "$llama" --undo -o "$work/no"
printf x | dd of="$edited/model.safetensors" bs=1 seek=5000 conv=notrunc 2>/dev/null
refused 1 'was changed after the edit' edit "$edited" --undo -o "$work/no"

[ ! -e "$work/no" ] && [ ! -e "$work/no.gguf" ] || die "something was written"
[ -z "$(find "$work" -name '*.part-*' -o -name '*.old-*' -o -name '*.new')" ] || die "something was left"

# A folder nobody may write to, and a full disk: where this may mount one.
if as_anyone; then
    mkdir -m 555 "$work/closed"
    refused 1 'Permission denied' edit "$llama" -r "$recipe" -o "$work/closed/no"
    as=
fi
if may_mount "$work/disk" 128k; then
    trap 'umount "$work/disk"; rm -rf "$work"' EXIT
    refused 1 'No space left on device' edit "$llama" -r "$recipe" -o "$work/disk/no"
    refused 1 'No space left on device' edit "$gguf" -r "$recipe" -o "$work/disk/no.gguf"
    [ -z "$(ls -A "$work/disk")" ] || die "left on the full disk: $(ls -A "$work/disk")"
    mount -o remount,ro "$work/disk"
    refused 1 'Read-only file system' edit "$llama" -r "$recipe" -o "$work/disk/no"
    refused 1 'Read-only file system' edit "$gguf" -r "$recipe" -o "$work/disk/no.gguf"
fi
