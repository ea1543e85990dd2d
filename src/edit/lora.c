/*
 * An edit as a LoRA adapter in PEFT's layout: W' = W + B A, for each linear that changed.
 *
 * An edit changes whole rows (a head's in Q) or whole columns (a head's in the output projection), so
 * W' - W has the rank of their number, and the factors are it and a selection of rows or columns:
 * nothing is decomposed and nothing lost but one rounding of the difference to f32.
 *
 * PEFT's module is a stored tensor: projections that share one (GPT-2's c_attn) are one module. Its factors are those
 * of W [outputs, inputs] also where the tensor lies transposed, which fan_in_fan_out says.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/jsonw.h"
#include "edit/save.h"


typedef struct module {
    eh_stored s[EH_LINEAR_PARTS]; /* [n_slot] that changed, rows part.first.. of it each */
    int n_slot;
    int64_t n_row, n_col;
    int64_t rank;
    bool by_row;     /* A holds the rows that differ; else B holds the columns */
    int64_t *at;     /* [rank] which */
    int64_t offset;  /* of A in the file's data; B follows */
} module;

typedef struct lora {
    const eh_session *s;
    eh_arena arena;
    module *module; /* [n_module] */
    int64_t n_module;
    double error2, delta2; /* squared Frobenius norms */
    eh_lora told;
} lora;

/* W' in force and W as stored, one row in Hugging Face order; the difference in f32 is returned in delta. false: of
 * the projection that has this row nothing changed, and delta is zero. */
static bool one_row(const lora *l, const module *d, int64_t row, float *now, float *was, float *delta)
{
    memset(delta, 0, (size_t)d->n_col * sizeof *delta);
    for (int k = 0; k < d->n_slot; k++) {
        const eh_stored *s = &d->s[k];
        const int64_t at = row - s->part.first;
        if (at < 0 || at >= s->n_row)
            continue;
        eh_stored_rows(l->s, s, at, 1, now);
        eh_stored_file_rows(s, at, 1, was);
        for (int64_t c = 0; c < d->n_col; c++)
            delta[c] = now[c] - was[c];
        return true;
    }
    return false;
}

/* A changed weight: a module of its own, or a part of the last. */
static int add_slot(lora *l, const eh_stored *s, eh_err *err)
{
    if (s->bias || s->l == NULL)
        return eh_fail(err, EH_ENOSUP,
                       "\"%s\" changes, and an adapter holds changes of weight matrices only; write the whole model "
                       "with -o",
                       s->name);
    module *d = l->n_module > 0 ? &l->module[l->n_module - 1] : NULL;
    if (d == NULL || d->s[0].part.t != s->part.t) {
        d = &l->module[l->n_module++];
        *d = (module){.n_row = eh_tensor_count(s->part.t) / s->n_col, .n_col = s->n_col};
    }
    d->s[d->n_slot++] = *s;
    return EH_OK;
}

/* The rows and columns that differ: factors, rank, error. */
static int plan_module(lora *l, module *d, int64_t limit, eh_err *err)
{
    const char *name = d->s[0].name;
    int64_t *rows = eh_new(&l->arena, int64_t, d->n_row), *cols = eh_new(&l->arena, int64_t, d->n_col);
    float *x = eh_alloc(3 * d->n_col, (int64_t)sizeof *x);
    if (rows == NULL || cols == NULL || x == NULL) {
        eh_free(x);
        return eh_fail(err, EH_ENOMEM, "no memory to look at \"%s\"", name);
    }
    float *const now = x, *const was = x + d->n_col, *const delta = x + 2 * d->n_col;
    int64_t n_rows = 0, n_cols = 0;
    for (int64_t r = 0; r < d->n_row; r++) {
        bool any = false;
        const bool looked = one_row(l, d, r, now, was, delta);
        for (int64_t c = 0; looked && c < d->n_col; c++) {
            if (delta[c] == 0.0f)
                continue;
            any = true;
            cols[c] = 1;
            const double error = (double)(was[c] + delta[c]) - (double)now[c];
            l->delta2 += (double)delta[c] * (double)delta[c];
            l->error2 += error * error;
            l->told.max_abs = fmax(l->told.max_abs, fabs(error));
        }
        if (any)
            rows[n_rows++] = r;
    }
    for (int64_t c = 0; c < d->n_col; c++)
        if (cols[c] != 0)
            cols[n_cols++] = c;
    eh_free(x);
    d->by_row = n_rows <= n_cols;
    d->rank = d->by_row ? n_rows : n_cols;
    d->at = d->by_row ? rows : cols;
    if (d->rank > limit)
        return eh_fail(err, EH_ENOSUP,
                       "\"%s\" changes in %lld rows and %lld columns: rank %lld is above the limit of %lld; write the "
                       "whole model with -o, or raise --lora-rank",
                       name, (long long)n_rows, (long long)n_cols, (long long)d->rank, (long long)limit);
    l->told.rank = d->rank > l->told.rank ? d->rank : l->told.rank;
    return EH_OK;
}

