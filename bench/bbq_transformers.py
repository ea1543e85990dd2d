#!/usr/bin/env python3
"""bbq_transformers.py - the baseline of the speed comparison: BBQ by letters, done with transformers on the CPU.

    venv/bin/python bench/bbq_transformers.py smollm2-hf --data data/bbq --mode batched --dtype f32 --threads 2 --rows 40

One row is two prompts, METHODS.md section 1: the full one and the question-only one, options in stored order; wanted are
the log-probabilities of " A", " B", " C" after each. --rows N takes the first N rows of each of the nine categories.

  batched   what one does who cares for speed: prompts sorted by length, 32 at a time, SDPA attention, no cache; padded on
            the right, where a causal model needs no mask (SDPA's fast path), logits at each prompt's last token only
  single    what the published bias scripts do: one prompt at a time, eager attention (here without cache and with the
            last position's logits only, which they do not trouble to do)
  --unique  asks each distinct prompt once (question-only prompts repeat between a row and its disambiguated twin)

Timed: building and tokenising the prompts, the forward passes, the log-probabilities. Not timed: starting Python, loading
the model, a warm-up over the longest and the shortest prompts. Prints one JSON object; --dump FILE writes each row's numbers.
"""
import argparse
import gzip
import json
import pathlib
import platform
import time

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
BATCH = 32


def host():
    """The CPU's name and the vector features that decide the speed of a product."""
    info = {}
    for line in open("/proc/cpuinfo"):
        key, _, value = line.partition(":")
        info.setdefault(key.strip(), value.strip())
    flags = info.get("flags", "").split()
    return {"cpu": info.get("model name", platform.processor()),
            "features": [f for f in ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16") if f in flags],
            "versions": {"python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__}}


def load(path, dtype, attention):
    tok = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=DTYPES[dtype], attn_implementation=attention)
    return tok, model.eval()


def bbq_rows(folder, per_category):
    for path in sorted(folder.glob("*.jsonl.gz")):
        if path.name.startswith("official_sample"):     # rows of five categories once more
            continue
        with gzip.open(path, "rt", encoding="utf-8") as f:
            for _, line in zip(range(per_category), f):
                yield json.loads(line)


def prompts(row):
    tail = "{question}\nA. {ans0}\nB. {ans1}\nC. {ans2}\n\nAnswer:".format(**row)
    return row["context"] + " " + tail, tail


def ask_single(model, ids, letters):
    out = []
    for x in ids:
        logits = model(torch.tensor([x]), use_cache=False, logits_to_keep=1).logits[0, -1]
        out.append(torch.log_softmax(logits.double(), -1)[letters].tolist())
    return out


def ask_batched(model, ids, letters):
    order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
    out = [None] * len(ids)
    for start in range(0, len(order), BATCH):
        some = order[start:start + BATCH]
        longest = len(ids[some[0]])
        x = torch.tensor([ids[i] + [0] * (longest - len(ids[i])) for i in some])
        last = torch.tensor([len(ids[i]) - 1 for i in some])
        hidden = model.model(x, use_cache=False).last_hidden_state[torch.arange(len(some)), last]
        lp = torch.log_softmax(model.lm_head(hidden).double(), -1)[:, letters].tolist()
        for i, values in zip(some, lp):
            out[i] = values
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("model")
    p.add_argument("--data", type=pathlib.Path, required=True, help="folder of BBQ's *.jsonl.gz")
    p.add_argument("--mode", choices=["batched", "single"], default="batched")
    p.add_argument("--dtype", choices=DTYPES, default="f32")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rows", type=int, default=40, help="rows of each category")
    p.add_argument("--unique", action="store_true")
    p.add_argument("--dump", type=pathlib.Path)
    a = p.parse_args()

    torch.set_num_threads(a.threads)
    torch.set_grad_enabled(False)
    tok, model = load(a.model, a.dtype, "sdpa" if a.mode == "batched" else "eager")
    ask = ask_batched if a.mode == "batched" else ask_single
    letters = [tok(" " + c, add_special_tokens=False)["input_ids"][0] for c in "ABC"]
    rows = list(bbq_rows(a.data, a.rows))

    by_length = sorted((tok(t)["input_ids"] for r in rows for t in prompts(r)), key=len)
    n_warm = BATCH if a.mode == "batched" else 4
    ask(model, by_length[-n_warm:] + by_length[:n_warm], letters)

    t0 = time.perf_counter()
    texts = [t for r in rows for t in prompts(r)]
    asked = list(dict.fromkeys(texts)) if a.unique else texts
    ids = tok(asked)["input_ids"]
    t1 = time.perf_counter()
    answers = ask(model, ids, letters)
    if a.unique:
        of = dict(zip(asked, answers))
        answers = [of[t] for t in texts]
    t2 = time.perf_counter()

    if a.dump:
        with a.dump.open("w", encoding="utf-8") as f:
            for r, full, q in zip(rows, answers[0::2], answers[1::2]):
                f.write(json.dumps({"category": r["category"], "example_id": r["example_id"], "lp_full": full, "lp_q": q}) + "\n")
    n_tok = sum(map(len, ids))
    print(json.dumps({"mode": a.mode, "unique": a.unique, "dtype": a.dtype, "threads": a.threads, "rows": len(rows), "prompts": len(asked),
                      "tokens": n_tok, "seconds": round(t2 - t0, 3), "tokenise_seconds": round(t1 - t0, 3),
                      "rows_per_s": round(len(rows) / (t2 - t0), 3), "tokens_per_s": round(n_tok / (t2 - t0), 1), **host()}))


if __name__ == "__main__":
    main()
