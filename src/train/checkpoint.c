#include "train/checkpoint.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/jsonw.h"
#include "base/sink.h"

#define MAGIC "EVHTUNE1"
#define N_MAGIC 8
#define N_HASH 64
#define MAX_STEP ((int64_t)1 << 40)

/* ---- Write --------------------------------------------------------------------------------------- */

/* base [n_grad], or NULL: the weights themselves. */
static int put_pieces(eh_sink *w, const eh_params *p, const float *base, eh_err *err)
{
    int rc = EH_OK;
    for (int64_t i = 0; i < p->n_piece && rc == EH_OK; i++) {
        const eh_param_piece *k = &p->piece[i];
        rc = eh_sink_put(w, base == NULL ? k->w : base + k->at, k->n * (int64_t)sizeof(float), err);
    }
    return rc;
}

static void put_header(eh_buf *b, eh_str what, const eh_params *p, const eh_moments *a, const eh_tune_state *s)
{
    eh_jsonw *w = &(eh_jsonw){.b = b};
    eh_jsonw_begin(w, NULL, '{');
    eh_jsonw_raw(w, "what", what);
    eh_jsonw_int(w, "n_weight", p->n_weight);
    eh_jsonw_bool(w, "keeps_best", a->best != NULL);
    eh_jsonw_int(w, "step", s->step);
    eh_jsonw_int(w, "best_step", s->best_step);
    eh_jsonw_int(w, "worse", s->worse);
    eh_jsonw_bool(w, "finished", s->finished);
    eh_jsonw_begin(w, "points", '[');
    for (int64_t i = 0; i <= s->step; i++) {
        const double x[4] = {s->point[i].loss, s->point[i].tune_loss, s->point[i].lr, s->point[i].grad_norm};
        eh_jsonw_doubles(w, NULL, x, 4);
    }
    eh_jsonw_end(w);
    eh_jsonw_end(w);
}

int eh_checkpoint_write(const char *path, eh_str what, const eh_params *p, const eh_moments *a, const eh_tune_state *s,
                        eh_err *err)
{
    eh_sink out = {0};
    eh_buf header = {0};
    char sum[EH_SHA256_TEXT];
    put_header(&header, what, p, a, s);
    int rc = eh_buf_check(&header, "the header of a checkpoint", err);
    if (rc == EH_OK)
        rc = eh_sink_open(&out, path, err);
    if (rc == EH_OK)
        rc = eh_sink_put(&out, MAGIC, N_MAGIC, err);
    if (rc == EH_OK)
        rc = eh_sink_put(&out, &header.n, (int64_t)sizeof header.n, err);
    if (rc == EH_OK)
        rc = eh_sink_put(&out, header.p, header.n, err);
    if (rc == EH_OK)
        rc = put_pieces(&out, p, NULL, err);
    if (rc == EH_OK)
        rc = put_pieces(&out, p, a->m, err);
    if (rc == EH_OK)
        rc = put_pieces(&out, p, a->v, err);
    if (rc == EH_OK && a->best != NULL)
        rc = put_pieces(&out, p, a->best, err);
    if (rc == EH_OK)
        rc = eh_sink_sum(&out, sum, err);
    if (rc == EH_OK)
        rc = eh_sink_put(&out, sum, N_HASH, err);
    if (rc == EH_OK)
        rc = eh_sink_commit(&out, err);
    eh_sink_drop(&out);
    eh_buf_clear(&header);
    return rc;
}

/* ---- Read ---------------------------------------------------------------------------------------- */

/* The first field of the wanted training that the found one says otherwise. */
static int same_what(const json_t *found, eh_str what, const char *path, eh_err *err)
{
    json_t *wanted;
    int rc = eh_json_parse(what, "the training", &wanted, err);
    if (rc < 0)
        return rc;
    const char *key;
    json_t *value;
    json_object_foreach(wanted, key, value)
    {
        const json_t *other = json_object_get(found, key);
        if (json_equal(value, other))
            continue;
        eh_buf a = {0}, b = {0};
        if (other != NULL)
            eh_buf_json_value(&a, other, 0);
        eh_buf_json_value(&b, value, 0);
        rc = eh_fail(err, EH_EINVAL, "%s is the checkpoint of another training: its %s is %s, not %s; choose another "
                     "folder, or --force to start over", path, key, a.n > 0 ? a.p : "not said", b.n > 0 ? b.p : "that");
        eh_buf_clear(&a);
        eh_buf_clear(&b);
        break;
    }
    json_decref(wanted);
    return rc;
}

