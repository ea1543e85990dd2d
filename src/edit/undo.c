/*
 * Going back: an undo file holds, for each file that an edit rewrote, its old head and the old bytes
 * of what was replaced. It is itself a safetensors file of byte arrays named FILE@OFFSET; its metadata
 * say per file how long it was and what both forms hash to:
 *
 *     {"__metadata__": {"evenhand.undo": "1",
 *                       "model.safetensors": "{\"size\": ..., \"sha256\": \"...\", \"edited\": \"...\",
 *                                             \"head\": ..., \"edited_head\": ...}"},
 *      "model.safetensors@0": {"dtype": "U8", "shape": [n], "data_offsets": [0, n]}, ...}
 */
#include <string.h>

#include "base/json.h"
#include "base/jsonw.h"
#include "base/sink.h"
#include "edit/save.h"

#define HEADER_MAX ((int64_t)100000000) /* as for every safetensors file */
#define MARK "evenhand.undo"

/* ---- Writing ------------------------------------------------------------------------------- */

/* What is told of a file, as JSON. */
static int put_told(eh_buf *b, const eh_undo_file *f, eh_err *err)
{
    char sha[EH_SHA256_TEXT];
    eh_jsonw w = {.b = b};
    const int rc = eh_sha256_of(f->original.p, f->original.n, sha, err);
    eh_buf_reset(b);
    eh_jsonw_begin(&w, NULL, '{');
    eh_jsonw_int(&w, "size", f->original.n);
    eh_jsonw_text(&w, "sha256", rc == EH_OK ? sha : "");
    eh_jsonw_text(&w, "edited", f->edited);
    eh_jsonw_int(&w, "head", f->head);
    eh_jsonw_int(&w, "edited_head", f->edited_head);
    eh_jsonw_end(&w);
    return rc;
}

static int put_header(eh_buf *b, const eh_undo_file *file, int64_t n, eh_err *err)
{
    eh_buf text = {0};
    eh_jsonw *w = &(eh_jsonw){.b = b};
    int64_t at = 0;
    int rc = EH_OK;
    eh_jsonw_begin(w, NULL, '{');
    eh_jsonw_begin(w, "__metadata__", '{');
    eh_jsonw_text(w, MARK, "1");
    for (int64_t i = 0; i < n && rc == EH_OK; i++) {
        rc = put_told(&text, &file[i], err);
        if (rc == EH_OK)
            rc = eh_buf_check(&text, "an undo file", err);
        eh_jsonw_str(w, file[i].name, eh_buf_get(&text)); /* a text of JSON within the JSON */
    }
    eh_jsonw_end(w);
    for (int64_t i = 0; i < n && rc == EH_OK; i++)
        for (int64_t k = -1; k < file[i].n_range && rc == EH_OK; k++) {
            const eh_undo_range r = k < 0 ? (eh_undo_range){0, file[i].head} : file[i].range[k];
            eh_buf_reset(&text);
            eh_buf_printf(&text, "%s@%lld", file[i].name, (long long)r.offset);
            rc = eh_buf_check(&text, "an undo file", err);
            eh_jsonw_begin(w, eh_buf_get(&text).p, '{');
            eh_jsonw_text(w, "dtype", "U8");
            eh_jsonw_ints(w, "shape", &r.n, 1);
            eh_jsonw_ints(w, "data_offsets", (const int64_t[]){at, at + r.n}, 2);
            eh_jsonw_end(w);
            at += r.n;
        }
    eh_jsonw_end(w);
    eh_buf_clear(&text);
    while (b->fault == 0 && b->n % 8 != 0)
        eh_buf_char(b, ' ');
    return rc == EH_OK ? eh_buf_check(b, "an undo file", err) : rc;
}

int eh_undo_write(const char *path, const eh_undo_file *file, int64_t n, int64_t *n_byte, eh_err *err)
{
    eh_buf header = {.limit = HEADER_MAX};
    eh_outfile out = {0};
    int rc = put_header(&header, file, n, err);
    if (rc < 0)
        goto done;
    const uint64_t length = (uint64_t)header.n;
    *n_byte = 8 + header.n;
    if ((rc = eh_outfile_open(&out, path, err)) < 0 || (rc = eh_outfile_put(&out, &length, 8, err)) < 0 ||
        (rc = eh_outfile_put(&out, header.p, header.n, err)) < 0)
        goto done;
    for (int64_t i = 0; i < n && rc == EH_OK; i++) {
        rc = eh_outfile_put(&out, file[i].original.p, file[i].head, err);
        *n_byte += file[i].head;
        for (int64_t k = 0; k < file[i].n_range && rc == EH_OK; k++) {
            rc = eh_outfile_put(&out, file[i].original.p + file[i].range[k].offset, file[i].range[k].n, err);
            *n_byte += file[i].range[k].n;
        }
    }
    if (rc == EH_OK)
        rc = eh_outfile_commit(&out, err);
done:
    eh_outfile_drop(&out);
    eh_buf_clear(&header);
    return rc;
}

