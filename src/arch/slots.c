/* What a model of this config stores, how large it is, how it is called and laid out. */
#include <stdio.h>
#include <string.h>

#include "arch/config.h"

const eh_projection eh_projections[EH_N_PROJECTION] = {
    {EH_SLOT_Q, EH_LINEAR_QKV},   {EH_SLOT_K, EH_LINEAR_QKV}, {EH_SLOT_V, EH_LINEAR_QKV},     {EH_SLOT_O, EH_LINEAR_O},
    {EH_SLOT_GATE, EH_LINEAR_UP}, {EH_SLOT_UP, EH_LINEAR_UP}, {EH_SLOT_DOWN, EH_LINEAR_DOWN},
};

/* Which norms stand in a block of each order. */
#define BIT(role) (1u << (role))
static const unsigned norms_of[] = {
    [EH_BLOCK_PRE] = BIT(EH_NORM_ATTN) | BIT(EH_NORM_MLP),
    [EH_BLOCK_PARALLEL] = BIT(EH_NORM_ATTN),
    [EH_BLOCK_SANDWICH] = BIT(EH_NORM_ATTN) | BIT(EH_NORM_POST_ATTN) | BIT(EH_NORM_MLP) | BIT(EH_NORM_POST_MLP),
    [EH_BLOCK_BRANCH] = BIT(EH_NORM_POST_ATTN) | BIT(EH_NORM_POST_MLP),
    [EH_BLOCK_POST] = BIT(EH_NORM_POST_ATTN) | BIT(EH_NORM_POST_MLP),
};

static bool is_norm(eh_slot slot)
{
    return slot >= EH_SLOT_NORM && slot < EH_SLOT_NORM + EH_N_NORM;
}

bool eh_config_has(const eh_config *c, eh_slot slot)
{
    if (is_norm(slot)) {
        const int role = (int)slot - EH_SLOT_NORM;
        return role == EH_NORM_Q || role == EH_NORM_K ? c->qk_norm != EH_QK_NORM_NONE
                                                      : (norms_of[c->order] >> role & 1) != 0;
    }
    return slot == EH_SLOT_LM_HEAD         ? !c->tied
           : slot == EH_SLOT_POSITION   ? c->positions == EH_POS_LEARNED
           : slot == EH_SLOT_FINAL_NORM ? c->order != EH_BLOCK_POST
                                        : slot != EH_SLOT_GATE || c->gated;
}

bool eh_config_has_bias(const eh_config *c, eh_slot slot)
{
    if (!eh_config_has(c, slot))
        return false;
    if (is_norm(slot) || slot == EH_SLOT_FINAL_NORM)
        return c->norm_bias && slot != EH_SLOT_NORM + EH_NORM_Q && slot != EH_SLOT_NORM + EH_NORM_K;
    return slot >= EH_SLOT_GATE ? c->mlp_bias : slot == EH_SLOT_O ? c->o_bias : slot >= EH_SLOT_Q && c->qkv_bias;
}

int64_t eh_slot_rows(const eh_config *c, eh_slot slot)
{
    switch ((int)slot) {
    case EH_SLOT_EMBED:
    case EH_SLOT_LM_HEAD: return c->n_vocab;
    case EH_SLOT_POSITION: return c->n_ctx + c->position_offset;
    case EH_SLOT_Q: return c->n_head * c->d_head;
    case EH_SLOT_K:
    case EH_SLOT_V: return c->n_kv * c->d_head;
    case EH_SLOT_GATE:
    case EH_SLOT_UP: return c->d_ff;
    case EH_SLOT_O:
    case EH_SLOT_DOWN: return c->d_model;
    default: return 0;
    }
}

int64_t eh_slot_cols(const eh_config *c, eh_slot slot)
{
    switch ((int)slot) {
    case EH_SLOT_O: return c->n_head * c->d_head;
    case EH_SLOT_DOWN: return c->d_ff;
    case EH_SLOT_NORM + EH_NORM_Q: return c->qk_norm == EH_QK_NORM_WHOLE ? c->n_head * c->d_head : c->d_head;
    case EH_SLOT_NORM + EH_NORM_K: return c->qk_norm == EH_QK_NORM_WHOLE ? c->n_kv * c->d_head : c->d_head;
    default: return c->d_model;
    }
}

static void write_name(const eh_config *c, const char *pattern, int64_t layer, bool bias, char name[EH_TENSOR_NAME])
{
    const char *prefix = c->arch->prefix;
    const size_t n = prefix != NULL ? strlen(prefix) : 0;
    if (c->bare && n > 0 && strncmp(pattern, prefix, n) == 0)
        pattern += n;
    const char *at = strchr(pattern, '%'), *kind = bias ? "bias" : "weight";
    if (at == NULL)
        snprintf(name, EH_TENSOR_NAME, "%s.%s", pattern, kind);
    else
        snprintf(name, EH_TENSOR_NAME, "%.*s%lld%s.%s", (int)(at - pattern), pattern, (long long)layer, at + 1, kind);
}

void eh_config_filed(const eh_config *c, eh_slot slot, int64_t layer, bool bias, eh_filed *f)
{
    const eh_arch_files *files = c->kind == EH_WEIGHTS_GGUF ? &c->arch->gguf : &c->arch->folder;
    const char *pattern = files->name[slot] != NULL ? files->name[slot] : "?";
    const int64_t rows = eh_slot_rows(c, slot), cols = eh_slot_cols(c, slot);
    *f = (eh_filed){
        .layout = files->layout[slot],
        .n_out = rows > 0 ? rows : cols,
        .n_in = bias || rows == 0 ? 0 : cols,
    };
    if (f->n_in == 0)
        f->layout &= ~(unsigned)EH_LAYOUT_TRANSPOSED;
    write_name(c, pattern, layer, bias, f->name);
    /* Slots that share a tensor lie in it one after the other. */
    for (int i = 0; i < EH_N_SLOT; i++) {
        const eh_slot other = (eh_slot)i;
        if (files->name[i] == NULL || strcmp(files->name[i], pattern) != 0)
            continue;
        if (other != slot && !eh_config_has(c, other))
            continue;
        const int64_t n = eh_slot_rows(c, other) > 0 ? eh_slot_rows(c, other) : eh_slot_cols(c, other);
        f->n_whole += n;
        f->first += other < slot ? n : 0;
    }
}
