/* What locating found, as tables: heads.csv, layers.csv, confirm.csv, and all of it as locate.json. */
#include <math.h>
#include <string.h>

#include "base/jsonw.h"
#include "probe/patch.h"
#include "locate/locate.h"

/* A field of a CSV; categories may hold commas. */
static void put_csv(eh_buf *b, const char *text)
{
    if (strpbrk(text, ",\"\n") == NULL) {
        eh_buf_str(b, eh_str_of(text));
        return;
    }
    eh_buf_char(b, '"');
    for (; *text != '\0'; text++) {
        if (*text == '"')
            eh_buf_char(b, '"');
        eh_buf_char(b, *text);
    }
    eh_buf_char(b, '"');
}

/* Empty where it is not defined, as every reader of CSV has it. */
static void put_number(eh_buf *b, double x)
{
    eh_buf_char(b, ',');
    if (isfinite(x))
        eh_buf_double(b, x);
}

static int write_heads(const eh_head_map *l, eh_err *err)
{
    eh_buf b = {0};
    eh_buf_str(&b, EH_STR("layer,head,category,statistic,score,p,q,spearman,low,high,mean,n,selected\n"));
    for (int64_t i = 0; i < l->result.n_row; i++) {
        const eh_head_row *r = &l->row[i];
        bool selected = false;
        for (int64_t k = 0; k < l->result.n_choice && strcmp(r->statistic, l->result.statistic) == 0; k++)
            selected |= l->choice[k].layer == r->layer && l->choice[k].head == r->head;
        eh_buf_printf(&b, "%lld,%lld,", (long long)r->layer, (long long)r->head);
        put_csv(&b, r->category);
        eh_buf_printf(&b, ",%s", r->statistic);
        put_number(&b, r->score);
        put_number(&b, r->p);
        put_number(&b, r->q);
        put_number(&b, r->rho);
        put_number(&b, r->low);
        put_number(&b, r->high);
        put_number(&b, r->mean);
        eh_buf_printf(&b, ",%lld,%d\n", (long long)r->n, selected);
    }
    const int rc = eh_file_write_in(l->plan.o.out, "heads.csv", &b, err);
    eh_buf_clear(&b);
    return rc;
}

static int write_layers(const eh_head_map *l, eh_err *err)
{
    eh_buf b = {0};
    eh_buf_str(&b, EH_STR("layer"));
    for (int s = 0; s < EH_LAYER_N_STAT; s++)
        eh_buf_printf(&b, ",%s", eh_layer_stat_names[s]);
    if (l->trace != NULL)
        eh_buf_str(&b, EH_STR(",trace_attention,trace_attention_error,trace_mlp,trace_mlp_error"));
    eh_buf_char(&b, '\n');
    for (int64_t i = 0; i < l->items.n_layer; i++) {
        eh_buf_printf(&b, "%lld", (long long)i);
        for (int s = 0; s < EH_LAYER_N_STAT; s++)
            put_number(&b, l->items.layers[i * EH_LAYER_N_STAT + s]);
        for (int c = 0; c < EH_TRACE_N && l->trace != NULL; c++) {
            put_number(&b, l->trace[i * EH_TRACE_N + c]);
            put_number(&b, l->trace[(l->items.n_layer + i) * EH_TRACE_N + c]);
        }
        eh_buf_char(&b, '\n');
    }
    const int rc = eh_file_write_in(l->plan.o.out, "layers.csv", &b, err);
    eh_buf_clear(&b);
    return rc;
}

static int write_confirm(const eh_head_map *l, eh_err *err)
{
    if (l->result.n_ablated == 0)
        return EH_OK;
    eh_buf b = {0};
    eh_buf_str(&b, EH_STR("layer,head,top,score,predicted_change,zero,zero_error,mean,mean_error\n"));
    for (int64_t i = 0; i < l->result.n_ablated; i++) {
        const eh_ablated *a = &l->ablated[i];
        eh_buf_printf(&b, "%lld,%lld,%d", (long long)a->layer, (long long)a->head, a->top);
        put_number(&b, a->predicted);
        put_number(&b, a->effect);
        put_number(&b, a->zero);
        put_number(&b, a->zero_error);
        put_number(&b, a->at_mean);
        put_number(&b, a->at_mean_error);
        eh_buf_char(&b, '\n');
    }
    const int rc = eh_file_write_in(l->plan.o.out, "confirm.csv", &b, err);
    eh_buf_clear(&b);
    return rc;
}

void eh_locate_put_map(eh_jsonw *w, const eh_head_map *l, const char *key, bool q)
{
    for (int64_t i = 0; i + l->items.n_unit <= l->result.n_row; i += l->items.n_unit) {
        const eh_head_row *r = &l->row[i];
        if (strcmp(r->category, "all") != 0 || strcmp(r->statistic, l->result.statistic) != 0)
            continue;
        eh_jsonw_begin(w, key, '[');
        for (int64_t y = 0; y < l->items.n_layer; y++) {
            eh_jsonw_begin(w, NULL, '[');
            for (int64_t h = 0; h < l->result.n_head; h++)
                eh_jsonw_double(w, NULL, q ? r[y * l->result.n_head + h].q : r[y * l->result.n_head + h].score);
            eh_jsonw_end(w);
        }
        eh_jsonw_end(w);
        eh_jsonw_line(w, 0);
    }
}

