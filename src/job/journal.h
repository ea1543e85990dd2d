/*
 * The journal of an out folder: which blocks of which task are done. This is the storage under the block loop
 * (job/blocks.h), which is what a job calls:
 *
 *     eh_journal *j;
 *     rc = eh_journal_open("out", &j, err);
 *     rc = eh_journal_task(j, "bbq", what, force, &n_block, err);    0 on a fresh start
 *     for (block = n_block; ...)
 *         rc = eh_journal_put(j, "bbq", records, err);               on the disk when it returns
 *     rc = eh_journal_finish(j, "bbq", err);                         samples_bbq.jsonl is there, whole
 *     eh_journal_close(j);
 *
 * A block's records are appended to samples_<task>.jsonl.part and flushed to the disk, then a line
 * with their length and hash is appended to journal.jsonl, and flushed. Whatever a crash leaves
 * behind a block's line is cut off on the next start; a block whose bytes do not have their hash is
 * dropped with all after it.
 */
#ifndef EH_JOB_JOURNAL_H
#define EH_JOB_JOURNAL_H

#include <jansson.h>

#include "base/err.h"
#include "base/str.h"

typedef struct eh_journal eh_journal;

/* Makes the folder if need be. EH_EINVAL when another process has the journal open. */
int eh_journal_open(const char *dir, eh_journal **j, eh_err *err);
void eh_journal_close(eh_journal *j); /* NULL is fine */

/*
 * Takes up a task. `what` (an object) holds everything that its records depend on, our version first: another
 * version does not resume a folder, it starts over in another one, or by force. If the folder holds records of the
 * same task made with something else, that is EH_EINVAL, with the first field that differs, unless `force` starts over.
 * out n_block: blocks that are done and sound.
 */
int eh_journal_task(eh_journal *j, const char *task, const json_t *what, bool force, int64_t *n_block, eh_err *err);
int eh_journal_put(eh_journal *j, const char *task, eh_str records, eh_err *err);
int eh_journal_finish(eh_journal *j, const char *task, eh_err *err);

#endif
