/* Recipes: what is read, what is refused and in which words, and that what we write reads back. */
#include <string.h>

#include "base/mem.h"
#include "check.h"
#include "session.h"
#include "edit/recipe.h"
#include "tiny_model.h"

static eh_err err;

static int parse(const char *text, eh_recipe **r)
{
    return eh_recipe_parse(eh_str_of(text), "edit.json", r, &err);
}

TEST(a_recipe_by_hand)
{
    eh_recipe *r;
    int64_t n;
    CHECK_OK(parse("{\"version\":1,\"units\":[{\"kind\":\"head\",\"layer\":3,\"index\":5,\"mode\":\"soft\","
                   "\"alpha\":0.25},{\"kind\":\"neuron\",\"layer\":0,\"index\":42,\"mode\":\"zero\"},"
                   "{\"kind\":\"neuron\",\"layer\":1,\"index\":2,\"mode\":\"mean\",\"mean\":[0.5]}],"
                   "\"seed\":7,\"note\":{\"any\":1},\"scores\":{\"method\":\"pearson\",\"more\":[1,2]}}", &r));
    const eh_unit_edit *u = eh_recipe_units(r, &n);
    CHECK_INT(n, 3);
    CHECK(u[0].kind == EH_UNIT_HEAD && u[0].layer == 3 && u[0].index == 5 && u[0].mode == EH_EDIT_SOFT);
    CHECK(u[0].alpha == 0.25 && u[0].mean == NULL);
    CHECK(u[1].kind == EH_UNIT_NEURON && u[1].mode == EH_EDIT_ZERO && u[1].alpha == 1.0);
    CHECK(u[2].mode == EH_EDIT_MEAN && u[2].mean[0] == 0.5f);
    eh_recipe_close(r);
}

#define UNIT(rest) "{\"version\":1,\"units\":[{\"kind\":\"head\",\"layer\":0,\"index\":0," rest "}]}"

