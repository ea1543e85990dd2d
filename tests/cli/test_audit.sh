#!/bin/sh
# audit: the same records however they were computed, and whatever happened on the way.
# shellcheck source=tests/cli/lib.sh
. "$2/tests/cli/lib.sh"
export EVENHAND_PROBES="$repo/data/probes"
all='probes pairs utility'
pid=
disk=
clean() {
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
    [ -z "$disk" ] || umount "$disk"
    rm -rf "$work"
}
trap clean EXIT

# samples_same DIR DIR WHAT
samples_same() {
    for task in $all; do
        same "$1/samples_$task.jsonl" "$2/samples_$task.jsonl" "$3"
    done
}

# whole DIR: an audit's out folder with nothing half-done in it.
whole() {
    for file in results.json reproduce.json journal.jsonl samples_probes.jsonl samples_pairs.jsonl \
        samples_utility.jsonl; do
        [ -s "$1/$file" ] || die "no $file in $1"
    done
    [ "$(find "$1" -type f | wc -l)" = 6 ] || die "more than six files in $1: $(ls "$1")"
}

# audit DIR OPTION...: all our tasks on a few items; audit_all: on all.
audit() {
    folder=$1
    shift
    run 0 audit "$llama" --tasks probes,pairs,utility --limit 8 --precision f32 -o "$folder" "$@"
}
audit_all() {
    folder=$1
    shift
    run 0 audit "$llama" --tasks probes,pairs,utility --threads 1 --resamples 20 -o "$folder" "$@"
}

# ---- What a run leaves, and says ------------------------------------------------------------------

audit "$work/plain"
whole "$work/plain"
says "$llama: Llama, "
says 'parameters, F32, computed in f32'
says 'answers by letter, orders cyclic, plain prompts'
says 'By category, with 95 % intervals:'
says "All scores of all categories are in $work/plain/results.json."
[ "$(grep -c '^s_AMB ' "$work/out")" = 1 ] || die "not one line for s_AMB over all categories"
[ "$(grep -c '^Political_view ' "$work/out")" = 2 ] || die "not one row for a category of probes and of pairs"
grep -qE '^arithmetic +[01]\.[0-9]{2} \[[01]\.[0-9]{2}, [01]\.[0-9]{2}\] ' "$work/out" || die "no interval in a row"
awk 'length($0) > 120 && !/^\// && !/^\(/ { exit 1 }' "$work/out" || die "a line of more than 120 columns"
grep -qE '^([0-9]+) items, \1 of them computed now, ' "$work/err" || die "no summary"
if have jq; then
    for task in $all; do
        jq -es 'length > 10 and all(.[]; has("doc_id") and ((.ll // .p) | all(.[]; type == "number")))' \
            "$work/plain/samples_$task.jsonl" >/dev/null || die "samples_$task.jsonl: not the records that were promised"
    done
    jq -es 'all(.[]; ((.p | add) - 1 | fabs < 1e-12) and .acc == (if .pick == .label then 1 else 0 end))' \
        "$work/plain/samples_probes.jsonl" >/dev/null || die "probabilities or answers that contradict themselves"
    jq -e '(.results | keys == ["pairs", "probes", "utility"]) and .config.random_seed == 0 and
        (.evenhand.rows | length > 100)' "$work/plain/results.json" >/dev/null || die "results.json"
    jq -e '.options.limit == 8 and .model.format == "safetensors"' "$work/plain/reproduce.json" >/dev/null ||
        die "reproduce.json"
    jq -es 'map(select(has("sha256"))) | length == 5' "$work/plain/journal.jsonl" >/dev/null || die "journal.jsonl"
    # The accuracy of the table is that of the records.
    said=$(awk '$1 == "acc_norm" { print $2; exit }' "$work/out")
    jq -e --arg said "$said" '[.evenhand.rows[] | select(.score == "acc_norm" and .category == "all")][0].value
        | (. - ($said | tonumber) | fabs) <= 0.0005' "$work/plain/results.json" >/dev/null || die "acc_norm is not $said"
    run 0 audit "$llama" --tasks utility --json -o "$work/json"
    jq -e '.rows | length > 20 and all(.[]; .low <= .value and .value <= .high)' "$work/out" >/dev/null || die "--json"
fi

# The same bytes from any number of threads, any batch, shared prefixes or not.
n=0
for how in '--threads 1' '--threads 2' '--batch-tokens 256' '--batch-tokens 1000' '--batch-tokens 8192' \
    --no-prefix-sharing '--memory 1'; do
    n=$((n + 1))
    # shellcheck disable=SC2086
    audit "$work/how$n" $how
    samples_same "$work/how$n" "$work/plain" "$how"
