/* What an earlier build of this version left behind (tests/golden/old): finished folders open and nothing is computed,
 * cut ones are resumed to the same bytes. Of another version, both are refused by name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/lines.h"
#include "check.h"
#include "session.h"
#include "locate/locate.h"

#define OLD "tests/golden/old"

static eh_err err;
static eh_session *on;
static char probes[1000], top[300];
static bool same_version, same_machine;

/* Items that a call computed, by stage: what progress said before each block, and of which stage. */
typedef struct work {
    int64_t blocks[4]; /* locate, confirm, trace, anything else */
} work;

static int progress(void *ctx, const char *stage, int64_t done, int64_t total)
{
    static const char *const stages[] = {"locate", "confirm", "trace"};
    work *w = ctx;
    int i = 0;
    while (i < 3 && strcmp(stages[i], stage) != 0)
        i++;
    w->blocks[i] += done < total;
    return 0;
}

static int locate(const char *out, work *w, int64_t *n_computed)
{
    eh_locate_options o;
    eh_locate_options_init(&o, sizeof o);
    eh_audit_options audit;
    eh_audit_options_init(&audit, sizeof audit);
    audit.probes = probes;
    audit.out = out;
    audit.resamples = 1000;
    audit.progress = progress;
    audit.progress_ctx = w;
    o.audit = &audit;
    o.split = EH_SPLIT_ALL;
    o.statistics = 1u << EH_HEAD_EFFECT;
    o.statistic = EH_HEAD_EFFECT;
    o.permutations = 99;
    o.confirm = 2;
    o.trace = 20;
    eh_head_map *l = NULL;
    *w = (work){{0}};
    const int rc = eh_locate_run(on, &o, &l, &err);
    if (rc == EH_OK)
        *n_computed = l->n_computed;
    eh_head_map_close(rc == EH_OK ? l : NULL);
    return rc;
}

static int audit(const char *out, int64_t *n_computed)
{
    eh_audit_options o;
    eh_audit_options_init(&o, sizeof o);
    o.tasks = "pairs,utility";
    o.probes = probes;
    o.out = out;
    o.resamples = 99;
    eh_audit *a = NULL;
    const int rc = eh_audit_run(on, &o, &a, &err);
    if (rc == EH_OK)
        *n_computed = eh_audit_get(a)->n_computed;
    eh_audit_close(rc == EH_OK ? a : NULL);
    return rc;
}

static int copy_one(void *ctx, const char *name, eh_err *e)
{
    const char *const *folders = ctx; /* from, to */
    char from[1500], to[1500];
    eh_map map;
    snprintf(from, sizeof from, "%s/%s", folders[0], name);
    snprintf(to, sizeof to, "%s/%s", folders[1], name);
    int rc = eh_map_open(from, &map, e);
    if (rc < 0)
        return rc;
    rc = eh_file_write(to, (eh_str){map.p, map.n}, e);
    eh_map_close(&map);
    return rc;
}

/* A copy of an old folder to work in; the result lives until the next call but three. */
static const char *copy_of(const char *name)
{
    static char kept[4][400];
    static int at;
    char *to = kept[at++ % 4];
    snprintf(to, sizeof kept[0], "%s/%s", top, name);
    char from[300];
    snprintf(from, sizeof from, OLD "/%.200s", name);
    const char *folders[2] = {repo_path(from), to};
    CHECK_OK(eh_dir_make(to, &err));
    CHECK_OK(eh_dir_each(folders[0], copy_one, folders, &err));
    return to;
}

static eh_buf text_of(const char *dir, const char *name)
{
    char path[1500];
    eh_buf b = {0};
    snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK_OK(eh_file_read(path, 1 << 20, &b, &err));
    return b;
}

/* The file of an old folder is still what it was in this one. */
static void is_as_in(const char *old, const char *name, const char *dir)
{
    char path[300];
    snprintf(path, sizeof path, OLD "/%.200s", old);
    eh_buf want = text_of(repo_path(path), name), got = text_of(dir, name);
    if (!eh_str_eq(eh_buf_get(&want), eh_buf_get(&got)))
        fail_msg("%s/%s is not as it was", dir, name);
    eh_buf_clear(&want);
    eh_buf_clear(&got);
}

/* locate.json, whose half-map correlation was called "seed" in version 0.1; why nothing was found is put in other words
 * now. */