TEST(what_is_wrong_is_said_with_file_unit_field_found_and_wanted)
{
    static const struct {
        const char *text;
        int code;
        const char *words;
    } bad[] = {
        {"", EH_EFORMAT, "edit.json"},
        {"[]", EH_EFORMAT, "edit.json: is an array, wanted an object"},
        {"{\"units\":[]}", EH_ENOENT, "\"version\""},
        {"{\"version\":2,\"units\":[]}", EH_EFORMAT, "\"version\" is 2, wanted 1 to 1"},
        {"{\"version\":1}", EH_EFORMAT, "\"units\" is missing, wanted an array"},
        {"{\"version\":1,\"units\":{}}", EH_EFORMAT, "\"units\" is an object, wanted an array"},
        {"{\"version\":1,\"units\":[]}", EH_EFORMAT, "holds 0, wanted 1 to"},
        {"{\"version\":1,\"units\":[3]}", EH_EFORMAT, "units[0]: is an integer, wanted an object"},
        {"{\"version\":1,\"unit\":[]}", EH_EFORMAT, "\"unit\" is not a field of a recipe"},
        {UNIT("\"mode\":\"soft\",\"alpa\":1"), EH_EFORMAT, "edit.json: units[0]: \"alpa\" is not a field of a recipe"},
        {UNIT("\"mode\":\"soft\""), EH_ENOENT, "units[0]: has no \"alpha\""},
        {UNIT("\"mode\":\"soft\",\"alpha\":1.5"), EH_EFORMAT, "units[0]: \"alpha\" is 1.5, wanted 0 to 1"},
        {UNIT("\"mode\":\"soft\",\"alpha\":-0.1"), EH_EFORMAT, "\"alpha\" is -0.1"},
        {UNIT("\"mode\":\"soft\",\"alpha\":NaN"), EH_EFORMAT, "edit.json"},
        {UNIT("\"mode\":\"soft\",\"alpha\":\"1\""), EH_EFORMAT, "\"alpha\" is a string, wanted a number"},
        {UNIT("\"mode\":\"hard\",\"alpha\":1"), EH_EFORMAT,
         "\"mode\" is \"hard\", wanted \"soft\", \"output\", \"zero\" or \"mean\""},
        {UNIT("\"mode\":\"mean\""), EH_EINVAL, "`evenhand locate` and `evenhand run` compute it"},
        {UNIT("\"mode\":\"mean\",\"mean\":[]"), EH_EFORMAT, "\"mean\" is empty"},
        {UNIT("\"mode\":\"mean\",\"mean\":[1,\"2\"]"), EH_EFORMAT, "\"mean\"[1] is a string"},
        {UNIT("\"mode\":\"mean\",\"mean\":[1e99]"), EH_EFORMAT, "\"mean\"[0] is too large"},
        {UNIT("\"mode\":\"zero\",\"mean\":[1]"), EH_EFORMAT, "\"mean\" belongs to mode \"mean\""},
        {"{\"version\":1,\"units\":[{\"kind\":\"layer\",\"layer\":0,\"index\":0,\"mode\":\"zero\"}]}", EH_EFORMAT,
         "\"kind\" is \"layer\", wanted \"head\" or \"neuron\""},
        {"{\"version\":1,\"units\":[{\"kind\":\"head\",\"layer\":-1,\"index\":0,\"mode\":\"zero\"}]}", EH_EFORMAT,
         "\"layer\" is -1"},
        {"{\"version\":1,\"units\":[{\"kind\":\"head\",\"layer\":0.5,\"index\":0,\"mode\":\"zero\"}]}", EH_EFORMAT,
         "\"layer\" is a real"},
        {"{\"version\":1,\"model\":\"abc\",\"units\":[]}", EH_EFORMAT, "\"model\" is \"abc\", wanted a fingerprint"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        eh_recipe *r = NULL;
        CHECK_FAILS(parse(bad[i].text, &r), bad[i].code, bad[i].words);
        CHECK(r == NULL);
    }
    eh_recipe *r;
    CHECK_FAILS(eh_recipe_read("/nowhere/edit.json", &r, &err), EH_ENOENT, "/nowhere/edit.json");
}

TEST(a_recipe_is_for_its_model)
{
    const tiny_model options = {.n_head = 4, .n_kv = 2}, other = {.n_head = 4, .n_kv = 2, .dtype = EH_DTYPE_BF16};
    const char *dir = tiny_dir(), *dir2 = tiny_dir();
    char path[300];
    eh_session *on, *m2;
    eh_recipe *r;
    int64_t n;
    const float mean[TINY_HEAD] = {0.1f, -2};
    const eh_unit_edit unit[2] = {{EH_UNIT_HEAD, 1, 3, EH_EDIT_MEAN, 1.0, mean},
                                  {EH_UNIT_HEAD, 0, 1, EH_EDIT_SOFT, 0.1, NULL}};
    tiny_model_write(dir, &options);
    tiny_model_write(dir2, &other);
    CHECK_OK(session_open(dir, NULL, &on, &err));
    CHECK_OK(session_open(dir2, NULL, &m2, &err));
    snprintf(path, sizeof path, "%.200s/edit.json", dir);
    eh_recipe_more more;
    eh_recipe_more_init(&more, sizeof more);
    more.scores = "{\"method\": \"pearson\"}";
    more.note = "by \"hand\"";
    more.seed = 5;
    more.seeded = true;
    CHECK_OK(eh_recipe_write(path, on->m, unit, 2, &more, &err));
    CHECK_OK(eh_recipe_read(path, &r, &err));
    const eh_unit_edit *got = eh_recipe_units(r, &n);
    CHECK(n == 2 && got[1].alpha == 0.1 && got[0].mode == EH_EDIT_MEAN);
    CHECK(memcmp(got[0].mean, mean, sizeof mean) == 0);
    CHECK_OK(eh_recipe_apply(on, r, &err));
    CHECK(eh_session_edits(on, &n) != NULL && n == 2);
    CHECK_OK(eh_recipe_apply(on, r, &err)); /* in memory edits replace each other: nothing is applied twice */
    CHECK_FAILS(eh_recipe_apply(m2, r, &err), EH_EINVAL, "edit.json: is for another model");
    eh_session_edits(m2, &n);
    CHECK_INT(n, 0);
    eh_recipe_close(r);

    CHECK_OK(parse(UNIT("\"mode\":\"mean\",\"mean\":[1,2]"), &r));
    CHECK_FAILS(eh_recipe_apply(on, r, &err), EH_EINVAL, "\"mean\" holds 2 numbers, a head of this model has 8");
    eh_recipe_close(r);
    CHECK_OK(parse("{\"version\":1,\"units\":[{\"kind\":\"head\",\"layer\":1,\"index\":4,\"mode\":\"zero\"}]}", &r));
    CHECK_FAILS(eh_recipe_apply(on, r, &err), EH_ERANGE,
                "edit.json: unit 0 is layer 1, head 4; the model has layers 0 to 1");
    eh_recipe_close(r);
    eh_recipe_more broken;
    eh_recipe_more_init(&broken, sizeof broken);
    broken.scores = "{";
    snprintf(path, sizeof path, "%.200s/none.json", dir);
    CHECK_FAILS(eh_recipe_write(path, on->m, unit, 2, &broken, &err), EH_EFORMAT, "none.json");
    CHECK(!eh_file_exists(path));
    session_close(on);
    session_close(m2);
}
