#!/usr/bin/env python3
"""make_llama8b.py OUTDIR [--layers N] - a model folder of Llama-3.1-8B's shape and size (16 GB), with noise for weights.

    python3 bench/make_llama8b.py /var/tmp/models/llama8b          needs numpy only

For measuring memory, disk and speed on a model of that size where the real one may not be fetched: bf16, four shards and
an index with the original's sizes, complete config.json, no tokenizer. It says nothing, and says it fast.
Every matrix is normal noise of deviation 0.02 (0.02 / sqrt(2 * layers) for the two that write into the residual stream),
norms are ones. One block of about 2^24 seeded values is drawn once; a tensor is that block repeated, from an offset of its own:
no two rows are equal, but tensors are not independent. Shards are written a piece at a time: memory stays below 300 MB.
"""
import argparse
import json
import pathlib
import struct
import zlib

import numpy as np

WIDTH, FF, HEADS, KV_HEADS, HEAD, VOCAB = 4096, 14336, 32, 8, 128, 128256
BLOCK = (1 << 24) - 3                                   # odd, so that a repetition never falls on whole rows
SHARD = 5_000_000_000                                   # bytes at most, as the original was cut


def config(layers):
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16",
        "hidden_size": WIDTH, "intermediate_size": FF, "num_hidden_layers": layers, "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS, "head_dim": HEAD, "hidden_act": "silu", "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-05, "rope_theta": 500000.0,
        "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 8192},
        "attention_bias": False, "attention_dropout": 0.0, "mlp_bias": False, "pretraining_tp": 1, "initializer_range": 0.02,
        "vocab_size": VOCAB, "tie_word_embeddings": False, "use_cache": True, "bos_token_id": 128000, "eos_token_id": 128001}


def tensors(layers):
    """(name, shape, kind), in the order in which transformers cuts shards."""
    yield "model.embed_tokens.weight", (VOCAB, WIDTH), "in"
    for i in range(layers):
        p = f"model.layers.{i}."
        yield p + "self_attn.q_proj.weight", (HEADS * HEAD, WIDTH), "in"
        yield p + "self_attn.k_proj.weight", (KV_HEADS * HEAD, WIDTH), "in"
        yield p + "self_attn.v_proj.weight", (KV_HEADS * HEAD, WIDTH), "in"
        yield p + "self_attn.o_proj.weight", (WIDTH, HEADS * HEAD), "out"
        yield p + "mlp.gate_proj.weight", (FF, WIDTH), "in"
        yield p + "mlp.up_proj.weight", (FF, WIDTH), "in"
        yield p + "mlp.down_proj.weight", (WIDTH, FF), "out"
        yield p + "input_layernorm.weight", (WIDTH,), "norm"
        yield p + "post_attention_layernorm.weight", (WIDTH,), "norm"
    yield "model.norm.weight", (WIDTH,), "norm"
    yield "lm_head.weight", (VOCAB, WIDTH), "in"


def bf16(x):
    """Rounded to nearest, ties to even; finite input."""
    u = x.astype(np.float32).view(np.uint32)
    return ((u + 0x7FFF + (u >> 16 & 1)) >> 16).astype(np.uint16)


def write_shard(path, some, blocks):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape, _ in some:
        n = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + n]}
        at += n
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for name, shape, kind in some:
            left = int(np.prod(shape))
            if kind == "norm":
                f.write(bf16(np.ones(left)).tobytes())
                continue
            start = zlib.crc32(name.encode()) % BLOCK
            while left > 0:
                piece = blocks[kind][start:start + left]
                f.write(piece)
                left -= len(piece)
                start = 0
    return at


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("out", type=pathlib.Path)
    p.add_argument("--layers", type=int, default=32)
    a = p.parse_args()

    noise = np.random.default_rng(8).standard_normal(BLOCK, dtype=np.float32) * 0.02
    blocks = {"in": bf16(noise), "out": bf16(noise / np.sqrt(2 * a.layers))}
    del noise

    shards, size = [[]], 0
    for t in tensors(a.layers):
        n = 2 * int(np.prod(t[1]))
        if size + n > SHARD:
            shards.append([])
            size = 0
        shards[-1].append(t)
        size += n

    a.out.mkdir(parents=True, exist_ok=True)
    total, where = 0, {}
    for i, some in enumerate(shards, 1):
        name = f"model-{i:05}-of-{len(shards):05}.safetensors"
        total += write_shard(a.out / name, some, blocks)
        where.update((t[0], name) for t in some)
        print(name, flush=True)
    index = {"metadata": {"total_size": total}, "weight_map": where}
    for name, content in [("model.safetensors.index", index), ("config", config(a.layers)),
                          ("generation_config", {"bos_token_id": 128000, "eos_token_id": 128001})]:
        (a.out / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
    print(f"{a.out}: {total / 1e9:.2f} GB in {len(shards)} shards")


if __name__ == "__main__":
    main()
