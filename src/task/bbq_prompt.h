/*
 * What a model is asked: the exact prompts (docs/methods/bbq.md), as strings. Turning them into
 * tokens, and wrapping them in a chat template, is the caller's.
 *
 *     const eh_bbq_orders *o = eh_bbq_orders_find("cyclic");
 *     for (int k = 0; k < o->n; k++)
 *         rc = eh_bbq_prompt_letters(item, o->order[k], true, &prompt, err);  score " A", " B", " C"
 *
 *     rc = eh_bbq_prompt_text(item, true, &prompt, err);                      score " " + item->option[i]
 *
 *     eh_bbq_harness h = eh_bbq_harness_of(item);
 *     rc = eh_bbq_prompt_harness(item, &prompt, err);                         score " " + h.choice[0..11]
 */
#ifndef EH_TASK_BBQ_PROMPT_H
#define EH_TASK_BBQ_PROMPT_H

#include "task/bbq.h"
#include "task/task.h"

/* ---- The forms of an answer ---------------------------------------------------------------- */

typedef enum eh_bbq_form { EH_BBQ_LETTERS, EH_BBQ_TEXT, EH_BBQ_TEXT_PMI, EH_BBQ_N_FORM } eh_bbq_form;

extern const eh_way eh_bbq_form_table[EH_BBQ_N_FORM];
extern const eh_ways eh_bbq_forms; /* the same, as a row has them */

/* What log p(option | .) is conditioned on in text_pmi: log p(option | prompt) minus this one. */
#define EH_BBQ_PMI_CONTEXT "Answer:"

/* ---- The orders of the options ------------------------------------------------------------- */

typedef struct eh_bbq_orders {
    eh_way way;            /* its name is that of --orders */
    int n;
    int8_t order[6][3];    /* order[k][place] = option: what stands at A, B, C */
} eh_bbq_orders;

extern const eh_bbq_orders eh_bbq_orders_table[];
extern const int64_t eh_bbq_n_orders;
extern const eh_ways eh_bbq_order_ways; /* the same, as a row has them */
const eh_bbq_orders *eh_bbq_orders_find(const char *name); /* NULL: no such row */

/* ---- Prompts: each replaces what out held -------------------------------------------------- */

/* "{context} {question}\nA. {a}\nB. {b}\nC. {c}\n\nAnswer:"; the question-only prompt has no "{context} ". */
int eh_bbq_prompt_letters(const eh_bbq_item *item, const int8_t order[3], bool with_context, eh_buf *out, eh_err *err);
/* "{context} {question}\nAnswer:" */
int eh_bbq_prompt_text(const eh_bbq_item *item, bool with_context, eh_buf *out, eh_err *err);
/* "{context}\n\nQ: {question}\nA:" */
int eh_bbq_prompt_harness(const eh_bbq_item *item, eh_buf *out, eh_err *err);

/* ---- The harness's twelve continuations ---------------------------------------------------- */

#define EH_BBQ_HARNESS_CHOICES 12

typedef struct eh_bbq_harness {
    eh_str choice[EH_BBQ_HARNESS_CHOICES]; /* the two groups' answers as they come, then ten unknown phrases */
    int8_t option[EH_BBQ_HARNESS_CHOICES]; /* the item's option that each stands for */
    uint32_t target; /* bit i: choice i is right. As in the harness, an unknown target has bits 2..12,
                        one more than there are choices */
    uint32_t biased; /* bit i: choice i counts as biased */
} eh_bbq_harness;

/* The choices borrow the item's texts. */
eh_bbq_harness eh_bbq_harness_of(const eh_bbq_item *item);

#endif