static int read_points(const json_t *header, const char *path, int64_t n, eh_tune_point **out, eh_err *err)
{
    const json_t *list = json_object_get(header, "points");
    if (!json_is_array(list) || (int64_t)json_array_size(list) != n)
        return eh_fail(err, EH_EFORMAT, "%s: \"points\" is not a list of %lld", path, (long long)n);
    eh_tune_point *point = eh_calloc(n, (int64_t)sizeof *point);
    if (point == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a curve of %lld steps", (long long)n);
    for (int64_t i = 0; i < n; i++) {
        double x[4];
        const json_t *four = json_array_get(list, (size_t)i);
        for (size_t k = 0; k < 4; k++) {
            const json_t *v = json_array_get(four, k);
            if (!json_is_number(v) && !json_is_null(v)) {
                eh_free(point);
                return eh_fail(err, EH_EFORMAT, "%s: point %lld is not four numbers", path, (long long)i);
            }
            x[k] = json_is_null(v) ? (double)NAN : json_number_value(v);
        }
        point[i] = (eh_tune_point){x[0], x[1], x[2], x[3]};
    }
    *out = point;
    return EH_OK;
}

static int read_state(const json_t *header, const char *path, const eh_params *p, bool keeps_best, eh_tune_state *s,
                      eh_err *err)
{
    int64_t n_weight = 0;
    bool best = false;
    eh_tune_state got = {0};
    int rc;
    if ((rc = eh_json_int(header, path, "n_weight", 0, INT64_MAX, &n_weight, err)) < 0 ||
        (rc = eh_json_bool(header, path, "keeps_best", &best, err)) < 0 ||
        (rc = eh_json_int(header, path, "step", 0, MAX_STEP, &got.step, err)) < 0 ||
        (rc = eh_json_int(header, path, "best_step", 0, got.step, &got.best_step, err)) < 0 ||
        (rc = eh_json_int(header, path, "worse", 0, MAX_STEP, &got.worse, err)) < 0 ||
        (rc = eh_json_bool(header, path, "finished", &got.finished, err)) < 0)
        return rc == EH_ENOENT ? eh_fail_in(err, EH_EFORMAT, "a damaged checkpoint") : rc;
    if (n_weight != p->n_weight || best != keeps_best)
        return eh_fail(err, EH_EFORMAT, "%s: holds %lld weights, wanted %lld", path, (long long)n_weight,
                       (long long)p->n_weight);
    if ((rc = read_points(header, path, got.step + 1, &got.point, err)) == EH_OK)
        *s = got;
    return rc;
}

/* The pieces that lie from `at` on in the file; returns where they end. What was read is let go: a checkpoint is
 * several times the model. */
static int64_t take(const eh_map *map, int64_t at, const eh_params *p, float *base)
{
    for (int64_t i = 0; i < p->n_piece; i++) {
        const int64_t n = p->piece[i].n * (int64_t)sizeof(float);
        memcpy(base == NULL ? p->piece[i].w : base + p->piece[i].at, map->p + at, (size_t)n);
        eh_map_forget(map, at, n);
        at += n;
    }
    return at;
}

#define HASH_STEP ((int64_t)1 << 24) /* bytes */

static int hash_of(const eh_map *map, int64_t n, char out[EH_SHA256_TEXT], eh_err *err)
{
    eh_sha256 h;
    eh_sha256_begin(&h);
    for (int64_t at = 0; at < n; at += HASH_STEP) {
        const int64_t step = n - at < HASH_STEP ? n - at : HASH_STEP;
        eh_sha256_add(&h, map->p + at, step);
        eh_map_forget(map, at, step);
    }
    return eh_sha256_end(&h, out, err);
}

/* The file's parts are where they should be, and its bytes are those that were written. */
static int check_file(const eh_map *map, const char *path, int64_t *n_header, eh_err *err)
{
    const int64_t fixed = N_MAGIC + (int64_t)sizeof *n_header;
    char sum[EH_SHA256_TEXT];
    if (map->n < fixed + N_HASH || memcmp(map->p, MAGIC, N_MAGIC) != 0)
        return eh_fail(err, EH_EFORMAT, "%s: is not a training checkpoint", path);
    memcpy(n_header, map->p + N_MAGIC, sizeof *n_header);
    const int rc = hash_of(map, map->n - N_HASH, sum, err);
    if (rc < 0)
        return rc;
    if (*n_header < 0 || *n_header > map->n - fixed - N_HASH || memcmp(sum, map->p + map->n - N_HASH, N_HASH) != 0)
        return eh_fail(err, EH_EFORMAT, "%s: is damaged (its hash does not match); --force starts over", path);
    return EH_OK;
}

int eh_checkpoint_read(const char *path, eh_str what, eh_params *p, eh_moments *a, eh_tune_state *s, bool *found,
                       eh_err *err)
{
    *found = false;
    if (!eh_file_exists(path))
        return EH_OK;
    eh_map map;
    int rc = eh_map_open(path, &map, err);
    if (rc < 0)
        return rc;
    json_t *header = NULL;
    int64_t n_header = 0;
    const int64_t fixed = N_MAGIC + (int64_t)sizeof n_header;
    rc = check_file(&map, path, &n_header, err);
    if (rc == EH_OK)
        rc = eh_json_parse((eh_str){map.p + fixed, n_header}, path, &header, err);
    if (rc == EH_OK)
        rc = same_what(json_object_get(header, "what"), what, path, err);
    const int64_t n_part = a->best != NULL ? 4 : 3;
    if (rc == EH_OK && map.n != fixed + n_header + n_part * p->n_weight * (int64_t)sizeof(float) + N_HASH)
        rc = eh_fail(err, EH_EFORMAT, "%s: has %lld bytes, wanted %lld weights of %lld numbers each", path,
                     (long long)map.n, (long long)p->n_weight, (long long)n_part);
    if (rc == EH_OK)
        rc = read_state(header, path, p, a->best != NULL, s, err);
    if (rc == EH_OK) {
        int64_t at = take(&map, fixed + n_header, p, NULL);
        at = take(&map, at, p, a->m);
        at = take(&map, at, p, a->v);
        if (a->best != NULL)
            take(&map, at, p, a->best);
        *found = true;
    }
    json_decref(header);
    eh_map_close(&map);
    return rc;
}
