/*
 * Each allocation, then each write in turn fails while a recipe is read and applied, a model is written,
 * undone, exported and compared: an error, nothing half-written, nothing leaked.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "check.h"
#include "session.h"
#include "edit/recipe.h"
#include "tiny_model.h"

static eh_err err;

static const float mean[TINY_HEAD] = {1, 2, 3};
static const eh_unit_edit edits[] = {{EH_UNIT_HEAD, 0, 1, EH_EDIT_SOFT, 0.3, NULL},
                                     {EH_UNIT_HEAD, 1, 2, EH_EDIT_MEAN, 1.0, mean}};

static int n_entry(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;
    CHECK(dir != NULL);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

typedef struct scene {
    char root[200], model[220], gguf[400], edited[220], edited_gguf[220], out[240];
    bool use_gguf;
    eh_session *s; /* edits in force */
} scene;

static int save_it(scene *s)
{
    return eh_session_save(s->s, s->out, false, NULL, &err);
}

static int undo_it(scene *s)
{
    return eh_model_undo(s->use_gguf ? s->edited_gguf : s->edited, s->out, false, &err);
}

static int lora_it(scene *s)
{
    return eh_session_save_lora(s->s, s->out, EH_LORA_RANK, false, NULL, &err);
}

static int compare_it(scene *s)
{
    eh_comparison c;
    const int rc = eh_compare(s->s, s->s, &c, &err);
    if (rc == EH_OK)
        eh_comparison_clear(&c);
    return rc;
}

static int recipe_it(scene *s)
{
    static const char text[] = "{\"version\":1,\"units\":[{\"kind\":\"head\",\"layer\":0,\"index\":1,\"mode\":\"soft\","
                               "\"alpha\":0.3},{\"kind\":\"neuron\",\"layer\":1,\"index\":2,\"mode\":\"mean\",\"mean\":"
                               "[2]}],\"model\":null}";
    eh_recipe *r = NULL;
    int rc = eh_recipe_parse((eh_str){text, (int64_t)sizeof text - 1}, "edit.json", &r, &err);
    if (rc == EH_OK)
        rc = eh_recipe_apply(s->s, r, &err);
    eh_recipe_close(r);
    return rc;
}

/* The k-th failure is an error that leaves the folder as it was; the first k that is none ends it. */
static int64_t fail_each(scene *s, int (*call)(scene *s), bool writes)
{
    const int before = n_entry(s->root);
    char command[600];
    for (int64_t k = 1;; k++) {
        (writes ? eh_file_fail_after : eh_mem_fail_after)(k);
        const int rc = call(s);
        eh_mem_fail_after(0);
        eh_file_fail_after(0);
        if (rc == EH_OK) {
            snprintf(command, sizeof command, "rm -rf '%s' '%s.undo'", s->out, s->out);
            CHECK(system(command) == 0);
            return k;
        }
        if (rc != (writes ? EH_EIO : EH_ENOMEM))
            print_error("failure %d: %d %s\n", (int)k, rc, err.text);
        CHECK_INT(rc, writes ? EH_EIO : EH_ENOMEM);
        CHECK(access(s->out, F_OK) != 0);
        if (n_entry(s->root) != before)
            print_error("failure %d left something: %s\n", (int)k, err.text);
        CHECK_INT(n_entry(s->root), before);
    }
}

static void set_up(scene *s)
{
    const tiny_model options = {.n_head = 4, .n_kv = 2};
    *s = (scene){0};
    snprintf(s->root, sizeof s->root, "%.199s", temp_dir());
    snprintf(s->model, sizeof s->model, "%s/model", s->root);
    snprintf(s->edited, sizeof s->edited, "%s/edited", s->root);
    snprintf(s->edited_gguf, sizeof s->edited_gguf, "%s/edited.gguf", s->root);
    snprintf(s->out, sizeof s->out, "%s/out", s->root);
    snprintf(s->gguf, sizeof s->gguf, "%.300s", repo_path("tests/golden/tiny/gguf/llama-Q4_1.gguf"));
    tiny_model_write(s->model, &options);
}

TEST(every_failed_allocation_and_write_of_a_folder)
{
    scene s;
    set_up(&s);
    CHECK_OK(session_open(s.model, NULL, &s.s, &err));
    CHECK_OK(eh_session_edit(s.s, edits, 2, &err));
    CHECK_OK(eh_session_save(s.s, s.edited, false, NULL, &err));
    CHECK(fail_each(&s, save_it, false) > 50);
    CHECK(fail_each(&s, save_it, true) > 20);
    CHECK(fail_each(&s, undo_it, false) > 20);
    CHECK(fail_each(&s, undo_it, true) > 5);
    CHECK(fail_each(&s, compare_it, false) > 4);
    CHECK_OK(eh_session_edit(s.s, edits, 1, &err));
    CHECK(fail_each(&s, lora_it, false) > 10);
    CHECK(fail_each(&s, lora_it, true) > 5);
    CHECK(fail_each(&s, recipe_it, false) > 10);
    session_close(s.s);
}

TEST(every_failed_allocation_and_write_of_a_gguf)
{
    scene s;
    set_up(&s);
    s.use_gguf = true;
    CHECK_OK(session_open(s.gguf, NULL, &s.s, &err));
    CHECK_OK(eh_session_edit(s.s, edits, 1, &err));
    CHECK_OK(eh_session_save(s.s, s.edited_gguf, false, NULL, &err));
    CHECK(fail_each(&s, save_it, false) > 10);
    CHECK(fail_each(&s, save_it, true) > 10);
    CHECK(fail_each(&s, undo_it, false) > 5);
    CHECK(fail_each(&s, undo_it, true) > 5);
    session_close(s.s);
}
