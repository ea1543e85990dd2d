/* The families: a line each, and a file beside this one. Messages list them in this order. */
#include "arch/arch.h"

#define EACH_FAMILY(row) \
    row(llama) \
    row(mistral) \
    row(qwen2) \
    row(qwen3) \
    row(gpt2) \
    row(opt) \
    row(gemma2) \
    row(gemma3) \
    row(cohere)

#define DECLARED(name) extern const eh_arch eh_arch_##name;
EACH_FAMILY(DECLARED)

#define LISTED(name) &eh_arch_##name,
const eh_arch *const eh_archs[] = {EACH_FAMILY(LISTED) NULL};

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
