/* What tensors are called in the two formats; %lld is the layer, %s weight or bias. */
#include <stdio.h>

#include "model/model.h"

static const struct {
    const char *folder, *gguf;
} names[EH_N_SLOT] = {
    [EH_SLOT_EMBED] = {"model.embed_tokens.weight", "token_embd.weight"},
    [EH_SLOT_HEAD] = {"lm_head.weight", "output.weight"},
    [EH_SLOT_FINAL_NORM] = {"model.norm.weight", "output_norm.weight"},
    [EH_SLOT_ATTN_NORM] = {"model.layers.%lld.input_layernorm.weight", "blk.%lld.attn_norm.weight"},
    [EH_SLOT_MLP_NORM] = {"model.layers.%lld.post_attention_layernorm.weight", "blk.%lld.ffn_norm.weight"},
    [EH_SLOT_Q_NORM] = {"model.layers.%lld.self_attn.q_norm.weight", "blk.%lld.attn_q_norm.weight"},
    [EH_SLOT_K_NORM] = {"model.layers.%lld.self_attn.k_norm.weight", "blk.%lld.attn_k_norm.weight"},
    [EH_SLOT_Q] = {"model.layers.%lld.self_attn.q_proj.%s", "blk.%lld.attn_q.%s"},
    [EH_SLOT_K] = {"model.layers.%lld.self_attn.k_proj.%s", "blk.%lld.attn_k.%s"},
    [EH_SLOT_V] = {"model.layers.%lld.self_attn.v_proj.%s", "blk.%lld.attn_v.%s"},
    [EH_SLOT_O] = {"model.layers.%lld.self_attn.o_proj.%s", "blk.%lld.attn_output.%s"},
    [EH_SLOT_GATE] = {"model.layers.%lld.mlp.gate_proj.%s", "blk.%lld.ffn_gate.%s"},
    [EH_SLOT_UP] = {"model.layers.%lld.mlp.up_proj.%s", "blk.%lld.ffn_up.%s"},
    [EH_SLOT_DOWN] = {"model.layers.%lld.mlp.down_proj.%s", "blk.%lld.ffn_down.%s"},
};

void eh_model_name(const eh_model *m, eh_slot slot, int64_t layer, const char *kind, char name[EH_TENSOR_NAME])
{
    const char *pattern = eh_weights_kind_of(m->weights) == EH_WEIGHTS_GGUF ? names[slot].gguf : names[slot].folder;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(name, EH_TENSOR_NAME, pattern, (long long)layer, kind);
#pragma GCC diagnostic pop
}