typedef struct module_name {
    char text[300];
} module_name;

/* "PREFIX" + the linear's name without ".weight" + "SUFFIX" */
static module_name name_of(const module *d, const char *prefix, const char *suffix)
{
    module_name n;
    const int bare = (int)(strlen(d->s[0].name) - strlen(".weight"));
    snprintf(n.text, sizeof n.text, "%s%.*s%s", prefix, bare, d->s[0].name, suffix);
    return n;
}

static int64_t put_header(lora *l, eh_buf *b)
{
    eh_jsonw w = {.b = b};
    int64_t at = 0;
    eh_jsonw_begin(&w, NULL, '{');
    eh_jsonw_begin(&w, "__metadata__", '{');
    eh_jsonw_text(&w, "format", "pt");
    eh_jsonw_end(&w);
    for (int64_t i = 0; i < l->n_module; i++) {
        module *d = &l->module[i];
        const int64_t shape[2][2] = {{d->rank, d->n_col}, {d->n_row, d->rank}};
        d->offset = at;
        for (int k = 0; k < 2; k++) {
            const int64_t n = shape[k][0] * shape[k][1] * (int64_t)sizeof(float);
            eh_jsonw_begin(&w, name_of(d, "base_model.model.", k == 0 ? ".lora_A.weight" : ".lora_B.weight").text, '{');
            eh_jsonw_text(&w, "dtype", "F32");
            eh_jsonw_ints(&w, "shape", shape[k], 2);
            eh_jsonw_ints(&w, "data_offsets", (const int64_t[]){at, at + n}, 2);
            eh_jsonw_end(&w);
            at += n;
        }
    }
    eh_jsonw_end(&w);
    while (b->fault == 0 && b->n % 8 != 0)
        eh_buf_char(b, ' ');
    return at;
}

/* A, then B, row by row. */
static int put_module(const lora *l, const module *d, eh_outfile *out, eh_err *err)
{
    const int64_t n = d->n_col > d->rank ? d->n_col : d->rank;
    float *x = eh_alloc(4 * n, (int64_t)sizeof *x), *const delta = x + 2 * n, *const row = x + 3 * n;
    int rc = x != NULL ? EH_OK : eh_fail(err, EH_ENOMEM, "no memory to write the adapter of \"%s\"", d->s[0].name);
    for (int64_t k = 0; k < d->rank && rc == EH_OK; k++) {
        if (d->by_row)
            one_row(l, d, d->at[k], x, x + n, delta);
        for (int64_t c = 0; c < d->n_col; c++)
            row[c] = d->by_row ? delta[c] : c == d->at[k] ? 1.0f : 0.0f;
        rc = eh_outfile_put(out, row, d->n_col * (int64_t)sizeof *row, err);
    }
    for (int64_t r = 0; r < d->n_row && rc == EH_OK; r++) {
        if (!d->by_row)
            one_row(l, d, r, x, x + n, delta);
        for (int64_t k = 0; k < d->rank; k++)
            row[k] = !d->by_row ? delta[d->at[k]] : r == d->at[k] ? 1.0f : 0.0f;
        rc = eh_outfile_put(out, row, d->rank * (int64_t)sizeof *row, err);
    }
    eh_free(x);
    return rc;
}

static int put_weights(lora *l, const char *path, eh_err *err)
{
    eh_buf header = {0};
    eh_outfile out = {0};
    const int64_t data = put_header(l, &header);
    const uint64_t length = (uint64_t)header.n;
    int rc = eh_buf_check(&header, path, err);
    if (rc == EH_OK)
        rc = eh_outfile_open(&out, path, err);
    if (rc == EH_OK)
        rc = eh_outfile_put(&out, &length, 8, err);
    if (rc == EH_OK)
        rc = eh_outfile_put(&out, header.p, header.n, err);
    for (int64_t i = 0; i < l->n_module && rc == EH_OK; i++)
        rc = put_module(l, &l->module[i], &out, err);
    if (rc == EH_OK)
        rc = eh_outfile_commit(&out, err);
    l->told.n_byte = 8 + header.n + data;
    eh_outfile_drop(&out);
    eh_buf_clear(&header);
    return rc;
}

