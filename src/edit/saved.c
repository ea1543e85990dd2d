#include "edit/saved.h"

#include <string.h>

static const char *const marks[] = {"config.json", "adapter_config.json", NULL};
const eh_outdir_rule eh_model_folder = {.marks = marks, .kind = "model"};

int eh_saved_metadata(const eh_weights *w, int file, json_t **root, json_t **metadata, eh_err *err)
{
    const eh_map *map = eh_weights_file_map(w, file);
    const int64_t head = eh_weights_file_header(w, file);
    const int rc = eh_json_parse((eh_str){map->p + 8, head - 8}, eh_weights_file_path(w, file), root, err);
    if (rc == EH_OK)
        *metadata = json_object_get(*root, "__metadata__");
    return rc;
}

int eh_saved_base(const eh_weights *w, bool *applied, char base[65], eh_err *err)
{
    eh_str found = {NULL, 0};
    json_t *root = NULL, *metadata = NULL;
    int rc = EH_OK;
    *applied = false;
    if (eh_weights_kind_of(w) == EH_WEIGHTS_GGUF) {
        const eh_gguf_value *v = eh_gguf_get(w, EH_KEY_BASE);
        if (v != NULL && v->type == EH_GGUF_STRING)
            found = v->s;
        *applied = v != NULL;
    }
    for (int i = 0; eh_weights_kind_of(w) != EH_WEIGHTS_GGUF && i < eh_weights_n_file(w) && !*applied; i++) {
        json_decref(root);
        root = NULL;
        rc = eh_saved_metadata(w, i, &root, &metadata, err);
        if (rc < 0)
            return rc;
        const json_t *v = json_object_get(metadata, EH_KEY_BASE);
        *applied = v != NULL;
        if (json_is_string(v))
            found = eh_json_text(v);
    }
    memset(base, 0, 65);
    if (found.p != NULL)
        memcpy(base, found.p, (size_t)(found.n < 64 ? found.n : 64));
    json_decref(root);
    return EH_OK;
}
