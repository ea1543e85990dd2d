#!/usr/bin/env python3
"""tune_transformers.py - the baseline of the training speed: transformers with torch's AdamW, float32, all weights.

    venv/bin/python bench/tune_transformers.py smollm2-hf --text plain.txt --batch 4 --block 256 --steps 6 --threads 2

Blocks of --block tokens of the text, --batch of them a step, forward, backward, clip at 1.0, AdamW step, gradients freed.
Timed: the steps after the first. Prints one JSON object with tokens/s and the process's peak memory (VmHWM).
"""
import argparse
import json
import pathlib
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("--text", required=True)
parser.add_argument("--batch", type=int, default=4)
parser.add_argument("--block", type=int, default=256)
parser.add_argument("--steps", type=int, default=6)
parser.add_argument("--threads", type=int, default=2)
a = parser.parse_args()

torch.set_num_threads(a.threads)
tokenizer = AutoTokenizer.from_pretrained(a.model)
model = AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.float32)
model.train()
ids = tokenizer(pathlib.Path(a.text).read_text(), add_special_tokens=False)["input_ids"]
blocks = [ids[i : i + a.block] for i in range(0, len(ids) - a.block + 1, a.block)]
optimiser = torch.optim.AdamW(model.parameters(), lr=2e-5, weight_decay=0.0)

losses, seconds = [], 0.0
for step in range(a.steps):
    batch = torch.tensor([blocks[(step * a.batch + i) % len(blocks)] for i in range(a.batch)])
    start = time.perf_counter()
    loss = model(input_ids=batch, labels=batch).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad()
    if step > 0:
        seconds += time.perf_counter() - start
    losses.append(loss.item())

peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"tokens_per_s": (a.steps - 1) * a.batch * a.block / seconds, "peak_bytes": peak * 1024,
                  "loss_first": losses[0], "loss_last": losses[-1], "torch": torch.__version__}))
