#!/usr/bin/env python3
"""gguf_to_hf.py GGUF OUTDIR [--dtype f32|bf16] - SmolLM2's GGUF as a folder that transformers loads.

    venv/bin/python bench/gguf_to_hf.py SmolLM2-135M-Instruct.Q4_1.gguf smollm2-hf

Weights: dequantised by the gguf package (exact in f32; bf16 rounds to nearest), rows of Q and K put back from llama.cpp's
order to Hugging Face's. Tokenizer: vocabulary, merges and special tokens of the header, with the published pre-tokenizer
(single digits, then GPT-2's byte-level BPE), which transformers' own GGUF conversion drops.
For Llama-shaped models with a byte-level BPE and tied output embedding, which is what SmolLM2 is; refuses others.
"""
import argparse
import json
import pathlib

import gguf
import torch
from safetensors.torch import save_file

NAMES = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
         "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
         "token_embd": "model.embed_tokens", "output_norm": "model.norm"}


def hf_name(name):
    """blk.3.attn_q.weight -> model.layers.3.self_attn.q_proj.weight"""
    *block, kind, weight = name.split(".")
    return ".".join((["model", "layers", block[1]] if block else []) + [NAMES[kind], weight])


def unpermuted(w, n_head):
    """llama.cpp interleaves the two halves that rotary embedding pairs; Hugging Face keeps them apart."""
    rows, cols = w.shape
    return w.reshape(n_head, rows // n_head // 2, 2, cols).swapaxes(1, 2).reshape(rows, cols)


def tokenizer(meta):
    tokens, types = meta("tokenizer.ggml.tokens"), meta("tokenizer.ggml.token_type")
    special = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                "special": kind == gguf.TokenType.CONTROL}
               for i, (t, kind) in enumerate(zip(tokens, types)) if kind in (gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED)]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    digits = {"type": "Digits", "individual_digits": True}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
             "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
             "vocab": {t: i for i, t in enumerate(tokens)}, "merges": meta("tokenizer.ggml.merges")}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": special, "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, byte_level]},
            "post_processor": None, "decoder": byte_level, "model": model}


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("gguf", type=pathlib.Path)
    p.add_argument("out", type=pathlib.Path)
    p.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    a = p.parse_args()
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[a.dtype]

    reader = gguf.GGUFReader(a.gguf)
    meta = lambda key: reader.fields[key].contents()
    if meta("general.architecture") != "llama" or meta("tokenizer.ggml.pre") != "smollm" or "output.weight" in {t.name for t in reader.tensors}:
        p.error(f"{a.gguf} is not SmolLM2")
    heads, kv_heads, width = (meta("llama." + k) for k in ("attention.head_count", "attention.head_count_kv", "embedding_length"))

    weights = {}
    for t in reader.tensors:
        w = gguf.dequantize(t.data, t.tensor_type)
        if ".attn_q." in t.name or ".attn_k." in t.name:
            w = unpermuted(w, heads if ".attn_q." in t.name else kv_heads)
        weights[hf_name(t.name)] = torch.from_numpy(w.copy()).to(dtype)

    bos, eos, pad, unk = (meta(f"tokenizer.ggml.{k}_token_id") for k in ("bos", "eos", "padding", "unknown"))
    tokens = meta("tokenizer.ggml.tokens")
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": {"f32": "float32", "bf16": "bfloat16"}[a.dtype],
        "hidden_size": width, "intermediate_size": meta("llama.feed_forward_length"), "num_hidden_layers": meta("llama.block_count"),
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": width // heads, "hidden_act": "silu",
        "max_position_embeddings": meta("llama.context_length"), "rms_norm_eps": float(f"{meta('llama.attention.layer_norm_rms_epsilon'):.6g}"),
        "rope_theta": meta("llama.rope.freq_base"), "rope_scaling": None, "attention_bias": False, "mlp_bias": False,
        "vocab_size": meta("llama.vocab_size"), "tie_word_embeddings": True, "bos_token_id": bos, "eos_token_id": eos, "pad_token_id": pad}
    tokenizer_config = {
        "tokenizer_class": "GPT2Tokenizer", "bos_token": tokens[bos], "eos_token": tokens[eos], "clean_up_tokenization_spaces": False,
        "add_prefix_space": False, "unk_token": tokens[unk], "pad_token": tokens[pad], "model_max_length": config["max_position_embeddings"],
        "chat_template": meta("tokenizer.chat_template")}

    a.out.mkdir(parents=True, exist_ok=True)
    save_file(weights, a.out / "model.safetensors", metadata={"format": "pt"})
    for name, content in [("config", config), ("tokenizer", tokenizer(meta)), ("tokenizer_config", tokenizer_config),
                          ("generation_config", {k: config[k] for k in ("bos_token_id", "eos_token_id", "pad_token_id")})]:
        (a.out / f"{name}.json").write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(f"{a.out}: {len(weights)} tensors, {a.dtype}")


if __name__ == "__main__":
    main()
