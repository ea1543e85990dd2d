#include "edit/save.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/jsonw.h"
#include "base/sink.h"
#include "edit/recipe.h"

#define CHUNK ((int64_t)1 << 20)      /* bytes of a tensor that are made at once */
#define HEADER_MAX ((int64_t)100000000) /* the format's limit */
#define SMALL_MAX ((int64_t)64 << 20) /* config.json and the index */

/* What is stored otherwise than it is in force. Those of one tensor stand beside each other. */
typedef struct changed {
    eh_stored s;
    eh_stored_writer w;
} changed;

/* A tensor that the files lack: the bias a mean output went into, or zeros beside one. */
typedef struct fresh {
    char name[200];
    int file;
    eh_dtype dtype;
    const float *value; /* [n] or NULL: zeros */
    int64_t n;
    int64_t offset; /* in the written file's data */
} fresh;

typedef struct plan {
    const eh_session *s;
    const eh_weights *w;
    bool gguf;
    eh_arena arena;
    changed *change; /* [n_change] by file, then place */
    int64_t n_change;
    int64_t n_tensor; /* that they are in */
    fresh *add; /* [n_add] by layer */
    int64_t n_add;
    bool o_bias, mlp_bias; /* which biases are added */
    char base[65];
    eh_buf recipe;       /* of the edits in force; empty: none are */
    eh_undo_file *undo;  /* [n_undo] room for every weight file, config and index */
    int64_t n_undo;
    int64_t n_byte;
} plan;

/* ---- The plan ------------------------------------------------------------------------------ */

static int by_place(const void *a, const void *b)
{
    const eh_part *p = &((const changed *)a)->s.part, *q = &((const changed *)b)->s.part;
    const eh_tensor *x = p->t, *y = q->t;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return (p->first > q->first) - (p->first < q->first);
}

static int add_fresh(plan *p, const eh_stored *of, const float *value, eh_err *err)
{
    /* Beside its weight, in the weight's type; GGUF keeps vectors in F32. */
    eh_filed weight;
    eh_config_filed(&p->s->m->config, of->slot, of->layer, false, &weight);
    const eh_tensor *t = eh_weights_find(p->w, weight.name);
    if (t == NULL)
        return eh_fail(err, EH_EFORMAT, "%s: has no tensor \"%s\"", p->s->m->path, weight.name);
    if (weight.n_out < weight.n_whole)
        return eh_fail(err, EH_ENOSUP, "%s: wants a bias beside a part of \"%s\" alone; use mode \"zero\"",
                       p->s->m->path, weight.name);
    fresh *f = &p->add[p->n_add++];
    *f = (fresh){.file = t->file, .dtype = p->gguf ? EH_DTYPE_F32 : t->dtype, .value = value, .n = of->n_col};
    snprintf(f->name, sizeof f->name, "%s", of->name);
    return EH_OK;
}

