/*
 * Each allocation in turn fails while observers look on, a prompt is traced and mentions are found:
 * EH_ENOMEM, what was there before stays, and (under the address sanitizer) nothing leaks.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "check.h"
#include "session.h"
#include "probe/heads.h"
#include "probe/layers.h"
#include "probe/patch.h"
#include "task/mention.h"

static eh_err err;

static const int32_t tok[2][6] = {{5, 6, 7, 8, 9, 10}, {5, 6, 7, 11, 12, 13}};
static const int32_t cand[2] = {20, 21};
static const eh_range group = {1, 3};
static const eh_head_set set[2] = {{&group, 1, {0, 5}, false}, {&group, 1, {0, 5}, false}};

typedef struct all {
    eh_session *s;
    eh_request request[2];
    eh_answer answer[2];
    float logprob[2][2], patched[2 * 2 * EH_TRACE_N * 2];
    eh_head_probe heads;
    eh_effect_probe effect;
    eh_layer_probe layers;
    eh_head_means means;
    eh_mentions mentions;
} all;

static int run(all *a)
{
    const eh_bbq_item item = {.context = EH_STR("a cook and a baker"),
                              .option = {EH_STR("The cook"), EH_STR("The baker"), EH_STR("unknown")},
                              .unknown = 2};
    int rc = eh_head_probe_start(&a->heads, a->s, a->request, set, 2, &err);
    if (rc == EH_OK)
        rc = eh_effect_probe_start(&a->effect, a->s, 2, &err);
    if (rc == EH_OK)
        rc = eh_layer_probe_start(&a->layers, a->s, 2, &err);
    if (rc == EH_OK)
        rc = eh_head_means_start(&a->means, a->s, &err);
    if (rc == EH_OK) {
        const eh_observer o[] = {eh_head_probe_observer(&a->heads), eh_layer_probe_observer(&a->layers),
                                 eh_head_means_observer(&a->means)};
        rc = eh_score_observed(a->s, a->request, 2, a->answer, o, 3, &err);
    }
    if (rc == EH_OK)
        rc = eh_trace(a->s, a->request, a->request, 2, a->logprob[0], a->patched, &err);
    if (rc == EH_OK)
        rc = eh_mentions_find(&item, &a->mentions, &err);
    return rc;
}

TEST(observers_survive_every_failed_allocation)
{
    int64_t k = 1;
    for (;; k++) {
        all a = {0};
        CHECK_OK(session_open(repo_path("tests/golden/tiny/llama"), NULL, &a.s, &err));
        for (int i = 0; i < 2; i++) {
            a.request[i] = (eh_request){tok[i], 6, 6, cand, 2};
            a.answer[i] = (eh_answer){.cand_logprob = a.logprob[i]};
        }
        eh_mem_fail_after(k);
        err.text[0] = '\0';
        int rc = run(&a);
        eh_mem_fail_after(0);
        const bool failed = rc != EH_OK;
        if (failed) {
            CHECK_INT(rc, EH_ENOMEM);
            CHECK(err.text[0] != '\0');
            CHECK_OK(run(&a)); /* nothing is the worse for it */
        }
        CHECK(isfinite(a.heads.value[0]) && isfinite(a.layers.value[0]));
        CHECK_INT(a.mentions.n, 2);
        eh_head_probe_clear(&a.heads);
        eh_effect_probe_clear(&a.effect);
        eh_layer_probe_clear(&a.layers);
        eh_head_means_clear(&a.means);
        eh_mentions_clear(&a.mentions);
        session_close(a.s);
        if (!failed)
            break;
    }
    CHECK(k > 20);
}
