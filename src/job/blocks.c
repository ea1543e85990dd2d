#include "job/blocks.h"

#include "base/lines.h"

/* Computes the block and keeps it. */
static int run_block(eh_journal *j, const eh_blocks *b, int64_t from, int64_t to, eh_buf *records, eh_err *err)
{
    eh_buf_reset(records);
    int rc = b->block(b->ctx, from, to, records, err);
    if (rc == EH_OK)
        rc = eh_buf_check(records, "a block's records", err);
    return rc == EH_OK ? eh_journal_put(j, b->task, eh_buf_get(records), err) : rc;
}

int eh_blocks_run(eh_journal *j, const eh_blocks *b, int64_t *n_computed, eh_err *err)
{
    if (b->n < 1 || b->size < 1)
        return eh_fail(err, EH_EINVAL, "a job of %lld %s in blocks of %lld has no block", (long long)b->n, b->unit,
                       (long long)b->size);
    eh_buf records = {0};
    int64_t n_done = 0;
    bool begun = b->begin == NULL;
    int rc = eh_journal_task(j, b->task, b->what, b->force, &n_done, err);
    int64_t from = n_done > b->n / b->size ? b->n : n_done * b->size;
    while (rc == EH_OK && from < b->n) {
        const int64_t to = b->n - from < b->size ? b->n : from + b->size;
        if (b->progress != NULL && b->progress(b->progress_ctx, b->task, from, b->n) != 0)
            rc = eh_fail(err, EH_ESTOP, "stopped on request after %lld of %lld %s", (long long)from, (long long)b->n,
                         b->unit);
        if (rc == EH_OK && !begun) {
            rc = b->begin(b->ctx, err);
            begun = true;
        }
        if (rc == EH_OK)
            rc = run_block(j, b, from, to, &records, err);
        if (rc == EH_OK && n_computed != NULL)
            *n_computed += to - from;
        from = to;
    }
    if (rc == EH_OK && b->progress != NULL)
        b->progress(b->progress_ctx, b->task, b->n, b->n);
    if (rc == EH_OK)
        rc = eh_journal_finish(j, b->task, err);
    eh_buf_clear(&records);
    return rc;
}

int eh_records_read(const char *dir, const char *task, int64_t n, eh_record_fn *read, void *ctx, eh_err *err)
{
    eh_buf path = {0};
    eh_lines l = {0};
    eh_buf_printf(&path, "%s/samples_%s.jsonl", dir, task);
    int rc = eh_buf_check(&path, "a path", err);
    if (rc == EH_OK)
        rc = eh_lines_open(&l, path.p, err);
    int64_t i = 0;
    for (; rc == EH_OK; i++) {
        json_t *record = NULL;
        const int more = eh_lines_json(&l, &record, err);
        if (more <= 0) {
            rc = more;
            break;
        }
        if (i == n)
            rc = eh_fail(err, EH_EFORMAT, "%s: holds more than the %lld records of this run", path.p, (long long)n);
        else
            rc = read(ctx, i, record, l.where, err);
        json_decref(record);
    }
    if (rc == EH_OK && i < n)
        rc = eh_fail(err, EH_EFORMAT, "%s: holds fewer than the %lld records of this run", path.p, (long long)n);
    eh_lines_close(&l);
    eh_buf_clear(&path);
    return rc;
}