done

# Done is done: the same command computes nothing, and says the same.
cp "$work/out" "$work/first"
audit "$work/how$n" --memory 1
same "$work/out" "$work/first" "the scores of a second call"
grep -q ', 0 of them computed now' "$work/err" || die "computed again"

# ---- Gates ------------------------------------------------------------------------------------------

audit "$work/plain" --fail-if 'utility:acc>1,utility:physics:acc_norm<0,probes:|s_AMB|>1'
run 3 audit "$llama" --tasks utility -o "$work/gate" --fail-if 'utility:acc>=0'
grep -q '^evenhand: gate utility:acc>=0: it is 0\.' "$work/err" || die "not said which gate"
run 3 audit "$llama" --tasks utility -o "$work/gate" --fail-if 'utility:*:acc>=0,utility:none<0'
grep -q 'it is .* in physics' "$work/err" || die "not said in which category"
run 4 audit "$llama" --tasks utility -o "$work/gate" --fail-if 'utility:none<0'

# ---- Refusals ---------------------------------------------------------------------------------------

refused 2 'records of probes made with another "answer"' audit "$llama" --limit 8 -o "$work/plain" --answer text
refused 2 'made with another "data"' audit "$llama" --limit 8 --categories Age -o "$work/plain"
cp -r "$llama" "$work/other"
header=$(od -An -tu8 -N8 "$llama/model.safetensors" | tr -d ' ')
printf 'Z' | dd of="$work/other/model.safetensors" bs=1 seek=$((8 + header)) conv=notrunc 2>/dev/null
refused 2 'made with another "model"' audit "$work/other" --limit 8 -o "$work/plain"
samples_same "$work/plain" "$work/how1" "a refused run"
run 0 audit "$llama" --limit 8 -o "$work/plain" --answer text --force
grep -q '"answer":"text"' "$work/plain/samples_probes.jsonl" || die "--force did not start over"
same "$work/plain/samples_pairs.jsonl" "$work/how1/samples_pairs.jsonl" "a task that --force did not name"

refused 2 'there is no category "Agee"; there are Age, ' audit "$llama" --categories Agee -o "$work/refused"
refused 2 'there is no benchmark "probe"; did you mean "probes"?' audit "$llama" --tasks probe -o "$work/refused"
mkdir "$work/empty"
refused 1 'https://github.com/nyu-mll/BBQ' audit "$llama" --tasks bbq --data "$work/empty" -o "$work/refused"
refused 1 "looked in $work/empty" audit "$llama" --tasks bbq --data "$work/empty" -o "$work/refused"
refused 1 'no --data folder is given' audit "$llama" --tasks bbq_harness -o "$work/refused"
[ ! -e "$work/refused" ] || die "a refused audit made its folder"
refused 1 'is not a folder' audit "$llama" -o "$llama/config.json"
if as_anyone; then
    mkdir -m 555 "$work/sealed"
    refused 1 "$work/sealed/journal.jsonl: cannot write: Permission denied" audit "$llama" -o "$work/sealed"
    as=
fi

# ---- Ended on the way -----------------------------------------------------------------------------------

audit_all "$work/undisturbed"
lines=$(wc -l <"$work/undisturbed/journal.jsonl")

# until_lines DIR N SIGNAL: starts a run and sends it the signal when its journal has N lines.
until_lines() {
    "$program" audit "$llama" --tasks probes,pairs,utility --threads 1 -o "$1" >"$work/out" 2>"$work/err" &
    pid=$!
    tries=0
    while [ ! -e "$1/journal.jsonl" ] || [ "$(wc -l <"$1/journal.jsonl")" -lt "$2" ]; do
        [ $((tries += 1)) -lt 6000 ] || die "no $2 lines in a minute"
        sleep 0.01
    done
    kill -"$3" "$pid"
}

# resumed DIR WHAT: the same command goes on, computes a part only, and leaves the same bytes.
resumed() {
    audit_all "$1"
    ! grep -qE '^([0-9,]+) items, (\1|0) of them' "$work/err" || die "$2: $(tail -n 1 "$work/err")"
    whole "$1"
    samples_same "$1" "$work/undisturbed" "$2"
}

for k in 1 6 12; do
    until_lines "$work/killed$k" $k KILL
    wait "$pid" 2>/dev/null || pid=
    [ "$(wc -l <"$work/killed$k/journal.jsonl")" -lt "$lines" ] || die "the run had ended before it was killed"
    [ ! -e "$work/killed$k/results.json" ] || die "results of a run that was killed"
