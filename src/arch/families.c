/* The families: a line each, and a file beside this one. Messages list them in this order. */
#include "arch/arch.h"

extern const eh_arch eh_arch_llama, eh_arch_mistral, eh_arch_qwen2, eh_arch_qwen3, eh_arch_gpt2, eh_arch_opt;

const eh_arch *const eh_archs[] = {
    &eh_arch_llama,
    &eh_arch_mistral,
    &eh_arch_qwen2,
    &eh_arch_qwen3,
    &eh_arch_gpt2,
    &eh_arch_opt,
    NULL,
};

const eh_arch *eh_arch_of(eh_weights_kind kind, eh_str name)
{
    for (int i = 0; eh_archs[i] != NULL; i++) {
        const eh_arch *a = eh_archs[i];
        if (kind == EH_WEIGHTS_GGUF) {
            if (a->gguf.arch != NULL && eh_str_eq(name, eh_str_of(a->gguf.arch)))
                return a;
            continue;
        }
        for (int k = 0; a->model_type[k] != NULL; k++)
            if (eh_str_eq(name, eh_str_of(a->model_type[k])))
                return a;
    }
    return NULL;
}
