#include "job/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/jsonw.h"
#include "base/lines.h"
#include "base/mem.h"

/* A journal of a study of millions of items; beyond it something is wrong. */
#define JOURNAL_MAX ((int64_t)1 << 30)

struct eh_journal {
    char *dir, *path;
    int fd;          /* journal.jsonl, open for appending, locked */
    json_t *lines;   /* array: every line of it */
};

static int io_fail(eh_err *err, const char *what, const char *path)
{
    return eh_fail(err, EH_EIO, "%s: cannot %s: %s", path, what, strerror(errno));
}

static char *samples_path(const eh_journal *j, const char *task, const char *ending)
{
    eh_buf b = {0};
    eh_buf_printf(&b, "%s/samples_%s.jsonl%s", j->dir, task, ending);
    return b.fault == 0 ? b.p : NULL;
}

/* Writes all bytes at the end of fd and flushes them to the disk. */
static int append(int fd, const char *path, eh_str s, eh_err *err)
{
    while (s.n > 0) {
        const ssize_t n = eh_file_told_to_fail() ? -1 : write(fd, s.p, (size_t)s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return io_fail(err, "write", path);
        s.p += n;
        s.n -= n;
    }
    return eh_file_told_to_fail() || fsync(fd) != 0 ? io_fail(err, "write", path) : EH_OK;
}

static void put_json_line(eh_buf *b, const json_t *line)
{
    eh_buf_json_value(b, line, 0);
    eh_buf_char(b, '\n');
}

static int put_line(eh_journal *j, json_t *line, eh_err *err)
{
    eh_buf b = {0};
    put_json_line(&b, line);
    int rc = eh_buf_check(&b, "a journal line", err);
    if (rc == EH_OK)
        rc = append(j->fd, j->path, eh_buf_get(&b), err);
    if (rc == EH_OK && json_array_append(j->lines, line) != 0)
        rc = eh_fail(err, EH_ENOMEM, "no memory for the journal");
    eh_buf_clear(&b);
    return rc;
}

/* All that is in the file, by the descriptor that is open: closing another one would give up the lock. */
static int read_all(const eh_journal *j, eh_buf *all, eh_err *err)
{
    char part[16384];
    for (;;) {
        const ssize_t n = pread(j->fd, part, sizeof part, (off_t)all->n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return io_fail(err, "read", j->path);
        if (n == 0)
            return eh_buf_check(all, "the journal", err);
        if (all->n > JOURNAL_MAX - n)
            return eh_fail(err, EH_ERANGE, "%s: is larger than a journal can be (%lld bytes)", j->path,
                           (long long)JOURNAL_MAX);
        eh_buf_bytes(all, part, n);
        if (all->fault != 0)
            return eh_buf_check(all, "the journal", err);
    }
}

/* Reads what is there; a last line without its end was being written when the lights went out. */
static int read_lines(eh_journal *j, eh_err *err)
{
    eh_buf all = {0};
    int rc = read_all(j, &all, err), more = 0;
    eh_lines l = {.text = eh_buf_get(&all), .file = j->path, .whole = true};
    for (json_t *v; rc == EH_OK && (more = eh_lines_json(&l, &v, err)) > 0;)
        if (json_array_append_new(j->lines, v) != 0)
            rc = eh_fail(err, EH_ENOMEM, "no memory for the journal");
    rc = more < 0 ? more : rc;
    if (rc == EH_OK && l.at < all.n && ftruncate(j->fd, l.at) != 0)
        rc = io_fail(err, "cut the torn last line off", j->path);
    eh_buf_clear(&all);
    return rc;
}

int eh_journal_open(const char *dir, eh_journal **out, eh_err *err)
{
    int rc = eh_dir_make(dir, err);
    if (rc < 0)
        return rc;
    eh_journal *j = eh_calloc(1, (int64_t)sizeof *j);
    if (j == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a journal");
    j->fd = -1;
    j->dir = eh_strdup(dir);
    j->path = eh_path_join(dir, "journal.jsonl");
    j->lines = json_array();
    if (j->dir == NULL || j->path == NULL || j->lines == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for a journal");
        goto done;
    }
    j->fd = open(j->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (j->fd < 0) {
        rc = io_fail(err, "write", j->path);
        goto done;
    }
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(j->fd, F_SETLK, &lock) != 0) {
        rc = errno == EACCES || errno == EAGAIN
                 ? eh_fail(err, EH_EINVAL, "%s: another run is writing to this folder", dir)
                 : io_fail(err, "lock", j->path);
        goto done;
    }
    rc = read_lines(j, err);
    if (rc == EH_OK) {
        *out = j;
        j = NULL;
    }
done:
    eh_journal_close(j);
    return rc;
}

void eh_journal_close(eh_journal *j)
{
    if (j == NULL)
        return;
    if (j->fd >= 0)
        close(j->fd);
    json_decref(j->lines);
    eh_free(j->dir);
    eh_free(j->path);
    eh_free(j);
}

static bool is_of(const json_t *line, const char *task)
{
    const char *t = json_string_value(json_object_get(line, "task"));
    return t != NULL && strcmp(t, task) == 0;
}

/* Keeps of the task's lines the first `n_block` blocks (-1: nothing, not even what it depended on),
 * and writes the journal anew when that drops any. */
static int drop_blocks(eh_journal *j, const char *task, int64_t n_block, eh_err *err)
{
    json_t *kept = json_array();
    eh_buf b = {0};
    int64_t seen = 0;
    int rc = kept == NULL ? eh_fail(err, EH_ENOMEM, "no memory for the journal") : EH_OK;
    for (size_t i = 0; rc == EH_OK && i < json_array_size(j->lines); i++) {
        json_t *line = json_array_get(j->lines, i);
        if (is_of(line, task)) {
            const bool is_block = json_object_get(line, "sha256") != NULL;
            if (n_block < 0 || (is_block && seen++ >= n_block))
                continue;
        }
        put_json_line(&b, line);
        if (json_array_append(kept, line) != 0)
            rc = eh_fail(err, EH_ENOMEM, "no memory for the journal");
    }
    if (rc == EH_OK)
        rc = eh_buf_check(&b, "the journal", err);
    if (rc == EH_OK && json_array_size(kept) < json_array_size(j->lines)) {
        /* In place, for the lock is on this file: shortened first, so that a crash leaves fewer blocks. */
        if (ftruncate(j->fd, 0) != 0)
            rc = io_fail(err, "write", j->path);
        else
            rc = append(j->fd, j->path, eh_buf_get(&b), err);
    }
    eh_buf_clear(&b);
    if (rc < 0) {
        json_decref(kept);
        return rc;
    }
    json_decref(j->lines);
    j->lines = kept;
    return EH_OK;
}

/* Blocks whose bytes are in the samples file with their hash; *bytes: how long they are together. */
static int sound_blocks(eh_journal *j, const char *task, const char *path, int64_t *n_block, int64_t *bytes,
                        eh_err *err)
{
    *n_block = *bytes = 0;
    if (!eh_file_exists(path))
        return EH_OK;
    eh_map map;
    int rc = eh_map_open(path, &map, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == EH_OK && i < json_array_size(j->lines); i++) {
        const json_t *line = json_array_get(j->lines, i);
        const char *sha = json_string_value(json_object_get(line, "sha256"));
        if (!is_of(line, task) || sha == NULL)
            continue;
        const int64_t n = json_integer_value(json_object_get(line, "bytes"));
        char got[EH_SHA256_TEXT];
        if (n < 0 || n > map.n - *bytes)
            break;
        rc = eh_sha256_of(map.p + *bytes, n, got, err);
        if (rc < 0 || strcmp(got, sha) != 0)
            break;
        *bytes += n;
        (*n_block)++;
    }
    eh_map_close(&map);
    return rc;
}

/* The first field in which two objects differ. */
static const char *difference(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)a, key, v)
        if (!json_equal(v, json_object_get(b, key)))
            return key;
    json_object_foreach((json_t *)(uintptr_t)b, key, v)
        if (json_object_get(a, key) == NULL)
            return key;
    return NULL;
}

int eh_journal_task(eh_journal *j, const char *task, const json_t *what, bool force, int64_t *n_block, eh_err *err)
{
    const json_t *before = NULL;
    for (size_t i = 0; i < json_array_size(j->lines); i++) {
        const json_t *line = json_array_get(j->lines, i);
        if (is_of(line, task) && json_object_get(line, "what") != NULL)
            before = json_object_get(line, "what");
    }
    const char *differs = before != NULL ? difference(before, what) : NULL;
    if (differs != NULL && !force)
        return eh_fail(err, EH_EINVAL,
                       "%s holds records of %s made with another \"%s\"; choose another folder, or --force to start "
                       "over",
                       j->dir, task, differs);
    char *part = samples_path(j, task, ".part"), *whole = samples_path(j, task, "");
    int rc = part == NULL || whole == NULL ? eh_fail(err, EH_ENOMEM, "no memory for a path") : EH_OK;
    int64_t bytes = 0;
    if (rc == EH_OK && (before == NULL || force)) {
        rc = drop_blocks(j, task, -1, err);
        unlink(part);
        unlink(whole);
        json_t *line = rc == EH_OK ? json_pack("{s:s,s:O}", "task", task, "what", what) : NULL;
        if (rc == EH_OK)
            rc = line == NULL ? eh_fail(err, EH_ENOMEM, "no memory for a journal line") : put_line(j, line, err);
        json_decref(line);
        *n_block = 0;
    } else if (rc == EH_OK) {
        /* A finished task lies under its own name: back to .part, from where eh_journal_finish takes it. */
        if (eh_file_exists(whole) && rename(whole, part) != 0)
            rc = io_fail(err, "rename", whole);
        if (rc == EH_OK)
            rc = sound_blocks(j, task, part, n_block, &bytes, err);
        if (rc == EH_OK)
            rc = drop_blocks(j, task, *n_block, err);
        if (rc == EH_OK && eh_file_exists(part) && truncate(part, bytes) != 0)
            rc = io_fail(err, "cut", part);
    }
    eh_free(part);
    eh_free(whole);
    return rc;
}

int eh_journal_put(eh_journal *j, const char *task, eh_str records, eh_err *err)
{
    char sha[EH_SHA256_TEXT];
    char *part = samples_path(j, task, ".part");
    if (part == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a path");
    int rc = eh_sha256_of(records.p, records.n, sha, err);
    const int fd = rc < 0 ? -1 : open(part, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (rc == EH_OK && fd < 0)
        rc = io_fail(err, "write", part);
    if (rc == EH_OK)
        rc = append(fd, part, records, err);
    if (fd >= 0)
        close(fd);
    if (rc == EH_OK) {
        json_t *line = json_pack("{s:s,s:I,s:s}", "task", task, "bytes", (json_int_t)records.n, "sha256", sha);
        rc = line == NULL ? eh_fail(err, EH_ENOMEM, "no memory for a journal line") : put_line(j, line, err);
        json_decref(line);
    }
    eh_free(part);
    return rc;
}

int eh_journal_finish(eh_journal *j, const char *task, eh_err *err)
{
    char *part = samples_path(j, task, ".part"), *whole = samples_path(j, task, "");
    int rc = part == NULL || whole == NULL ? eh_fail(err, EH_ENOMEM, "no memory for a path") : EH_OK;
    if (rc == EH_OK && (eh_file_told_to_fail() || rename(part, whole) != 0))
        rc = io_fail(err, "put in place", whole);
    eh_free(part);
    eh_free(whole);
    return rc;
}