done
# What a crash of the machine could leave, too: lines and records that are cut or were never written.
for what in line cut part short damaged; do
    cp -r "$work/killed12" "$work/$what"
done
resumed "$work/killed6" "killed after 6 lines"
resumed "$work/killed12" "killed after 12 lines"
audit_all "$work/killed1" # perhaps without a single block
samples_same "$work/killed1" "$work/undisturbed" "killed at the start"

printf '{"task":"probes","bytes":10' >>"$work/line/journal.jsonl"
resumed "$work/line" "a torn last line"
# The journal is whole again, not merely passed over once.
whole_again() {
    audit_all "$1"
    grep -q ', 0 of them computed now' "$work/err" || die "$2: computed again"
}
whole_again "$work/line" "a torn last line, read once more"
# cut FILE BYTES: without its last bytes.
cut() {
    head -c "-$2" "$1" >"$work/shorter"
    cp "$work/shorter" "$1"
}
cut "$work/cut/journal.jsonl" 20
resumed "$work/cut" "a last line that lost its end"
whole_again "$work/cut" "a last line that lost its end, read once more"
cut "$work/part/samples_probes.jsonl.part" 1000
resumed "$work/part" "a .part file that lost its end"
echo '{"doc_id":' >>"$work/short/samples_probes.jsonl.part"
resumed "$work/short" "half a record after the last block"
printf 'X' | dd of="$work/damaged/samples_probes.jsonl.part" bs=1 seek=900000 conv=notrunc 2>/dev/null
resumed "$work/damaged" "a byte that changed in the ninth block"
cut "$work/how1/samples_utility.jsonl" 10000
audit "$work/how1" --threads 1
samples_same "$work/how1" "$work/how2" "finished records that lost their end"
echo 'not JSON' >>"$work/how1/journal.jsonl"
refused 1 'journal.jsonl: line 9: ' audit "$llama" --tasks probes,pairs,utility --limit 8 -o "$work/how1"

# Ctrl+C finishes the block in hand and says how to resume.
until_lines "$work/asked" 5 INT
status=0
wait "$pid" || status=$?
pid=
[ $status = 130 ] || die "status $status after Ctrl+C"
grep -q "kept in $work/asked, and this resumes it: .*audit .*--threads 1" "$work/err" || die "not said how to resume"
resumed "$work/asked" "Ctrl+C"

# One run at a time in a folder.
until_lines "$work/two" 3 STOP
refused 2 "$work/two: another run is writing to this folder" audit "$llama" --tasks probes,pairs,utility -o "$work/two"
kill -CONT "$pid"
wait "$pid" || die "the first of two runs"
pid=
samples_same "$work/two" "$work/undisturbed" "a refused second run"

# ---- No room on the disk ------------------------------------------------------------------------------

# A limit on the size of a file stands for the disk (in blocks of 512 bytes): in the first block of
# records, in a later one, and in results.json after all records were written.
for limit in 100 500; do
    status=0
    (
        trap '' XFSZ
        ulimit -f $limit
        exec "$program" audit "$llama" --tasks probes,pairs,utility --threads 1 -o "$work/full"
    ) >"$work/out" 2>"$work/err" || status=$?
    [ $status = 1 ] && grep -q 'samples_probes.jsonl.part: cannot write: File too large' "$work/err" ||
        die "a full disk, $limit blocks: status $status"
    [ "$(ls "$work/full")" = "$(printf 'journal.jsonl\nsamples_probes.jsonl.part')" ] || die "files on a full disk"
done
resumed "$work/full" "a disk that was full"
status=0
(
    trap '' XFSZ
    ulimit -f 8 # the records of eleven questions fit, their scores do not
    exec "$program" audit "$llama" --tasks utility --limit 1 -o "$work/scores"
) >"$work/out" 2>"$work/err" || status=$?
[ $status = 1 ] && grep -q 'results.json.*: cannot write: File too large' "$work/err" || die "no room for results.json"
[ "$(ls "$work/scores")" = "$(printf 'journal.jsonl\nsamples_utility.jsonl')" ] || die "a half-written results.json"
run 0 audit "$llama" --tasks utility --limit 1 -o "$work/scores"
grep -q ', 0 of them computed now' "$work/err" || die "computed again after results.json had no room"

# A file system that is full indeed.
if may_mount "$work/disk" 400k; then
    disk=$work/disk
    refused 1 'cannot write: No space left on device' audit "$llama" --tasks probes,pairs,utility --threads 1 \
        -o "$work/disk/out"
    [ ! -e "$work/disk/out/results.json" ] || die "results on a full disk"
    mount -o remount,size=8m none "$work/disk"
    resumed "$work/disk/out" "a disk that was full, then was not"
fi
