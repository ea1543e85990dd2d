/* Calibration within a run: the tune split's questions with their right answers, mixed with plain text. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/jsonw.h"
#include "base/lines.h"
#include "run/run.h"

#define FOLDER "bias_mitigation/calibration"

static bool is_wanted(const eh_run_state *r)
{
    return r->o.train != EH_TUNE_NONE && r->o.steps > 0;
}

int eh_run_calibrate(eh_run_state *r, eh_err *err)
{
    if (!is_wanted(r))
        return EH_OK;
    const bool questions = r->task->about.trains;
    if (r->s->precision == EH_BF16 || (!questions && !r->has_text))
        return eh_buf_note(&r->notes, err, "The edit was not calibrated: %s.",
                           r->s->precision == EH_BF16 ? "training needs --precision f32"
                                                      : "these items have no form to be learnt in, and there is no "
                                                        "text");
    char text[EH_RUN_PATH];
    eh_run_text(r, text);
    const eh_way *answer = r->plan.answer;
    eh_tune_options o;
    eh_tune_options_init(&o, sizeof o);
    o.tasks = questions ? r->audit.tasks : ""; /* own items may have no right answers: then text alone is learnt */
    o.data = r->audit.data;
    o.probes = r->audit.probes;
    o.answer = answer->learnt != NULL ? answer->learnt : answer->name;
    o.orders = r->audit.orders;
    o.categories = r->audit.categories;
    o.split = EH_SPLIT_TUNE;
    o.limit = eh_run_options_of(r, EH_SPLIT_TUNE).limit;
    o.chat = r->audit.chat;
    o.text = r->has_text ? text : NULL;
    o.train = r->o.train;
    o.steps = r->o.steps;
    o.patience = 3;
    o.seed = r->audit.seed;
    o.out = eh_run_path(r, FOLDER);
    o.force = r->audit.force;
    o.progress = r->audit.progress;
    o.progress_ctx = r->audit.progress_ctx;
    o.extra = r->audit.extra;
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
    if (!is_wanted(r) || !eh_file_exists(path))
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
