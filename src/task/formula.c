#include "task/formula.h"

double eh_formula_ratio(const double *sum, const void *ctx)
{
    const int8_t *c = ((const eh_formula *)ctx)->column;
    return sum[c[0]] / sum[c[1]];
}

double eh_formula_percent(const double *sum, const void *ctx)
{
    return 100.0 * eh_formula_ratio(sum, ctx);
}

int64_t eh_formula_n(const eh_formula *f, const double *total)
{
    return (int64_t)(f->n >= 0 ? total[f->n] : total[f->column[2]] + total[f->column[3]]);
}

/* Is picked item p of the sheet: of any category, or of category k - 1? */
static bool is_of(const eh_open_task *t, int64_t p, int64_t k)
{
    return k == 0 || t->item[t->pick[p]].category == k - 1;
}

int eh_formula_sheet(const eh_open_task *t, int64_t k, const eh_formula *formula, eh_sheet *out, const char **category,
                     eh_err *err)
{
    const int64_t width = t->width;
    if (k > t->names.n_category)
        return EH_TASK_LAST;
    *category = k == 0 ? "all" : t->names.category[k - 1];
    bool *has = eh_calloc(t->names.n_cluster, (int64_t)sizeof *has);
    double *total = eh_calloc(width, (int64_t)sizeof *total);
    eh_sheet made;
    bool some = false;
    int rc = has != NULL && total != NULL ? EH_OK
                                          : eh_fail(err, EH_ENOMEM, "no memory for %lld templates",
                                                    (long long)t->names.n_cluster);
    for (int64_t p = 0; p < t->n_pick && rc == EH_OK; p++)
        if (is_of(t, p, k))
            some = has[t->item[t->pick[p]].cluster] = true;
    if (rc == EH_OK)
        rc = some ? eh_sheet_open(&made, has, t->names.n_cluster, width, err) : EH_TASK_NO_SHEET;
    for (int64_t p = 0; p < t->n_pick && rc == EH_OK; p++) {
        if (!is_of(t, p, k))
            continue;
        const double *x = eh_task_columns(t, t->pick[p]);
        double *into = eh_sheet_row(&made, t->item[t->pick[p]].cluster);
        for (int64_t w = 0; w < width; w++) {
            into[w] += x[w];
            total[w] += x[w];
        }
    }
    if (rc == EH_OK) {
        made.n_score = t->row->about.n_score;
        for (int64_t s = 0; s < made.n_score; s++)
            made.score[s] = (eh_statistic){formula[s].value, &formula[s], eh_formula_n(&formula[s], total)};
        *out = made;
    }
    eh_free(has);
    eh_free(total);
    return rc;
}