/* ---- Reading ------------------------------------------------------------------------------- */

typedef struct undo {
    const char *path;
    eh_map map;
    json_t *root;
    int64_t data; /* where the arrays begin */
} undo;

static int open_undo(undo *u, const char *path, eh_err *err)
{
    uint64_t length = 0;
    u->path = path;
    int rc = eh_map_open(path, &u->map, err);
    if (rc < 0)
        return rc;
    if (u->map.n >= 8)
        memcpy(&length, u->map.p, 8);
    if (length < 2 || length > (uint64_t)HEADER_MAX || (int64_t)length > u->map.n - 8)
        return eh_fail(err, EH_EFORMAT, "%s: is not an undo file", path);
    rc = eh_json_parse((eh_str){u->map.p + 8, (int64_t)length}, path, &u->root, err);
    if (rc < 0)
        return rc;
    if (!json_is_string(json_object_get(json_object_get(u->root, "__metadata__"), MARK)))
        return eh_fail(err, EH_EFORMAT, "%s: is not an undo file", path);
    u->data = 8 + (int64_t)length;
    return EH_OK;
}

static void close_undo(undo *u)
{
    json_decref(u->root);
    eh_map_close(&u->map);
}

typedef struct old_bytes {
    int64_t offset, n;
    const char *p;
} old_bytes;

/* The arrays of one file, in the order of the header, which must be that of their offsets. */
static int find_arrays(const undo *u, const char *name, int64_t size, old_bytes **out, int64_t *n_out, eh_err *err)
{
    const char *key;
    json_t *v;
    const size_t n_name = strlen(name);
    old_bytes *list = eh_alloc((int64_t)json_object_size(u->root), (int64_t)sizeof *list);
    int64_t n = 0, end = 0;
    int rc = list != NULL ? EH_OK : eh_fail(err, EH_ENOMEM, "%s: no memory to read it", u->path);
    json_object_foreach(u->root, key, v) {
        int64_t from = 0, to = 0, at = 0;
        if (rc < 0)
            break;
        if (strncmp(key, name, n_name) != 0 || key[n_name] != '@')
            continue;
        const json_t *offsets = json_object_get(v, "data_offsets");
        from = json_integer_value(json_array_get(offsets, 0));
        to = json_integer_value(json_array_get(offsets, 1));
        const char *digit = key + n_name + 1;
        for (; *digit >= '0' && *digit <= '9' && at < (int64_t)1 << 59; digit++)
            at = 10 * at + (*digit - '0');
        if (*digit != '\0' || from < 0 || to < from || to > u->map.n - u->data || at < end || at > size ||
            to - from > size - at)
            rc = eh_fail(err, EH_EFORMAT, "%s: \"%.100s\" does not fit the file it belongs to", u->path, key);
        list[n++] = (old_bytes){at, to - from, u->map.p + u->data + from};
        end = at + to - from;
    }
    if (rc < 0) {
        eh_free(list);
        return rc;
    }
    *out = list;
    *n_out = n;
    return EH_OK;
}

