/*
 * A config to be asked by key, be it config.json or a GGUF's metadata, and the tables of keys that are read so.
 *
 *     rc = eh_keys_int(k, k->gguf ? "block_count" : "num_hidden_layers", 1, 100000, true, &n, err);
 *     rc = eh_keys_read(k, table, &config, err);
 *
 * In a GGUF all keys are behind "ARCHITECTURE.". A key that is missing, or null, leaves the output as it was unless it
 * is required. Errors name the file and the key.
 */
#ifndef EH_ARCH_KEYS_H
#define EH_ARCH_KEYS_H

#include "arch/arch.h"
#include "format/weights.h"

#define EH_LAYERS_MAX 100000
/* Bounds of a shape that anyone could mean; they keep every product of two of them in 64 bits. */
#define EH_SHAPE_MAX ((int64_t)1 << 24)
#define EH_CTX_MAX ((int64_t)1 << 24)
#define EH_HEADS_MAX 65536

struct eh_keys {
    const eh_weights *w;
    const char *where;  /* for messages */
    bool gguf;
    const char *arch;   /* GGUF: what keys begin with */
    const json_t *json; /* config.json */
};

bool eh_keys_has(const eh_keys *k, const char *key);
int eh_keys_int(const eh_keys *k, const char *key, int64_t low, int64_t high, bool required, int64_t *out, eh_err *err);
int eh_keys_real(const eh_keys *k, const char *key, double low, double high, bool required, double *out, eh_err *err);
int eh_keys_bool(const eh_keys *k, const char *key, bool required, bool *out, eh_err *err);
int eh_keys_text(const eh_keys *k, const char *key, bool required, eh_str *out, eh_err *err); /* borrowed */

/* The keys of a table, of those the format has. */
int eh_keys_read(const eh_keys *k, const eh_arch_key *table, eh_config *c, eh_err *err);

/* What config.json's rotary object (rope_scaling, rope_parameters) says: into r and d_rot. */
int eh_rope_read(const json_t *o, const char *where, eh_rope *r, int64_t *d_rot, eh_err *err);

#endif
