/*
 * A job in blocks: the one loop that computes, and the one that reads what was computed.
 *
 *     static int ask(void *ctx, int64_t from, int64_t to, eh_buf *records, eh_err *err);   items from .. to - 1
 *     static int take(void *ctx, int64_t i, const json_t *record, const char *where, eh_err *err);
 *
 *     const eh_blocks b = {.task = "bbq", .what = what, .n = n, .size = 128, .unit = "items", .block = ask, ...};
 *     rc = eh_journal_open("out", &j, err);
 *     rc = eh_blocks_run(j, &b, &n_computed, err);      samples_bbq.jsonl is there, whole: n records
 *     eh_journal_close(j);
 *     rc = eh_records_read("out", "bbq", n, take, &ctx, err);
 *
 * The n items of a job are cut into blocks of `size`, the last one shorter. A block is the unit of records, of
 * resumption and, one day, of distribution: whoever computes it, and whatever was computed before it, its records are
 * the same bytes. Blocks that an earlier call left whole are not computed again.
 *
 * So a block may depend on
 *
 *     its range from .. to - 1,
 *     what does not change while the job lasts, all of which `what` names: model, data, options,
 *
 * and on nothing else: not on a block before it, which another call or another process may have computed; not on how
 * many threads there are; not on what is in the buffer. What it leaves behind in ctx for the next is room, no result.
 *
 * Who may call: one call at a time for a journal. Within a process one block runs at a time, in ascending order, though
 * not every block. A block may run another job with the journal of another folder. Several processes that share out the
 * blocks each have a ctx of their own.
 */
#ifndef EH_JOB_BLOCKS_H
#define EH_JOB_BLOCKS_H

#include "job/journal.h"

/* Appends the records of items from .. to - 1, a line each, in order. */
typedef int eh_block_fn(void *ctx, int64_t from, int64_t to, eh_buf *records, eh_err *err);
/* Called once before the first block that this process computes, for what all blocks share and nobody else needs; not
 * called when it computes none. */
typedef int eh_block_begin(void *ctx, eh_err *err);

typedef struct eh_blocks {
    const char *task;   /* its name in the journal, and to `progress` */
    const json_t *what; /* journal.h */
    bool force;
    int64_t n, size;
    const char *unit;      /* what the n are: "items", "heads" */
    eh_progress *progress; /* before each block, and when all is done; may be NULL. Not 0: stop */
    void *progress_ctx;
    eh_block_begin *begin; /* may be NULL */
    eh_block_fn *block;
    void *ctx;
} eh_blocks;

/* Adds the items computed by this call to *n_computed (may be NULL). EH_ESTOP: stopped on request; whole blocks are
 * kept. */
int eh_blocks_run(eh_journal *j, const eh_blocks *b, int64_t *n_computed, eh_err *err);

/* Item i's record, a JSON object, from `where` ("out/samples_bbq.jsonl: line 7"). */
typedef int eh_record_fn(void *ctx, int64_t i, const json_t *record, const char *where, eh_err *err);

/* Calls `read` for each record of a finished task in an out folder, in order. EH_EFORMAT: there are not n of them. */
int eh_records_read(const char *dir, const char *task, int64_t n, eh_record_fn *read, void *ctx, eh_err *err);

#endif
