#!/usr/bin/env python3
"""perplexity_tf.py - side figure: tokens a second of transformers on full 2,048-token blocks, all logits, NLL in f64.

    venv/bin/python bench/perplexity_tf.py smollm2-hf --text wikitext-2-raw-test.txt[.gz] --dtype f32 --threads 2 --blocks 4

Blocks as Wanda and SparseGPT cut them: the text's tokens in a row, no overlap, 2,047 predictions each, one block at a time.
Not timed: loading, tokenising, one warm-up block. Prints one JSON object.
"""
import argparse
import gzip
import json
import math
import pathlib
import time

import torch

from bbq_transformers import DTYPES, host, load

BLOCK = 2048


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("model")
    p.add_argument("--text", type=pathlib.Path, required=True)
    p.add_argument("--dtype", choices=DTYPES, default="f32")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--blocks", type=int, default=4)
    a = p.parse_args()

    torch.set_num_threads(a.threads)
    torch.set_grad_enabled(False)
    tok, model = load(a.model, a.dtype, "sdpa")
    raw = a.text.read_bytes()
    text = (gzip.decompress(raw) if a.text.suffix == ".gz" else raw).decode("utf-8")
    ids = torch.tensor(tok(text, add_special_tokens=False)["input_ids"][:a.blocks * BLOCK]).reshape(-1, BLOCK)

    def nll(block):
        logits = model(block[None], use_cache=False).logits[0, :-1].float()
        at = logits.gather(1, block[1:, None])[:, 0].double()
        return (torch.logsumexp(logits, -1).double() - at).mean().item()

    nll(ids[0])
    t0 = time.perf_counter()
    mean = sum(map(nll, ids)) / len(ids)
    seconds = time.perf_counter() - t0
    print(json.dumps({"mode": "perplexity", "dtype": a.dtype, "threads": a.threads, "blocks": len(ids), "nll_mean": round(mean, 7),
                      "perplexity": round(math.exp(mean), 4), "seconds": round(seconds, 3),
                      "tokens_per_s": round(ids.numel() / seconds, 1), **host()}))


if __name__ == "__main__":
    main()
