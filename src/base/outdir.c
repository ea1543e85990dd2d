#include "base/outdir.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define DEPTH_MAX 8 /* of folders in one that is copied */

/* ---- What may be replaced -------------------------------------------------------------------------- */

typedef struct naming {
    const char *path;
    const char *const *names;
} naming;

static int check_name(void *ctx, const char *name, eh_err *err)
{
    const naming *n = ctx;
    for (int64_t i = 0; n->names[i] != NULL; i++)
        if (strcmp(n->names[i], name) == 0)
            return EH_OK;
    return eh_fail(err, EH_EINVAL,
                   "%s: holds %s, which this command did not write; choose another folder", n->path, name);
}

static int check_by_names(const char *path, const char *const *names, bool force, eh_err *err)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return EH_OK;
    if (!force)
        return eh_fail(err, EH_EINVAL, "%s: is there already; choose another folder, or replace it with --force", path);
    if (!S_ISDIR(st.st_mode))
        return eh_fail(err, EH_EINVAL, "%s: is there, and is not a folder", path);
    naming n = {path, names};
    return eh_dir_each(path, check_name, &n, err);
}

static int already(const char *path, eh_err *err)
{
    return eh_fail(err, EH_EINVAL, "%s: is there already; --force replaces it", path);
}

static int check_by_marks(const char *path, const eh_outdir_rule *rule, bool force, eh_err *err)
{
    if (eh_file_exists(path))
        return eh_fail(err, EH_EINVAL, "%s: is a file; wanted the path of a folder to write", path);
    if (!eh_dir_exists(path))
        return EH_OK;
    if (!force)
        return already(path, err);
    for (int64_t i = 0; rule->marks[i] != NULL; i++) {
        char *mark = eh_path_join(path, rule->marks[i]);
        if (mark == NULL)
            return eh_fail(err, EH_ENOMEM, "no memory for the path of %s", rule->marks[i]);
        const bool there = eh_file_exists(mark);
        eh_free(mark);
        if (there)
            return EH_OK;
    }
    return eh_fail(err, EH_EINVAL, "%s: is there, and is no %s folder: even --force does not replace it", path,
                   rule->kind);
}

int eh_outpath_check(const char *path, bool force, eh_err *err)
{
    if (eh_dir_exists(path))
        return eh_fail(err, EH_EINVAL, "%s: is a folder; wanted the path of a file to write", path);
    return !force && eh_file_exists(path) ? already(path, err) : EH_OK;
}

/* ---- The folder ---------------------------------------------------------------------------------------- */

int eh_outdir_open(eh_outdir *d, const char *path, const eh_outdir_rule *rule, bool force, eh_err *err)
{
    eh_buf temp = {0};
    *d = (eh_outdir){0};
    if (path[0] == '\0')
        return eh_fail(err, EH_EINVAL, "a folder with no name cannot be made");
    d->path = eh_strdup(path);
    size_t n = d->path != NULL ? strlen(d->path) : 0;
    while (n > 1 && d->path[n - 1] == '/')
        d->path[--n] = '\0';
    if (d->path != NULL)
        eh_buf_printf(&temp, "%s.part-%ld", d->path, (long)getpid());
    int rc = EH_OK;
    if (d->path == NULL || temp.fault != 0)
        rc = eh_fail(err, EH_ENOMEM, "no memory for the path %s", path);
    else if (rule->names != NULL)
        rc = check_by_names(d->path, rule->names, force, err);
    else
        rc = check_by_marks(d->path, rule, force, err);
    if (rc == EH_OK) {
        eh_dir_remove(temp.p); /* of a process that was killed and had this one's number */
        rc = eh_dir_make(temp.p, err);
    }
    if (rc < 0) {
        eh_buf_clear(&temp);
        eh_outdir_drop(d);
        return rc;
    }
    d->temp = temp.p;
    return EH_OK;
}

int eh_outdir_write(eh_outdir *d, const char *name, eh_str bytes, eh_err *err)
{
    char *path = eh_path_join(d->temp, name);
    const int rc = path == NULL ? eh_fail(err, EH_ENOMEM, "no memory for the path of %s", name)
                                : eh_file_write(path, bytes, err);
    eh_free(path);
    return rc;
}

typedef struct copy_job {
    const char *from, *to; /* folders */
    const char *within;    /* path of both from their tops, "" or "a/" */
    bool (*skip)(void *ctx, const char *name);
    void *ctx;
    int depth;
} copy_job;

static int copy_file(const char *from, const char *to, eh_err *err)
{
    eh_map map = {0};
    int rc = eh_map_open(from, &map, err);
    if (rc < 0)
        return rc;
    rc = eh_file_write(to, (eh_str){map.p, map.n}, err);
    eh_map_close(&map);
    return rc;
}

static int copy_entry(void *ctx, const char *name, eh_err *err)
{
    const copy_job *j = ctx;
    eh_buf within = {0};
    eh_buf_printf(&within, "%s%s", j->within, name);
    char *from = eh_path_join(j->from, name), *to = eh_path_join(j->to, name);
    int rc = EH_OK;
    if (from == NULL || to == NULL || within.fault != 0) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for the path of %s", name);
    } else if (j->skip(j->ctx, within.p)) {
        rc = EH_OK;
    } else if (eh_dir_exists(from)) {
        eh_buf_char(&within, '/');
        copy_job inner = {from, to, within.p, j->skip, j->ctx, j->depth + 1};
        rc = j->depth == DEPTH_MAX ? eh_fail(err, EH_ENOSUP, "%s: lies too deep in the folder to copy", from)
             : within.fault != 0   ? eh_buf_check(&within, from, err)
                                   : eh_dir_make(to, err);
        if (rc == EH_OK)
            rc = eh_dir_each(from, copy_entry, &inner, err);
    } else {
        rc = copy_file(from, to, err);
    }
    eh_free(from);
    eh_free(to);
    eh_buf_clear(&within);
    return rc;
}

int eh_outdir_copy(eh_outdir *d, const char *from, bool (*skip)(void *ctx, const char *name), void *ctx, eh_err *err)
{
    copy_job job = {from, d->temp, "", skip, ctx, 0};
    return eh_dir_each(from, copy_entry, &job, err);
}

int eh_outdir_commit(eh_outdir *d, eh_err *err)
{
    eh_buf old = {0};
    eh_buf_printf(&old, "%s.old-%ld", d->path, (long)getpid());
    int rc = eh_buf_check(&old, "a path", err);
    const bool replaces = rc == EH_OK && eh_dir_exists(d->path);
    if (rc == EH_OK && replaces && (eh_file_told_to_fail() || rename(d->path, old.p) != 0))
        rc = eh_fail(err, EH_EIO, "%s: cannot make room for a new one: %s", d->path, strerror(errno));
    else if (rc == EH_OK && (rc = eh_dir_commit(d->temp, d->path, err)) == EH_OK) {
        if (replaces)
            eh_dir_remove(old.p);
        eh_free(d->temp);
        d->temp = NULL;
    } else if (rc < 0 && replaces && rename(old.p, d->path) != 0)
        rc = eh_fail(err, EH_EIO, "%s: could not be replaced; what was there is now %s", d->path, old.p);
    eh_buf_clear(&old);
    return rc;
}

void eh_outdir_drop(eh_outdir *d)
{
    if (d == NULL)
        return;
    if (d->temp != NULL)
        eh_dir_remove(d->temp);
    eh_free(d->temp);
    eh_free(d->path);
    *d = (eh_outdir){0};
}