static void map_is_as_in(const char *old, const char *dir)
{
    char path[1500];
    json_t *want = NULL, *got = NULL;
    snprintf(path, sizeof path, OLD "/%.200s/locate.json", old);
    CHECK_OK(eh_json_file(repo_path(path), 1 << 20, &want, &err));
    snprintf(path, sizeof path, "%s/locate.json", dir);
    CHECK_OK(eh_json_file(path, 1 << 20, &got, &err));
    json_t *reliability = json_object_get(want, "reliability");
    CHECK(json_object_get(reliability, "seed") != NULL);
    CHECK_INT(json_object_set(reliability, "half_map_correlation", json_object_get(reliability, "seed")), 0);
    CHECK_INT(json_object_del(reliability, "seed"), 0);
    CHECK(json_is_string(json_object_get(got, "why")) == json_is_string(json_object_get(want, "why")));
    CHECK_INT(json_object_set(want, "why", json_object_get(got, "why")), 0);
    CHECK(json_equal(want, got));
    json_decref(want);
    json_decref(got);
}

/* results.json names the path of the model; all that was measured is the same. */
static void scores_are_as_in(const char *old, const char *dir)
{
    static const char *const keys[] = {"results", "n-samples", "evenhand"};
    char path[1500];
    json_t *want = NULL, *got = NULL;
    snprintf(path, sizeof path, OLD "/%.200s/results.json", old);
    CHECK_OK(eh_json_file(repo_path(path), 1 << 20, &want, &err));
    snprintf(path, sizeof path, "%s/results.json", dir);
    CHECK_OK(eh_json_file(path, 1 << 20, &got, &err));
    for (int i = 0; i < 3; i++)
        CHECK(json_object_get(want, keys[i]) != NULL &&
              json_equal(json_object_get(want, keys[i]), json_object_get(got, keys[i])));
    json_decref(want);
    json_decref(got);
}

/* Records of a resumed folder: the first n_old lines are the old ones, the others those of a fresh run, and on a
 * machine that computes as the old one did, all are the old finished folder's. */
static void is_resumed(const char *dir, const char *old, const char *fresh, const char *name, int64_t n_old)
{
    char path[300];
    snprintf(path, sizeof path, OLD "/%.200s", old);
    eh_buf want[2] = {text_of(repo_path(path), name), text_of(fresh, name)}, got = text_of(dir, name);
    eh_lines l[3] = {{.text = eh_buf_get(&want[0])}, {.text = eh_buf_get(&want[1])}, {.text = eh_buf_get(&got)}};
    eh_str line[3];
    int64_t n = 0;
    for (int i = 0; i < 3; i++)
        l[i].file = name;
    while (eh_lines_next(&l[2], &line[2], &err) > 0) {
        for (int i = 0; i < 2; i++)
            CHECK_INT(eh_lines_next(&l[i], &line[i], &err), 1);
        if (!eh_str_eq(line[2], line[n < n_old ? 0 : 1]) || (same_machine && !eh_str_eq(line[2], line[0])))
            fail_msg("%s: line %d is another", name, (int)n + 1);
        n++;
    }
    CHECK(n > n_old);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(eh_lines_next(&l[i], &line[i], &err), 0);
        eh_buf_clear(&want[i]);
    }
    eh_buf_clear(&got);
}

static void forget(void)
{
    session_close(on);
}

/* A model, and what the old folders were made with: the version in the journal, the machine in reproduce.json.
 * Found out once, by whichever test comes first. */
static void need_model(void)
{
    eh_lines l;
    json_t *line = NULL, *made = NULL;
    eh_str version, features, kernels, product;
    eh_session_info info;
    if (on != NULL)
        return;
    atexit(forget);
    snprintf(top, sizeof top, "%s", temp_dir());
    snprintf(probes, sizeof probes, "%s", repo_path(OLD "/probes"));
    CHECK_OK(session_open(repo_path("tests/golden/tiny/llama"), NULL, &on, &err));
    CHECK_OK(eh_lines_open(&l, repo_path(OLD "/locate/journal.jsonl"), &err));
    CHECK_INT(eh_lines_json(&l, &line, &err), 1);
    CHECK_OK(eh_json_str(json_object_get(line, "what"), l.where, "evenhand", &version, &err));
    same_version = eh_str_eq(version, eh_str_of(eh_version()));
    json_decref(line);
    eh_lines_close(&l);
    CHECK_OK(eh_json_file(repo_path(OLD "/audit/reproduce.json"), 1 << 20, &made, &err));
    const json_t *machine = json_object_get(made, "machine");
    CHECK_OK(eh_json_str(machine, "machine", "features", &features, &err));
    CHECK_OK(eh_json_str(machine, "machine", "kernels", &kernels, &err));
    CHECK_OK(eh_json_str(machine, "machine", "product", &product, &err));
    eh_session_describe(on, &info);
    same_machine = eh_str_eq(features, eh_str_of(info.features)) && eh_str_eq(kernels, eh_str_of(info.simd)) &&
                   eh_str_eq(product, eh_str_of(info.product));
    print_message("the same version: %s; a machine that computes the same: %s\n", same_version ? "yes" : "no",
                  same_machine ? "yes" : "no");
    json_decref(made);
}