/* alpha / r = 1 everywhere, whatever a module's own rank. */
static int put_config(const lora *l, const eh_outdir *place, eh_err *err)
{
    static const char *const patterns[] = {"rank_pattern", "alpha_pattern"};
    eh_buf b = {0};
    eh_jsonw *w = &(eh_jsonw){.b = &b, .spaced = true};
    bool turned = false; /* PEFT takes it for the modules that are of this kind */
    for (int64_t i = 0; i < l->n_module; i++)
        turned = turned || (l->module[i].s[0].part.layout & EH_LAYOUT_TRANSPOSED) != 0;
    eh_jsonw_begin(w, NULL, '{');
    eh_jsonw_line(w, 1);
    eh_jsonw_text(w, "peft_type", "LORA");
    eh_jsonw_text(w, "task_type", "CAUSAL_LM");
    eh_jsonw_text(w, "base_model_name_or_path", l->s->m->path);
    eh_jsonw_line(w, 1);
    eh_jsonw_int(w, "r", l->told.rank);
    eh_jsonw_int(w, "lora_alpha", l->told.rank);
    eh_jsonw_raw(w, "lora_dropout", EH_STR("0.0"));
    eh_jsonw_text(w, "bias", "none");
    eh_jsonw_line(w, 1);
    eh_jsonw_bool(w, "fan_in_fan_out", turned);
    eh_jsonw_bool(w, "inference_mode", true);
    eh_jsonw_bool(w, "use_rslora", false);
    eh_jsonw_bool(w, "use_dora", false);
    for (int k = 0; k < 2; k++) {
        eh_jsonw_line(w, 1);
        eh_jsonw_begin(w, patterns[k], '{');
        for (int64_t i = 0; i < l->n_module; i++) {
            eh_jsonw_line(w, 2);
            eh_jsonw_int(w, name_of(&l->module[i], "", "").text, l->module[i].rank);
        }
        eh_jsonw_end(w);
    }
    eh_jsonw_line(w, 1);
    eh_jsonw_begin(w, "target_modules", '[');
    for (int64_t i = 0; i < l->n_module; i++) {
        eh_jsonw_line(w, 2);
        eh_jsonw_text(w, NULL, name_of(&l->module[i], "", "").text);
    }
    eh_jsonw_end(w);
    eh_jsonw_end_on_line(w, 0);
    eh_jsonw_finish(w);
    const int rc = eh_file_write_in(place->temp, "adapter_config.json", &b, err);
    eh_buf_clear(&b);
    return rc;
}

static int plan_lora(lora *l, int64_t limit, eh_err *err)
{
    const int64_t n = eh_n_stored(l->s->m);
    l->module = eh_new(&l->arena, module, n);
    if (l->module == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory to plan an adapter");
    for (int64_t i = 0; i < n; i++) {
        eh_stored s;
        bool differs;
        if (!eh_stored_at(l->s, i, &s))
            continue;
        int rc = eh_stored_changed(l->s, &s, &differs, err);
        if (rc == EH_OK && differs)
            rc = add_slot(l, &s, err);
        if (rc < 0)
            return rc;
    }
    int64_t n_kept = 0;
    for (int64_t i = 0; i < l->n_module; i++) {
        const int rc = plan_module(l, &l->module[i], limit, err);
        if (rc < 0)
            return rc;
        if (l->module[i].rank > 0) /* else: a factor of 1, or of 0 on zeros */
            l->module[n_kept++] = l->module[i];
    }
    l->n_module = n_kept;
    if (l->n_module == 0)
        return eh_fail(err, EH_EINVAL, "%s: nothing in it differs from the file: there is no adapter to write",
                       l->s->m->path);
    l->told.n_module = l->n_module;
    l->told.relative = l->delta2 > 0.0 ? sqrt(l->error2 / l->delta2) : 0.0;
    return EH_OK;
}

int eh_session_save_lora(const eh_session *s, const char *out, int64_t rank_limit, bool force, eh_lora *told,
                         eh_err *err)
{
    lora l = {.s = s};
    eh_outdir place = {0};
    char *weights = NULL;
    if (eh_weights_kind_of(s->m->weights) == EH_WEIGHTS_GGUF)
        return eh_fail(err, EH_ENOSUP, "%s: is a GGUF file; adapters are written for model folders", s->m->path);
    if (rank_limit < 1)
        return eh_fail(err, EH_EINVAL, "the rank limit is %lld, wanted 1 or more", (long long)rank_limit);
    int rc = plan_lora(&l, rank_limit, err);
    if (rc < 0 || (rc = eh_outdir_open(&place, out, &eh_model_folder, force, err)) < 0)
        goto done;
    weights = eh_path_join(place.temp, "adapter_model.safetensors");
    if (weights == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for the path %s", out);
        goto done;
    }
    if ((rc = put_weights(&l, weights, err)) < 0 || (rc = put_config(&l, &place, err)) < 0 ||
        (rc = eh_outdir_commit(&place, err)) < 0)
        goto done;
    if (told != NULL)
        *told = l.told;
done:
    eh_outdir_drop(&place);
    eh_free(weights);
    eh_arena_clear(&l.arena);
    return rc;
}
