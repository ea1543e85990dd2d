/*
 * A Hugging Face model folder: config.json, and the weights as model.safetensors or as shards named
 * by model.safetensors.index.json ({"metadata": ..., "weight_map": {tensor: shard, ...}}).
 */
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "format/source.h"

#define CONFIG_MAX (4 << 20)
#define INDEX_MAX (64 << 20)
#define WEIGHTS "model.safetensors"
#define INDEX "model.safetensors.index.json"

/* The folder's path with name behind it, in the arena. */
static const char *in_folder(eh_weights *w, const char *name, eh_err *err)
{
    char *joined = eh_path_join(w->path, name);
    const char *path = joined == NULL ? NULL : eh_arena_text(&w->arena, joined, (int64_t)strlen(joined));
    eh_free(joined);
    if (path == NULL)
        eh_fail(err, EH_ENOMEM, "no memory for the path of %s", name);
    return path;
}

static int holds(eh_weights *w, const char *name, bool *there, eh_err *err)
{
    const char *path = in_folder(w, name, err);
    if (path == NULL)
        return EH_ENOMEM;
    *there = eh_file_exists(path);
    return EH_OK;
}

static int read_config(eh_weights *w, const char *name, json_t **root, eh_err *err)
{
    const char *path = in_folder(w, name, err);
    if (path == NULL)
        return EH_ENOMEM;
    int rc = eh_json_file(path, CONFIG_MAX, root, err);
    if (rc == EH_OK && !json_is_object(*root))
        rc = eh_fail(err, EH_EFORMAT, "%s: is %s, wanted an object", path, eh_json_type(*root));
    return rc;
}

/* The alphabetically first .gguf file of the folder, for the message; false when there is none. */
static bool find_gguf(const char *folder, char name[256])
{
    DIR *dir = opendir(folder);
    bool found = false;
    if (dir == NULL)
        return false;
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        const eh_str s = eh_str_of(e->d_name);
        if (s.n < 256 && eh_str_ends(s, EH_STR(".gguf")) && eh_source_name_good(s) &&
            (!found || strcmp(e->d_name, name) < 0)) {
            memcpy(name, s.p, (size_t)s.n + 1);
            found = true;
        }
    }
    closedir(dir);
    return found;
}

static int no_config(const eh_weights *w, eh_err *err)
{
    char name[256];
    if (find_gguf(w->path, name))
        return eh_fail(err, EH_ENOENT, "%s: is a folder without config.json, but it holds %s: give that file", w->path,
                       name);
    return eh_fail(err, EH_ENOENT,
                   "%s: is a folder without config.json; wanted a Hugging Face model folder (config.json and %s) or a "
                   "GGUF file",
                   w->path, WEIGHTS);
}

static int no_weights(eh_weights *w, eh_err *err)
{
    static const char *const others[] = {
        "pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        bool there;
        const int rc = holds(w, others[i], &there, err);
        if (rc < 0)
            return rc;
        if (there)
            return eh_fail(err, EH_ENOSUP,
                           "%s: holds its weights as %s; safetensors are needed: download that form, or convert with "
                           "save_pretrained(..., safe_serialization=True)",
                           w->path, others[i]);
    }
    return eh_fail(err, EH_ENOENT, "%s: holds config.json, but neither %s nor %s", w->path, WEIGHTS, INDEX);
}