/* A family whose files can say that there is a bias has it in every layer. */
static int plan_fresh(plan *p, eh_err *err)
{
    const eh_config *c = &p->s->m->config;
    const eh_arch_files *files = p->gguf ? &c->arch->gguf : &c->arch->folder;
    if (p->o_bias && !files->takes_o_bias)
        return eh_fail(err, EH_ENOSUP,
                       "%s: a head's mean output wants a bias at the attention's output, which the %s family does not "
                       "take; use mode \"zero\"",
                       p->s->m->path, c->arch->name);
    if (p->mlp_bias && !files->takes_mlp_bias)
        return eh_fail(err, EH_ENOSUP,
                       "%s: a neuron's mean output wants a bias in the MLP, which the %s family does not take; use "
                       "mode \"zero\"",
                       p->s->m->path, c->arch->name);
    const int64_t n = eh_n_stored(p->s->m);
    p->add = eh_new(&p->arena, fresh, n);
    if (p->add == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory to plan the new biases");
    for (int64_t i = 0; i < n; i++) {
        eh_stored s;
        const bool there = eh_stored_at(p->s, i, &s);
        if (!s.bias || s.l == NULL || s.part.t != NULL || !eh_config_has(c, s.slot))
            continue;
        const bool attention = s.role == EH_LINEAR_QKV || s.role == EH_LINEAR_O;
        const bool wanted = attention ? p->o_bias && (!p->gguf || s.slot == EH_SLOT_O) : p->mlp_bias;
        const int rc = wanted ? add_fresh(p, &s, there ? s.vector : NULL, err) : EH_OK;
        if (rc < 0)
            return rc;
    }
    return EH_OK;
}

static int make_plan(plan *p, const eh_session *s, eh_err *err)
{
    bool applied;
    const int64_t n = eh_n_stored(s->m);
    *p = (plan){.s = s, .w = s->m->weights, .gguf = eh_weights_kind_of(s->m->weights) == EH_WEIGHTS_GGUF};
    int rc = eh_saved_base(p->w, &applied, p->base, err);
    if (rc < 0)
        return rc;
    if (applied && (s->n_edit > 0 || p->gguf))
        return eh_fail(err, EH_EINVAL, "%s: a recipe was applied already; go back with --undo first", s->m->path);
    rc = eh_weights_fingerprint(p->w, p->base, err);
    if (rc < 0)
        return rc;
    const int64_t n_file = eh_weights_n_file(p->w);
    p->change = eh_new(&p->arena, changed, n);
    p->undo = eh_new(&p->arena, eh_undo_file, n_file + 2);
    if (p->change == NULL || p->undo == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory to plan the writing of %lld tensors", (long long)n);
    for (int64_t i = 0; i < n; i++) {
        changed *c = &p->change[p->n_change];
        bool differs;
        if (!eh_stored_at(s, i, &c->s))
            continue;
        if (c->s.part.t == NULL) {
            const bool attention = c->s.role == EH_LINEAR_QKV || c->s.role == EH_LINEAR_O;
            p->o_bias = p->o_bias || attention;
            p->mlp_bias = p->mlp_bias || !attention;
            continue;
        }
        rc = eh_stored_changed(s, &c->s, &differs, err);
        if (rc < 0)
            return rc;
        p->n_change += differs;
    }
    if (p->n_change > 0)
        qsort(p->change, (size_t)p->n_change, sizeof *p->change, by_place);
    for (int64_t i = 0; i < p->n_change; i++)
        p->n_tensor += i == 0 || p->change[i].s.part.t != p->change[i - 1].s.part.t;
    if (p->o_bias || p->mlp_bias)
        rc = plan_fresh(p, err);
    if (rc == EH_OK && s->n_edit > 0) {
        eh_recipe_put(&p->recipe, s->m, s->edit, s->n_edit, p->base, NULL);
        rc = eh_buf_check(&p->recipe, "the recipe", err);
    }
    return rc;
}

static void clear_plan(plan *p)
{
    eh_buf_clear(&p->recipe);
    eh_arena_clear(&p->arena);
}

static bool is_rewritten(const plan *p, int file)
{
    bool any = p->n_change + p->n_add == 0 && file == 0; /* an edit without effect leaves its mark all the same */
    for (int64_t i = 0; i < p->n_change; i++)
        any = any || p->change[i].s.part.t->file == file;
    for (int64_t i = 0; i < p->n_add; i++)
        any = any || p->add[i].file == file;
    return any;
}

/* ---- A weight file ------------------------------------------------------------------------- */

/* The source's header with our metadata and the new tensors. `data` bytes of tensors are there already. */
static int safetensors_head(plan *p, int file, int64_t data, eh_buf *head, eh_err *err)
{
    json_t *root = NULL, *metadata = NULL;
    const char *where = eh_weights_file_path(p->w, file);
    int rc = eh_saved_metadata(p->w, file, &root, &metadata, err);
    bool good = true;
    if (rc < 0)
        return rc;
    if (metadata == NULL) {
        metadata = json_object();
        good = json_object_set_new(root, "__metadata__", metadata) == 0;
    }
    good = good && json_object_set_new(metadata, EH_KEY_BASE, json_string(p->base)) == 0;
    if (p->recipe.n > 0 && good)
        good = json_object_set_new(metadata, EH_KEY_RECIPE, json_stringn(p->recipe.p, (size_t)p->recipe.n)) == 0;
    for (int64_t i = 0; i < p->n_add && good; i++) {
        fresh *f = &p->add[i];
        if (f->file != file)
            continue;
        const int64_t n_byte = f->n * eh_dtype_get(f->dtype)->bytes;
        f->offset = data;
        json_t *t = json_pack("{s:s, s:[I], s:[I, I]}", "dtype", eh_dtype_get(f->dtype)->safetensors, "shape",
                              (json_int_t)f->n, "data_offsets", (json_int_t)data, (json_int_t)(data + n_byte));
        good = t != NULL && json_object_set_new(root, f->name, t) == 0;
        data += n_byte;
    }
    eh_buf text = {.limit = HEADER_MAX};
    if (good)
        eh_buf_json_value(&text, root, 0);
    json_decref(root);
    while (text.fault == 0 && text.n % 8 != 0)
        eh_buf_char(&text, ' ');
    const uint64_t length = (uint64_t)text.n;
    eh_buf_bytes(head, &length, 8);
    eh_buf_str(head, eh_buf_get(&text));
    rc = !good ? eh_fail(err, EH_ENOMEM, "%s: no memory for its new header", where) : eh_buf_check(&text, where, err);
    eh_buf_clear(&text);
    return rc == EH_OK ? eh_buf_check(head, where, err) : rc;
}

static void put_u32(eh_buf *b, uint32_t x)
{
    eh_buf_bytes(b, &x, 4);
}

static void put_u64(eh_buf *b, int64_t x)
{
    eh_buf_bytes(b, &x, 8);
}

static void put_text(eh_buf *b, eh_str s)
{
    put_u64(b, s.n);
    eh_buf_str(b, s);
}

static int64_t gguf_alignment(const plan *p)
{
    const eh_gguf_value *v = eh_gguf_get(p->w, "general.alignment");
    return v != NULL ? v->i : 32;
}

static int64_t aligned(int64_t at, int64_t alignment)
{
    return (at + alignment - 1) / alignment * alignment;
}

/* GGUF: counts, the old values and ours, the old table and the new tensors. Offsets in the table stay
 * true, since the data behind it stay in their order. `data` bytes of it are there already. */
static int gguf_head(plan *p, int64_t data, eh_buf *head, eh_err *err)
{
    const eh_map *map = eh_weights_file_map(p->w, 0);
    const int64_t end = eh_weights_file_header(p->w, 0), n_tensor = eh_weights_count(p->w);
    const int64_t alignment = gguf_alignment(p);
    int64_t table = end; /* where it starts: what an entry takes is known */
    for (int64_t i = 0; i < n_tensor; i++) {
        const eh_tensor *t = eh_weights_at(p->w, i);
        table -= 8 + (int64_t)strlen(t->name) + 4 + 8 * t->n_dim + 4 + 8;
    }
    eh_buf_bytes(head, map->p, 8); /* magic and version */
    put_u64(head, n_tensor + p->n_add);
    put_u64(head, eh_gguf_count(p->w) + 1 + (p->recipe.n > 0));
    eh_buf_bytes(head, map->p + 24, table - 24);
    put_text(head, EH_STR(EH_KEY_BASE));
    put_u32(head, EH_GGUF_STRING);
    put_text(head, eh_str_of(p->base));
    if (p->recipe.n > 0) {
        put_text(head, EH_STR(EH_KEY_RECIPE));
        put_u32(head, EH_GGUF_STRING);
        put_text(head, eh_buf_get(&p->recipe));
    }
    eh_buf_bytes(head, map->p + table, end - table);
    for (int64_t i = 0; i < p->n_add; i++) {
        fresh *f = &p->add[i];
        f->offset = aligned(data, alignment);
        data = f->offset + f->n * eh_dtype_get(f->dtype)->bytes;
        put_text(head, eh_str_of(f->name));
        put_u32(head, 1);
        put_u64(head, f->n);
        put_u32(head, (uint32_t)eh_dtype_get(f->dtype)->gguf);
        put_u64(head, f->offset);
    }
    while (head->fault == 0 && head->n % alignment != 0)
        eh_buf_char(head, '\0');
    return eh_buf_check(head, p->s->m->path, err);
}

/* The changes that are in one tensor, change[0..n-1]; `u` notes the bytes that came out different. */
static int put_changed(const plan *p, changed *change, int64_t n, eh_sink *k, eh_undo_file *u, eh_err *err)
{
    const eh_tensor *t = change->s.part.t;
    const int64_t row_bytes = eh_tensor_row_bytes(t), n_row = t->n_byte / row_bytes;
    const int64_t step = row_bytes < CHUNK ? CHUNK / row_bytes : 1; /* rows at once */
    int64_t from = -1, to = -1;
    char *bytes = eh_alloc(step, row_bytes);
    int rc = bytes != NULL ? EH_OK : eh_fail(err, EH_ENOMEM, "no memory to write \"%s\"", t->name);
    for (int64_t i = 0; i < n && rc == EH_OK; i++)
        rc = eh_stored_writer_open(p->s, &change[i].s, &change[i].w, err);
    for (int64_t row = 0; row < n_row && rc == EH_OK; row += step) {
        const int64_t rows = n_row - row < step ? n_row - row : step;
        const char *stored = t->data + row * row_bytes;
        memcpy(bytes, stored, (size_t)(rows * row_bytes));
        for (int64_t i = 0; i < n; i++)
            eh_stored_write(&change[i].w, row, rows, bytes);
        for (int64_t i = 0; i < rows * row_bytes; i++)
            if (bytes[i] != stored[i]) {
                from = from < 0 ? row * row_bytes + i : from;
                to = row * row_bytes + i + 1;
            }
        rc = eh_sink_put(k, bytes, rows * row_bytes, err);
    }
    for (int64_t i = 0; i < n; i++)
        eh_stored_writer_close(&change[i].w);
    eh_free(bytes);
    if (rc == EH_OK && from >= 0)
        u->range[u->n_range++] = (eh_undo_range){t->offset + from, to - from};
    return rc;
}

static int put_fresh(const fresh *f, int64_t head, eh_sink *k, eh_err *err)
{
    static const char zeros[256];
    const int64_t n_byte = f->n * eh_dtype_get(f->dtype)->bytes;
    int rc = EH_OK;
    while (rc == EH_OK && k->n < head + f->offset) {
        const int64_t gap = head + f->offset - k->n;
        rc = eh_sink_put(k, zeros, gap < (int64_t)sizeof zeros ? gap : (int64_t)sizeof zeros, err);
    }
    char *bytes = eh_calloc(n_byte, 1);
    if (rc == EH_OK && bytes == NULL)
        rc = eh_fail(err, EH_ENOMEM, "no memory for \"%s\"", f->name);
    if (rc == EH_OK && f->value != NULL)
        eh_dtype_from_f32(f->dtype, f->value, f->n, bytes);
    if (rc == EH_OK)
        rc = eh_sink_put(k, bytes, n_byte, err);
    eh_free(bytes);
    return rc;
}

/* The data of weight file `file` behind its head: the source's from `data` on, with the tensors that changed and,
 * behind them, the new ones. Notes in u what was replaced. */
static int put_data(plan *p, int file, int64_t data, eh_sink *k, eh_undo_file *u, eh_err *err)
{
    const eh_map *map = eh_weights_file_map(p->w, file);
    const int64_t head = k->n;
    int64_t at = data;
    int rc = EH_OK;
    for (int64_t i = 0, n; i < p->n_change && rc == EH_OK; i += n) {
        const eh_tensor *t = p->change[i].s.part.t;
        for (n = 1; i + n < p->n_change && p->change[i + n].s.part.t == t;)
            n++;
        if (t->file != file)
            continue;
        rc = eh_sink_put(k, map->p + at, t->offset - at, err);
        if (rc == EH_OK)
            rc = put_changed(p, &p->change[i], n, k, u, err);
        at = t->offset + t->n_byte;
    }
    if (rc == EH_OK)
        rc = eh_sink_put(k, map->p + at, map->n - at, err);
    for (int64_t i = 0; i < p->n_add && rc == EH_OK; i++)
        if (p->add[i].file == file)
            rc = put_fresh(&p->add[i], head, k, err);
    return rc;
}

/* Writes weight file `file` to `path` and notes in p->undo what it replaced; the name is the arena's. */
static int put_weight_file(plan *p, int file, const char *path, const char *name, eh_err *err)
{
    const eh_map *map = eh_weights_file_map(p->w, file);
    int64_t data = eh_weights_file_header(p->w, file);
    if (p->gguf)
        data = aligned(data, gguf_alignment(p));
    data = data < map->n ? data : map->n;
    eh_buf head = {.limit = 2 * HEADER_MAX + data};
    eh_sink out = {0};
    eh_undo_file u = {.name = name, .original = {map->p, map->n}, .head = data};
    u.range = eh_new(&p->arena, eh_undo_range, p->n_change);
    int rc = u.range == NULL ? eh_fail(err, EH_ENOMEM, "no memory to note what is replaced")
             : p->gguf       ? gguf_head(p, map->n - data, &head, err)
                             : safetensors_head(p, file, map->n - data, &head, err);
    u.edited_head = head.n;
    if (rc == EH_OK)
        rc = eh_sink_open(&out, path, err);
    if (rc == EH_OK)
        rc = eh_sink_put(&out, head.p, head.n, err);
    if (rc == EH_OK)
        rc = put_data(p, file, data, &out, &u, err);
    if (rc == EH_OK)
        rc = eh_sink_sum(&out, u.edited, err);
    if (rc == EH_OK)
        rc = eh_sink_commit(&out, err);
    if (rc == EH_OK) {
        p->undo[p->n_undo++] = u;
        p->n_byte += out.n;
    }
    eh_sink_drop(&out);
    eh_buf_clear(&head);
    return rc;
}

/* ---- A folder ------------------------------------------------------------------------------ */

static const char *file_name(const eh_weights *w, int file)
{
    const char *path = eh_weights_file_path(w, file), *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* A small JSON file of the folder, changed by `change`: written to the place, its old bytes noted. */
static int put_json_file(plan *p, const eh_outdir *place, const char *name, eh_map *map,
                         bool (*change)(plan *p, json_t *root), eh_err *err)
{
    json_t *root = NULL;
    eh_buf text = {.limit = SMALL_MAX};
    eh_undo_file *u = &p->undo[p->n_undo];
    char *from = eh_path_join(eh_weights_path(p->w), name), *to = eh_path_join(place->temp, name);
    int rc = from != NULL && to != NULL ? eh_map_open(from, map, err)
                                        : eh_fail(err, EH_ENOMEM, "no memory for the path of %s", name);
    if (rc == EH_OK)
        rc = eh_json_parse((eh_str){map->p, map->n}, from, &root, err);
    if (rc == EH_OK && !change(p, root))
        rc = eh_fail(err, EH_ENOMEM, "%s: no memory to change it", from);
    if (rc == EH_OK)
        eh_buf_json_value(&text, root, 2);
    eh_buf_char(&text, '\n');
    if (rc == EH_OK)
        rc = eh_buf_check(&text, name, err);
    if (rc == EH_OK)
        rc = eh_file_write(to, eh_buf_get(&text), err);
    *u = (eh_undo_file){.name = name, .original = {map->p, map->n}, .head = map->n, .edited_head = text.n};
    if (rc == EH_OK)
        rc = eh_sha256_of(text.p, text.n, u->edited, err);
    if (rc == EH_OK)
        p->n_undo++;
    json_decref(root);
    eh_buf_clear(&text);
    eh_free(from);
    eh_free(to);
    return rc;
}

static bool change_config(plan *p, json_t *root)
{
    const eh_arch *a = p->s->m->config.arch;
    return (!p->o_bias || json_object_set_new(root, a->o_bias_key, json_true()) == 0) &&
           (!p->mlp_bias || json_object_set_new(root, a->mlp_bias_key, json_true()) == 0);
}

static bool change_index(plan *p, json_t *root)
{
    json_t *list = json_object_get(root, "weight_map"), *metadata = json_object_get(root, "metadata");
    const json_t *size = json_object_get(metadata, "total_size");
    json_int_t total = json_integer_value(size);
    bool good = true;
    for (int64_t i = 0; i < p->n_add && good; i++) {
        good = json_object_set_new(list, p->add[i].name, json_string(file_name(p->w, p->add[i].file))) == 0;
        total += (json_int_t)(p->add[i].n * eh_dtype_get(p->add[i].dtype)->bytes);
    }
    return good && (!json_is_integer(size) || json_object_set_new(metadata, "total_size", json_integer(total)) == 0);
}

/* Files that are not carried over: those written anew, and the undo file of an edit before. */
static bool is_written(void *ctx, const char *name)
{
    const plan *p = ctx;
    for (int64_t i = 0; i < p->n_undo; i++)
        if (strcmp(name, p->undo[i].name) == 0)
            return true;
    return strcmp(name, EH_UNDO_NAME) == 0 || strcmp(name, ".git") == 0 || strcmp(name, ".cache") == 0;
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int save_folder(plan *p, const char *out, bool force, int64_t *n_undo, eh_err *err)
{
    eh_outdir place = {0};
    eh_map config = {0}, index = {0};
    char *undo = NULL;
    int rc = eh_outdir_open(&place, out, &eh_model_folder, force, err);
    for (int i = 0; i < eh_weights_n_file(p->w) && rc == EH_OK; i++) {
        if (!is_rewritten(p, i)) {
            p->n_byte += eh_weights_file_map(p->w, i)->n;
            continue;
        }
        char *path = eh_path_join(place.temp, file_name(p->w, i));
        rc = path != NULL ? put_weight_file(p, i, path, file_name(p->w, i), err)
                          : eh_fail(err, EH_ENOMEM, "no memory for the path of %s", file_name(p->w, i));
        eh_free(path);
    }
    if (rc == EH_OK && p->n_add > 0)
        rc = put_json_file(p, &place, "config.json", &config, change_config, err);
    const bool sharded = strcmp(file_name(p->w, 0), "model.safetensors") != 0;
    if (rc == EH_OK && p->n_add > 0 && sharded)
        rc = put_json_file(p, &place, "model.safetensors.index.json", &index, change_index, err);
    if (rc == EH_OK)
        rc = eh_outdir_copy(&place, eh_weights_path(p->w), is_written, p, err);
    if (rc == EH_OK) {
        undo = eh_path_join(place.temp, EH_UNDO_NAME);
        rc = undo != NULL ? eh_undo_write(undo, p->undo, p->n_undo, n_undo, err)
                          : eh_fail(err, EH_ENOMEM, "no memory for the path of " EH_UNDO_NAME);
    }
    if (rc == EH_OK)
        rc = eh_outdir_commit(&place, err);
    eh_outdir_drop(&place);
    eh_free(undo);
    eh_map_close(&config);
    eh_map_close(&index);
    return rc;
}

/* The undo file lands first: a model is never there without it. */
static int save_gguf(plan *p, const char *out, bool force, int64_t *n_undo, eh_err *err)
{
    eh_buf undo = {0}, temp = {0};
    int rc = eh_outpath_check(out, force, err);
    if (rc < 0)
        return rc;
    eh_buf_printf(&undo, "%s.undo", out);
    eh_buf_printf(&temp, "%s.new", out);
    rc = eh_buf_check(&undo, out, err);
    if (rc == EH_OK)
        rc = eh_buf_check(&temp, out, err);
    if (rc == EH_OK)
        rc = put_weight_file(p, 0, temp.p, "model", err);
    const bool made = rc == EH_OK;
    if (rc == EH_OK)
        rc = eh_undo_write(undo.p, p->undo, p->n_undo, n_undo, err);
    if (rc == EH_OK && (eh_file_told_to_fail() || rename(temp.p, out) != 0)) {
        rc = eh_fail(err, EH_EIO, "%s: cannot be put in place", out);
        unlink(undo.p);
    }
    if (rc < 0 && made)
        unlink(temp.p);
    eh_buf_clear(&undo);
    eh_buf_clear(&temp);
    return rc;
}

int eh_session_save(const eh_session *s, const char *out, bool force, eh_saved *saved, eh_err *err)
{
    plan p;
    int64_t n_undo = 0;
    int rc = make_plan(&p, s, err);
    if (rc == EH_OK && same_file(out, s->m->path))
        rc = eh_fail(err, EH_EINVAL, "%s: is the model itself; write the edited one beside it", out);
    if (rc == EH_OK)
        rc = p.gguf ? save_gguf(&p, out, force, &n_undo, err) : save_folder(&p, out, force, &n_undo, err);
    if (rc == EH_OK && saved != NULL)
        *saved = (eh_saved){eh_weights_count(p.w), p.n_tensor, p.n_add, p.n_byte, n_undo};
    clear_plan(&p);
    return rc;
}