/* One file as it was: at `to`, from the edited one. */
static int restore(const undo *u, const char *name, const json_t *told, const char *from, const char *to, eh_err *err)
{
    json_t *o = NULL;
    eh_map map = {0};
    eh_sink out = {0};
    old_bytes *old = NULL;
    int64_t size, head, edited_head, n_old = 0;
    eh_str sha, edited;
    char found[65];
    int rc = eh_json_parse(eh_json_text(told), u->path, &o, err);
    if (rc < 0 || (rc = eh_json_int(o, u->path, "size", 0, INT64_MAX / 2, &size, err)) < 0 ||
        (rc = eh_json_int(o, u->path, "head", 0, size, &head, err)) < 0 ||
        (rc = eh_json_int(o, u->path, "edited_head", 0, INT64_MAX / 2, &edited_head, err)) < 0 ||
        (rc = eh_json_str(o, u->path, "sha256", &sha, err)) < 0 ||
        (rc = eh_json_str(o, u->path, "edited", &edited, err)) < 0 || (rc = eh_map_open(from, &map, err)) < 0 ||
        (rc = eh_sha256_of(map.p, map.n, found, err)) < 0)
        goto done;
    if (strcmp(found, edited.p) != 0) {
        rc = eh_fail(err, EH_EINVAL, "%s: was changed after the edit was written; its undo file no longer fits it",
                     from);
        goto done;
    }
    rc = find_arrays(u, name, size, &old, &n_old, err);
    if (rc == EH_OK && (size - head > map.n - edited_head || n_old == 0 || old[0].offset != 0 || old[0].n != head))
        rc = eh_fail(err, EH_EFORMAT, "%s: lacks bytes of %s", u->path, name);
    if (rc < 0 || (rc = eh_sink_open(&out, to, err)) < 0)
        goto done;
    int64_t at = 0;
    for (int64_t i = 0; i <= n_old && rc == EH_OK; i++) {
        const int64_t until = i < n_old ? old[i].offset : size;
        if (until > at) /* behind the head, where both files hold the same */
            rc = eh_sink_put(&out, map.p + edited_head + (at - head), until - at, err);
        if (rc == EH_OK && i < n_old)
            rc = eh_sink_put(&out, old[i].p, old[i].n, err);
        at = i < n_old ? until + old[i].n : until;
    }
    if (rc == EH_OK)
        rc = eh_sink_sum(&out, found, err);
    if (rc == EH_OK && strcmp(found, sha.p) != 0)
        rc = eh_fail(err, EH_EFORMAT, "%s: %s would not come back as it was: SHA-256 %.12s..., wanted %.12s...",
                     u->path, name, found, sha.p);
    if (rc == EH_OK)
        rc = eh_sink_commit(&out, err);
done:
    eh_sink_drop(&out);
    eh_free(old);
    eh_map_close(&map);
    json_decref(o);
    return rc;
}

static bool plain_name(const char *name)
{
    return name[0] != '\0' && strchr(name, '/') == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static bool is_told(void *ctx, const char *name)
{
    const undo *u = ctx;
    return strcmp(name, EH_UNDO_NAME) == 0 ||
           json_object_get(json_object_get(u->root, "__metadata__"), name) != NULL;
}

static int undo_folder(undo *u, const char *path, const char *out, bool force, eh_err *err)
{
    eh_outdir place = {0};
    const char *name;
    json_t *told;
    int rc = eh_outdir_open(&place, out, &eh_model_folder, force, err);
    if (rc < 0)
        return rc;
    json_object_foreach(json_object_get(u->root, "__metadata__"), name, told) {
        if (rc < 0)
            break;
        if (strcmp(name, MARK) == 0)
            continue;
        if (!plain_name(name)) {
            rc = eh_fail(err, EH_EFORMAT, "%s: \"%.100s\" is not the name of a file in this folder", u->path, name);
            break;
        }
        char *from = eh_path_join(path, name), *to = eh_path_join(place.temp, name);
        rc = from != NULL && to != NULL ? restore(u, name, told, from, to, err)
                                        : eh_fail(err, EH_ENOMEM, "no memory for the path of %s", name);
        eh_free(from);
        eh_free(to);
    }
    if (rc == EH_OK)
        rc = eh_outdir_copy(&place, path, is_told, u, err);
    if (rc == EH_OK)
        rc = eh_outdir_commit(&place, err);
    eh_outdir_drop(&place);
    return rc;
}

int eh_model_undo(const char *path, const char *out, bool force, eh_err *err)
{
    undo u = {0};
    const bool folder = eh_dir_exists(path);
    eh_buf name = {0};
    if (!folder && !eh_file_exists(path))
        return eh_fail(err, EH_ENOENT, "%s: there is no such model", path);
    eh_buf_printf(&name, folder ? "%s/" EH_UNDO_NAME : "%s.undo", path);
    int rc = eh_buf_check(&name, path, err);
    if (rc == EH_OK && !eh_file_exists(name.p))
        rc = eh_fail(err, EH_ENOENT, "%s: is not there; only what `evenhand edit` wrote can be undone, with that file",
                     name.p);
    if (rc == EH_OK)
        rc = open_undo(&u, name.p, err);
    if (rc == EH_OK && folder) {
        rc = undo_folder(&u, path, out, force, err);
    } else if (rc == EH_OK) {
        const json_t *told = json_object_get(json_object_get(u.root, "__metadata__"), "model");
        rc = told == NULL ? eh_fail(err, EH_EFORMAT, "%s: holds nothing of a GGUF file", name.p)
                          : eh_outpath_check(out, force, err);
        if (rc == EH_OK)
            rc = restore(&u, "model", told, path, out, err);
    }
    close_undo(&u);
    eh_buf_clear(&name);
    return rc;
}
