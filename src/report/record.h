/*
 * The record of a run: DIR/run.json, read and checked. Everything on the page comes from here.
 *
 *     eh_record r = {0};
 *     rc = eh_record_read("out/run.json", &r, err);
 *     ... r.row[0].before.value ...
 *     eh_record_clear(&r);
 *
 * A number that is null or missing is NaN ("not defined"), a text that is missing is NULL, a part
 * that is missing has a count of 0. Texts hold no control characters. Unknown keys are ignored.
 * docs/formats.md describes the file.
 */
#ifndef EH_REPORT_RECORD_H
#define EH_REPORT_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "evenhand/study.h"

#define EH_RECORD_BYTES ((int64_t)256 << 20) /* of run.json at most */
#define EH_RECORD_ROWS 5000
#define EH_RECORD_SIDE 1024                  /* layers, and heads of a layer */
#define EH_RECORD_POINTS 100000              /* search points, draws, steps, selected heads, effects */
#define EH_RECORD_NAMES 4096                 /* notes, files, places, curves */
#define EH_RECORD_TEXT 65536                 /* bytes of one text */
#define EH_RECORD_NUMBER 1e30                /* no number is larger than this */

typedef struct eh_measured {
    double value, low, high; /* NaN: not defined */
    int64_t n, n_cluster;    /* -1: not given */
} eh_measured;

typedef struct eh_record_row {
    const char *task, *category, *score, *note; /* note may be NULL */
    const char *words; /* what the score is, in plain words; NULL: the record does not say */
    const char *unit;  /* of its axis; "score" where the record does not say */
    eh_better better;
    eh_score_kind kind;
    bool targeted, has_after;
    eh_measured before, after;
    struct {
        double value, low, high; /* after - before, as the values are: signed */
        double p, q;             /* q: Benjamini-Hochberg over the rows of the run */
        double mde;              /* the smallest change that the test split could have shown */
    } difference;
} eh_record_row;

typedef struct eh_record_position {
    double effect;       /* share of answers that change with the order of the options */
    const double *place; /* [n_place] mean probability of each place */
    int64_t n_place;
} eh_record_position;

typedef struct eh_selected {
    int64_t layer, head, n_category;
    double score, q, alpha;
} eh_selected;

typedef struct eh_curve {
    const char *name;
    const double *value; /* [n_layer] */
} eh_curve;

typedef struct eh_point {
    double heads, strength, bias, kl_median, kl_p95, perplexity, utility;
    bool front, chosen;
} eh_point;

typedef struct eh_step {
    double step, loss, tune_loss;
} eh_step;

/* A work that the benchmarks of the run rest on. */
typedef struct eh_citation {
    const char *used_for, *work;
} eh_citation;

typedef struct eh_named_hash {
    const char *name, *sha256;
} eh_named_hash;

typedef struct eh_record {
    eh_arena mem;
    json_t *root; /* the texts live here */

    const char *evenhand, *command, *preset, *recipe, *answer;
    bool options_hidden; /* the questions were asked without showing the options */
    bool has_seed;
    int64_t seed;
    double confidence; /* of the intervals; 0.95 unless given */
    double fdr;        /* the q up to which a change is claimed; 0.05 unless given */

    struct {
        const char *path, *family, *dtype, *precision, *fingerprint, *features;
        int64_t n_layer, n_head, n_kv, d_model, n_param; /* 0: not given */
    } model;
    struct {
        bool given, mixed;
        int64_t items[3], templates[3]; /* select, tune, test; -1: not given */
    } splits;

    eh_record_row *row; /* [n_row] */
    int64_t n_row;
    const eh_citation *citation; /* [n_citation] */
    int64_t n_citation;

    bool has_position;
    eh_record_position position[2]; /* before, after */

    struct {
        bool given, found;
        const char *statistic, *measure, *unit, *why;
        int64_t n_item; /* -1: not given */
        double split_half, low, high, half_map_correlation;
        const double *before, *after, *q; /* [n_layer, n_head] or NULL */
        const eh_selected *selected;      /* [n_selected] */
        int64_t n_selected;
        double spearman;
        const double *top, *random; /* [n_top], [n_random] effects of real ablation */
        int64_t n_top, n_random;
    } locate;

    const eh_curve *curve; /* [n_curve] */
    int64_t n_curve;

    struct {
        const char *objective, *rule;
        const eh_point *point; /* [n_point] */
        int64_t n_point;
        double bias, perplexity, utility; /* of the original */
    } search;

    struct {
        bool given;
        const char *score, *unit;
        double edit, p;
        const double *draw; /* [n_draw] */
        int64_t n_draw;
    } controls;

    const eh_step *step; /* [n_step] */
    int64_t n_step;
    const char *tune_note;

    struct {
        bool given;
        double before, after;                       /* perplexity */
        double mean, median, p95, p99, max, same_top; /* KL to the original, nats; share of equal top tokens */
    } text;

    const char *const *note; /* [n_note] */
    int64_t n_note;
    const eh_named_hash *file; /* [n_file] */
    int64_t n_file;
} eh_record;

/* Errors: EH_ENOENT the file is not there; EH_EFORMAT a field is wrong, which the message names;
 * EH_ENOMEM. *r is left alone on failure. */
int eh_record_read(const char *path, eh_record *r, eh_err *err);
/* The same from text in memory; `where` names it in messages. */
int eh_record_parse(eh_str text, const char *where, eh_record *r, eh_err *err);
void eh_record_clear(eh_record *r); /* NULL and zeroed are fine */

/* Is the row one of bias, of utility, or of neither (EH_SCORE_OTHER)? */
bool eh_row_is(const eh_record_row *row, eh_score_kind kind);
/* Whether any row was measured after an edit. */
bool eh_record_is_edited(const eh_record *r);
const char *eh_better_words(eh_better better); /* "nearer 0", "higher", ... */

#endif
