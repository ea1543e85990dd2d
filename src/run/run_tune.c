/* Calibration within a run: the tune split's questions with their right answers, mixed with plain text. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/jsonw.h"
#include "base/lines.h"
#include "run/run.h"

/* Where the preset trains nothing and the user asks for it without saying how long. */
#define LEAST_STEPS 20
#define FOLDER "bias_mitigation/calibration"

/* What is trained; NULL: nothing. */
static const char *group_of(const eh_run_state *r)
{
    const char *train = r->o.train != NULL ? r->o.train : r->preset->steps > 0 ? "edited" : "none";
    return strcmp(train, "none") == 0 ? NULL : train;
}

int eh_run_calibrate(eh_run_state *r, eh_err *err)
{
    const char *train = group_of(r);
    if (train == NULL)
        return EH_OK;
    const bool questions = r->task->about.trains;
    if (r->s->precision == EH_BF16 || (!questions && !r->has_text))
        return eh_run_note(r, err, "The edit was not calibrated: %s.",
                           r->s->precision == EH_BF16 ? "training needs --precision f32"
                                                      : "these items have no form to be learnt in, and there is no "
                                                        "text");
    char text[EH_RUN_PATH];
    eh_run_text(r, text);
    const eh_way *answer = r->plan.answer;
    const eh_tune_options o = {
        .tasks = questions ? r->audit.tasks : "", /* own items may have no right answers: then text alone is learnt */
        .data = r->audit.data,
        .probes = r->audit.probes,
        .answer = answer->learnt != NULL ? answer->learnt : answer->name,
        .orders = r->audit.orders,
        .categories = r->audit.categories,
        .split = "tune",
        .limit = eh_run_options_of(r, EH_SPLIT_TUNE).limit,
        .chat = r->audit.chat,
        .text = r->has_text ? text : NULL,
        .train = train,
        .steps = r->o.steps > 0 ? r->o.steps : r->preset->steps > 0 ? r->preset->steps : LEAST_STEPS,
        .patience = 3,
        .seed = r->audit.seed,
        .out = eh_run_path(r, FOLDER),
        .force = r->audit.force,
        .progress = r->audit.progress,
        .progress_ctx = r->audit.progress_ctx,
        .extra = r->audit.extra,
    };
    if (o.out == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a path");
    eh_tuned done;
    return eh_tune(r->s, &o, &done, err);
}

/* The loss curve, from what the training wrote. */
int eh_run_put_tune(eh_jsonw *w, eh_run_state *r, eh_err *err)
{
    static const char *const keys[] = {"step", "loss", "tune_loss"};
    const char *path = eh_run_path(r, FOLDER "/tune.jsonl");
    if (path == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a path");
    if (group_of(r) == NULL || !eh_file_exists(path))
        return EH_OK;
    eh_lines l;
    int rc = eh_lines_open(&l, path, err);
    if (rc < 0)
        return rc;
    eh_jsonw_begin(w, "tune", '{');
    eh_jsonw_begin(w, "steps", '[');
    for (json_t *o; (rc = eh_lines_json(&l, &o, err)) > 0; json_decref(o)) {
        eh_jsonw_begin(w, NULL, '{');
        for (int k = 0; k < 3; k++) {
            const json_t *v = json_object_get(o, keys[k]);
            eh_jsonw_double(w, keys[k], json_is_number(v) ? json_number_value(v) : (double)NAN);
        }
        eh_jsonw_end(w);
    }
    eh_jsonw_end(w);
    eh_jsonw_text(w, "note", "Loss in nats per answer token; the edited heads were held.");
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
    eh_lines_close(&l);
    return rc;
}