TEST(finished_folders_open_and_nothing_is_computed)
{
    need_model();
    const char *located = copy_of("locate"), *audited = copy_of("audit");
    int64_t n = -1;
    work w;
    if (!same_version)
        SKIP("the old folders are of another version");
    CHECK_OK(locate(located, &w, &n));
    CHECK_INT(n, 0);
    CHECK(w.blocks[0] == 0 && w.blocks[1] == 0 && w.blocks[2] == 0 && w.blocks[3] == 0);
    is_as_in("locate", "journal.jsonl", located);
    is_as_in("locate", "samples_locate.jsonl", located);
    is_as_in("locate", "samples_confirm.jsonl", located);
    is_as_in("locate", "samples_trace.jsonl", located);
    if (same_machine) /* made from the records alone, but by the C library's exp and log */
        map_is_as_in("locate", located);
    CHECK_OK(audit(audited, &n));
    CHECK_INT(n, 0);
    is_as_in("audit", "journal.jsonl", audited);
    is_as_in("audit", "samples_pairs.jsonl", audited);
    is_as_in("audit", "samples_utility.jsonl", audited);
    if (same_machine)
        scores_are_as_in("audit", audited);
}

TEST(cut_folders_are_resumed_to_the_same_bytes)
{
    char fresh_locate[400], fresh_audit[400];
    int64_t n = -1;
    work w;
    need_model();
    if (!same_version)
        SKIP("the old folders are of another version");
    snprintf(fresh_locate, sizeof fresh_locate, "%s/fresh-locate", top);
    snprintf(fresh_audit, sizeof fresh_audit, "%s/fresh-audit", top);
    CHECK_OK(locate(fresh_locate, &w, &n));
    CHECK_INT(n, 40);
    CHECK(w.blocks[0] == 2 && w.blocks[1] == 4 && w.blocks[2] == 3 && w.blocks[3] == 0);
    CHECK_OK(audit(fresh_audit, &n));
    CHECK_INT(n, 18);

    const char *cut = copy_of("locate-cut");
    CHECK_OK(locate(cut, &w, &n));
    CHECK_INT(n, 8);
    CHECK(w.blocks[0] == 1 && w.blocks[1] == 4 && w.blocks[2] == 3);
    is_resumed(cut, "locate", fresh_locate, "samples_locate.jsonl", 32);
    is_resumed(cut, "locate", fresh_locate, "samples_trace.jsonl", 0);

    cut = copy_of("confirm-cut");
    const char *folders[2] = {repo_path(OLD "/locate"), cut};
    CHECK_OK(copy_one(folders, "samples_locate.jsonl", &err));
    CHECK_OK(locate(cut, &w, &n));
    CHECK_INT(n, 0);
    CHECK(w.blocks[0] == 0 && w.blocks[1] == 2 && w.blocks[2] == 3);
    is_as_in("locate", "samples_locate.jsonl", cut);
    is_resumed(cut, "locate", fresh_locate, "samples_confirm.jsonl", 2);
    if (same_machine)
        is_as_in("locate", "journal.jsonl", cut);

    cut = copy_of("audit-cut");
    CHECK_OK(audit(cut, &n));
    CHECK_INT(n, 6);
    is_as_in("audit", "samples_pairs.jsonl", cut);
    is_resumed(cut, "audit", fresh_audit, "samples_utility.jsonl", 0);
}

/* What is kept belongs to other items: refused by name, and left as it is. So it is with another version. */
TEST(records_of_something_else_are_refused_by_name)
{
    need_model();
    const char *cut = copy_of("audit-cut"), *wanted = same_version ? "\"data\"" : "\"evenhand\"";
    char words[100], kept[sizeof probes];
    int64_t n = -1;
    snprintf(words, sizeof words, "holds records of pairs made with another %s", wanted);
    memcpy(kept, probes, sizeof kept);
    snprintf(probes, sizeof probes, "%s", repo_path("data/probes"));
    const int rc = audit(cut, &n);
    memcpy(probes, kept, sizeof kept); /* as the other tests have it */
    CHECK_FAILS(rc, EH_EINVAL, words);
    is_as_in("audit-cut", "journal.jsonl", cut);
    is_as_in("audit-cut", "samples_pairs.jsonl", cut);
}