static void put_layers(eh_jsonw *w, const eh_head_map *l)
{
    eh_jsonw_begin(w, "layers", '{');
    for (int s = 0; s < EH_LAYER_N_STAT; s++) {
        eh_jsonw_begin(w, eh_layer_stat_names[s], '[');
        for (int64_t i = 0; i < l->items.n_layer; i++)
            eh_jsonw_double(w, NULL, l->items.layers[i * EH_LAYER_N_STAT + s]);
        eh_jsonw_end(w);
    }
    for (int c = 0; c < EH_TRACE_N && l->trace != NULL; c++) {
        eh_jsonw_begin(w, c == EH_TRACE_ATTENTION ? "trace_attention" : "trace_mlp", '[');
        for (int64_t i = 0; i < l->items.n_layer; i++)
            eh_jsonw_double(w, NULL, l->trace[i * EH_TRACE_N + c]);
        eh_jsonw_end(w);
    }
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
}

static void put_choices(eh_jsonw *w, const eh_locate_result *r)
{
    eh_jsonw_begin(w, "selected", '[');
    for (int64_t i = 0; i < r->n_choice; i++) {
        eh_jsonw_begin(w, NULL, '{');
        eh_jsonw_int(w, "layer", r->choice[i].layer);
        eh_jsonw_int(w, "head", r->choice[i].head);
        eh_jsonw_double(w, "weight", r->choice[i].weight);
        eh_jsonw_double(w, "score", r->choice[i].score);
        eh_jsonw_double(w, "q", r->choice[i].q);
        eh_jsonw_int(w, "n_category", r->choice[i].n_category);
        eh_jsonw_end(w);
    }
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
}

void eh_locate_put_reliability(eh_jsonw *w, const eh_locate_result *r)
{
    eh_jsonw_begin(w, "reliability", '{');
    eh_jsonw_double(w, "split_half", r->split_half);
    eh_jsonw_double(w, "low", r->split_half_low);
    eh_jsonw_double(w, "high", r->split_half_high);
    eh_jsonw_double(w, "half_map_correlation", r->half_map_correlation);
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
}

void eh_locate_put_confirmation(eh_jsonw *w, const eh_locate_result *r)
{
    if (r->n_ablated == 0)
        return;
    eh_jsonw_begin(w, "confirmation", '{');
    eh_jsonw_double(w, "spearman", r->confirmed);
    eh_jsonw_double(w, "spearman_effect", r->confirmed_effect);
    for (int top = 1; top >= 0; top--) {
        eh_jsonw_begin(w, top ? "top" : "random", '[');
        for (int64_t i = 0; i < r->n_ablated; i++)
            if (r->ablated[i].top == (top == 1))
                eh_jsonw_double(w, NULL, r->ablated[i].zero);
        eh_jsonw_end(w);
    }
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
}

int eh_locate_write(const eh_head_map *l, const char *fingerprint, eh_err *err)
{
    const eh_locate_result *r = &l->result;
    int rc = write_heads(l, err);
    if (rc == EH_OK)
        rc = write_layers(l, err);
    if (rc == EH_OK)
        rc = write_confirm(l, err);
    if (rc < 0)
        return rc;
    eh_buf b = {0};
    eh_jsonw *w = &(eh_jsonw){.b = &b};
    eh_jsonw_begin(w, NULL, '{');
    eh_jsonw_text(w, "evenhand", EH_VERSION);
    eh_jsonw_text(w, "task", l->task->row->about.name);
    eh_jsonw_text(w, "split", eh_choice_name(EH_CHOICE_SPLIT, (int)l->plan.o.split));
    eh_jsonw_text(w, "model", fingerprint);
    eh_jsonw_int(w, "seed", (int64_t)l->plan.o.seed);
    eh_jsonw_text(w, "statistic", r->statistic);
    eh_jsonw_text(w, "measure", r->measure);
    eh_jsonw_text(w, "unit", "Pearson r");
    eh_jsonw_int(w, "n_item", r->n_item);
    eh_jsonw_int(w, "n_skipped", r->n_skipped);
    eh_jsonw_int(w, "n_unplaced", r->n_unplaced);
    eh_jsonw_int(w, "n_category", r->n_category);
    eh_jsonw_int(w, "n_layer", r->n_layer);
    eh_jsonw_int(w, "n_head", r->n_head);
    eh_jsonw_text(w, "select", eh_choice_name(EH_CHOICE_SELECTION, (int)l->o.select));
    eh_jsonw_double(w, "q_level", l->o.q);
    eh_jsonw_double(w, "floor", l->o.floor);
    eh_jsonw_double(w, "share", l->o.share);
    eh_jsonw_int(w, "permutations", l->o.permutations);
    eh_locate_put_reliability(w, r);
    eh_jsonw_bool(w, "found", r->found);
    eh_jsonw_text(w, "why", r->why);
    put_choices(w, r);
    eh_locate_put_confirmation(w, r);
    put_layers(w, l);
    eh_locate_put_map(w, l, "map", false);
    eh_locate_put_map(w, l, "q", true);
    eh_jsonw_finish(w);
    rc = eh_file_write_in(l->plan.o.out, "locate.json", &b, err);
    eh_buf_clear(&b);
    return rc;
}
