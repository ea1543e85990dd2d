/* What rows have in common: private to the room. */
#ifndef EH_ARCH_FAMILY_H
#define EH_ARCH_FAMILY_H

#include "arch/keys.h"

#define EH_FIELD(name) offsetof(eh_config, name)

/* Llama's, which most have: names of tensors in a folder, keys of the shape, of rotary positions and RMS
 * norms, of biases (llama.c). And llama.cpp's names of tensors, which hardly differ between families. */
extern const char *const eh_llama_names[EH_N_SLOT];
extern const char *const eh_gguf_names[EH_N_SLOT];
extern const eh_arch_key eh_shape_keys[];
extern const eh_arch_key eh_llama_keys[];
extern const eh_arch_key eh_bias_keys[];

#endif
