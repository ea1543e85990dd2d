#!/bin/sh
# venv.sh DIR - the Python side of the speed comparison: a venv with transformers, exact versions.
#
#   sh bench/venv.sh /var/tmp/bench-venv
#   /var/tmp/bench-venv/bin/python bench/bbq_transformers.py ...
#
# Takes PyPI's torch, which drags 3 GB of CUDA libraries along that are never used. Where PyTorch's own index can
# be reached, PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu TORCH=torch==2.15.0+cpu saves them.
# Neither the build, nor the tests, nor evenhand itself needs any of this.
set -eu
dir=${1:?usage: venv.sh DIR}
[ -x "$dir/bin/python" ] || python3 -m venv "$dir"
"$dir/bin/pip" install --quiet \
    "${TORCH:-torch==2.15.0}" transformers==4.57.6 tokenizers==0.22.2 safetensors==0.8.0 gguf==0.19.0 numpy==2.4.6
"$dir/bin/python" -c 'import torch, transformers; print("torch", torch.__version__, "transformers", transformers.__version__)'
