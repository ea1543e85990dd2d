/*
 * evenhand/model.h - a model, and sessions on it (band 1: open and ask)
 *
 *     eh_model *m;
 *     eh_session *s;
 *     rc = eh_model_open("SmolLM2.gguf", &m, &err);
 *     rc = eh_session_open(m, NULL, &s, &err);
 *     ... eh_score(s, ...), eh_generate(s, ...), eh_audit_run(s, ...) ...
 *     eh_session_close(s);
 *     eh_model_close(m);
 */
#ifndef EVENHAND_MODEL_H
#define EVENHAND_MODEL_H

#include "evenhand/core.h"

typedef struct eh_model eh_model;

/*
 * eh_model_open - a model folder (config.json, safetensors) or a GGUF file
 *
 * in   path
 * out  m     to be closed by eh_model_close, after its sessions; written on success only
 *
 * Weights are mapped, not read. The tokenizer is opened when the files hold one; a model without scores token ids only.
 * Errors   EH_ENOENT no such file; EH_EFORMAT a file is damaged; EH_ENOSUP a family, type or tokenizer that is not
 *          supported; EH_ENOMEM
 * Threads  nothing in an open model changes: any number of sessions and threads may share it.
 */
EH_API int eh_model_open(const char *path, eh_model **m, eh_err *err);
EH_API void eh_model_close(eh_model *m); /* NULL is fine */

typedef struct eh_model_info {
    const char *path, *format, *family, *dtype, *tokenizer; /* dtype: of most weights; tokenizer: NULL if none */
    const char *tokenizer_trouble;                          /* why there is none, or NULL */
    int64_t n_layer, d_model, n_head, n_kv, d_head, d_ff, n_vocab, n_ctx;
    int64_t n_param, n_byte; /* parameters; bytes of the weight files */
    bool tied;
    int32_t bos, eos; /* -1: none */
} eh_model_info;

EH_API void eh_model_describe(const eh_model *m, eh_model_info *info); /* pointers live as long as m */
/* A fingerprint of the weights (headers and the start of every tensor), 64 hex digits and a NUL. */
EH_API int eh_model_fingerprint(const eh_model *m, char out[65], eh_err *err);

/* ---- Sessions ------------------------------------------------------------------------------ */

typedef enum eh_precision {
    EH_PRECISION_AUTO, /* f32 below 2 billion parameters, else bf16 where the processor has it */
    EH_F32,  /* products in float32 */
    EH_BF16  /* products in bfloat16 with float32 sums; all else in float32 */
} eh_precision;

typedef struct eh_session_options {
    size_t size;            /* by eh_session_options_init, as all defaults */
    eh_precision precision;
    int64_t threads;        /* EH_ALL: all cores this process may use */
    int64_t batch_tokens;   /* distinct tokens that go through a layer together */
    int64_t memory;         /* bytes of packed weights kept between batches; the rest is packed anew
                               for each batch. EH_AUTO: 384 MiB for scoring, all for generation */
    bool no_prefix_sharing; /* compute a prefix again for each request that has it */
    const char *product;    /* "onednn", "reference"; NULL: the best there is */
} eh_session_options;
EH_API void eh_session_options_init(eh_session_options *o, size_t size);

typedef struct eh_session eh_session;

/*
 * eh_session_open - everything that calls on a model need beside it
 *
 * in   m, options   options may be NULL: all defaults
 * out  s            to be closed by eh_session_close, before the model; written on success only
 *
 * A session holds the edits in force, weights that a training gave it, packed weights, working memory and counters.
 * Layers are packed when first used. Sessions on one model do not see each other.
 * Errors   EH_EINVAL an option out of range, a backend that is not in this build; EH_ENOMEM
 * Threads  a call uses the session's own threads; one call at a time in a session, sessions at the same time.
 */
EH_API int eh_session_open(const eh_model *m, const eh_session_options *options, eh_session **s, eh_err *err);
EH_API void eh_session_close(eh_session *s);                        /* NULL is fine */
EH_API const eh_model *eh_session_model(const eh_session *s);       /* that it was opened on */

typedef struct eh_session_info {
    const char *product, *simd, *features; /* backend; kernels; the processor's names for them */
    eh_precision precision;                /* as resolved: never EH_PRECISION_AUTO */
    int threads;
    int64_t batch_tokens;
    int64_t packed_bytes; /* all layers and the head, packed */
    int64_t kept_bytes;   /* of which kept between batches */
    int64_t batch_bytes;  /* working memory for a full batch, about */
    int64_t tokens_computed, tokens_asked; /* since opening: tokens that went through the layers, and those that
                                              requests asked for; the difference is what prefix sharing saved */
} eh_session_info;

EH_API void eh_session_describe(const eh_session *s, eh_session_info *info); /* pointers live as long as s */
/* The model's fingerprint where nothing else is in force; else one that stands for edits and training, too. */
EH_API int eh_session_fingerprint(const eh_session *s, char out[65], eh_err *err);

#endif
