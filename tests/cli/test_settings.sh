#!/bin/sh
# Command line before environment before config file (this command before all) before default.
# shellcheck source=tests/cli/lib.sh
. "$2/tests/cli/lib.sh"

config=$work/config
batch() {
    wanted=$1
    shift
    run 0 inspect "$llama" --json --time no "$@"
    says "\"batch_tokens\":$wanted,"
}

batch 4096
cat >"$config" <<'END'
# a comment, then blanks

	inspect.batch-tokens = 200
batch-tokens=100
score.batch-tokens = 1
  requests   =  # a value may hold a #
END
export EVENHAND_CONFIG="$config"
batch 200
sed -i.old /inspect/d "$config"
batch 100
EVENHAND_BATCH_TOKENS=300 batch 300
EVENHAND_BATCH_TOKENS=300 batch 400 --batch-tokens 400
EVENHAND_BATCH_TOKENS=300 batch 500 --batch-tokens 400 --batch-tokens=500
EVENHAND_BATCH_TOKENS= batch 100

# The places where the file is looked for.
mkdir -p "$work/xdg/evenhand" "$work/home/.config/evenhand"
echo 'batch-tokens = 11' >"$work/xdg/evenhand/config"
echo 'batch-tokens = 12' >"$work/home/.config/evenhand/config"
unset EVENHAND_CONFIG
XDG_CONFIG_HOME=$work/xdg HOME=$work/home batch 11
XDG_CONFIG_HOME='' HOME=$work/home batch 12
XDG_CONFIG_HOME=$work/none HOME=$work/home batch 4096
EVENHAND_CONFIG='' XDG_CONFIG_HOME=$work/xdg batch 4096

# What is wrong is told with its place.
bad() {
    printf '%s\n' "$2" >"$config"
    EVENHAND_CONFIG=$config refused 2 "$1" inspect "$llama" --time no
}
bad "$config:1: there is no option \"batch-token\"; did you mean \"batch-tokens\"?" 'batch-token = 3'
bad "$config:2: there is no option \"inspect.requests\"" '
inspect.requests = x'
bad "$config:1: there is no option \"nothing.json\"" 'nothing.json = yes'
bad "$config:1: there is no option \"MODEL\"" 'MODEL = x'
bad "$config:1: \"option = value\" is wanted" 'json'
bad 'line 1 of the config file: batch-tokens is "many"' 'batch-tokens = many'
EVENHAND_BATCH_TOKENS=x refused 2 'EVENHAND_BATCH_TOKENS is "x"' inspect "$llama"
EVENHAND_JSON=perhaps refused 2 'EVENHAND_JSON is "perhaps"' inspect "$llama"
EVENHAND_CONFIG=$work/none refused 2 "$work/none: cannot open the config file" inspect "$llama"
printf 'json = yes\0\n' >"$config"
EVENHAND_CONFIG=$config refused 2 'it holds a NUL' inspect "$llama"

# A bad value that something outweighs does no harm; flags can be turned off again; help always works.
printf 'batch-tokens = many\njson = yes\n' >"$config"
export EVENHAND_CONFIG="$config"
batch 7 --batch-tokens 7
run 0 inspect "$llama" --time no --batch-tokens 7 --json=no
says 'vocabulary'
echo nonsense >"$config"
run 0 help
run 0 inspect --help