/* A shard must lie in the folder itself: whoever wrote the index may not point anywhere else. */
static bool plain_file_name(eh_str name)
{
    return eh_source_name_good(name) && memchr(name.p, '/', (size_t)name.n) == NULL && !eh_str_eq(name, EH_STR(".")) &&
           !eh_str_eq(name, EH_STR(".."));
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The shards that the map names, each once, sorted: *names [*n], borrowed from the map. */
static int list_shards(eh_weights *w, json_t *map, const char *where, const char ***names, int *n, eh_err *err)
{
    const size_t n_entry = json_object_size(map);
    const char *tensor;
    json_t *v;
    size_t i = 0;
    if (n_entry == 0 || n_entry > INT_MAX)
        return eh_fail(err, EH_EFORMAT, "%s: its weight_map names %zu tensors", where, n_entry);
    const char **list = eh_new_raw(&w->arena, const char *, (int64_t)n_entry);
    if (list == NULL)
        return eh_fail(err, EH_ENOMEM, "%s: no memory for %zu names", where, n_entry);
    json_object_foreach(map, tensor, v) {
        if (!json_is_string(v))
            return eh_fail(err, EH_EFORMAT, "%s: the shard of %.200s is %s, wanted a string", where, tensor,
                           eh_json_type(v));
        if (!plain_file_name(eh_json_text(v)))
            return eh_fail(err, EH_EFORMAT,
                           "%s: the shard of %.200s is \"%.200s\", wanted the plain name of a file in this folder",
                           where, tensor, json_string_value(v));
        list[i++] = json_string_value(v);
    }
    qsort(list, n_entry, sizeof *list, compare_text);
    int n_list = 1;
    for (i = 1; i < n_entry; i++)
        if (strcmp(list[i], list[n_list - 1]) != 0)
            list[n_list++] = list[i];
    *names = list;
    *n = n_list;
    return EH_OK;
}

/* Each tensor lies in the shard that the map says, and the map names no others. */
static int check_map(const eh_weights *w, json_t *map, const char *const *shards, const char *where, eh_err *err)
{
    for (int64_t i = 0; i < w->n_tensor; i++) {
        const eh_tensor *t = &w->tensor[i];
        const char *said = json_string_value(json_object_get(map, t->name));
        if (said == NULL)
            return eh_fail(err, EH_EFORMAT, "%s: %s lies in %s, but weight_map does not name it", where, t->name,
                           shards[t->file]);
        if (strcmp(said, shards[t->file]) != 0)
            return eh_fail(err, EH_EFORMAT, "%s: %s should lie in %s, but lies in %s", where, t->name, said,
                           shards[t->file]);
    }
    const char *name;
    json_t *v;
    json_object_foreach(map, name, v)
        if (eh_source_find(w, name) == NULL)
            return eh_fail(err, EH_EFORMAT, "%s: %.200s should lie in %.200s, but does not", where, name,
                           json_string_value(v));
    return EH_OK;
}

static int read_files(eh_weights *w, const char *const *names, int n, eh_err *err)
{
    w->file = eh_new(&w->arena, eh_weight_file, n);
    if (w->file == NULL)
        return eh_fail(err, EH_ENOMEM, "%s: no memory for %d files", w->path, n);
    w->n_file = n;
    for (int i = 0; i < n; i++) {
        const char *path = in_folder(w, names[i], err);
        if (path == NULL)
            return EH_ENOMEM;
        int rc = eh_source_map(w, i, path, err);
        if (rc == EH_OK)
            rc = eh_safetensors_read(w, i, err);
        if (rc < 0)
            return rc;
    }
    return eh_source_index(w, err);
}

static int read_shards(eh_weights *w, eh_err *err)
{
    const char **names = NULL;
    int n = 0;
    json_t *root = NULL;
    eh_buf text = {0};
    const char *where = in_folder(w, INDEX, err);
    if (where == NULL)
        return EH_ENOMEM;
    int rc = eh_file_read(where, INDEX_MAX, &text, err);
    if (rc == EH_OK)
        rc = eh_source_json(eh_buf_get(&text), where, &root, err);
    eh_buf_clear(&text);
    if (rc < 0)
        return rc;
    json_t *map = json_object_get(root, "weight_map");
    if (!json_is_object(map)) {
        rc = eh_fail(err, EH_EFORMAT, "%s: its weight_map is %s, wanted an object", where, eh_json_type(map));
        goto done;
    }
    rc = list_shards(w, map, where, &names, &n, err);
    if (rc == EH_OK)
        rc = read_files(w, names, n, err);
    if (rc == EH_OK)
        rc = check_map(w, map, names, where, err);
done:
    json_decref(root);
    return rc;
}

int eh_folder_read(eh_weights *w, eh_err *err)
{
    bool config, generation, whole, index;
    w->kind = EH_WEIGHTS_SAFETENSORS;
    if (holds(w, "config.json", &config, err) < 0 || holds(w, "generation_config.json", &generation, err) < 0 ||
        holds(w, WEIGHTS, &whole, err) < 0 || holds(w, INDEX, &index, err) < 0)
        return EH_ENOMEM;
    if (!config)
        return no_config(w, err);
    int rc = read_config(w, "config.json", &w->config, err);
    if (rc == EH_OK && generation)
        rc = read_config(w, "generation_config.json", &w->generation, err);
    if (rc < 0)
        return rc;
    if (whole) /* as transformers does: the index counts only where there is no single file */
        return read_files(w, (const char *[]){WEIGHTS}, 1, err);
    return index ? read_shards(w, err) : no_weights(w, err);
}
