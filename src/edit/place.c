/* A folder that appears whole or not at all: made beside its place, renamed into it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "edit/save.h"

#define DEPTH_MAX 8 /* of folders in a model folder */

static int exists(const char *path, eh_err *err)
{
    return eh_fail(err, EH_EINVAL, "%s: is there already; --force replaces it", path);
}

int eh_place_free_file(const char *path, bool force, eh_err *err)
{
    if (eh_dir_exists(path))
        return eh_fail(err, EH_EINVAL, "%s: is a folder; wanted the path of a file to write", path);
    return !force && eh_file_exists(path) ? exists(path, err) : EH_OK;
}

/* Only a folder that is a model (or an adapter) is replaced: --force with a wrong path must not empty a home. */
static bool is_model(const char *path)
{
    static const char *const marks[] = {"config.json", "adapter_config.json"};
    bool there = false;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        char *mark = eh_path_join(path, marks[i]);
        there = there || (mark != NULL && eh_file_exists(mark));
        eh_free(mark);
    }
    return there;
}

int eh_place_open(eh_place *p, const char *path, bool force, eh_err *err)
{
    *p = (eh_place){0};
    if (path[0] == '\0')
        return eh_fail(err, EH_EINVAL, "a folder with no name cannot be written");
    if (eh_file_exists(path))
        return eh_fail(err, EH_EINVAL, "%s: is a file; wanted the path of a folder to write", path);
    if (eh_dir_exists(path) && !force)
        return exists(path, err);
    if (eh_dir_exists(path) && !is_model(path))
        return eh_fail(err, EH_EINVAL, "%s: is there, and is no model folder: even --force does not replace it", path);
    eh_buf temp = {0};
    int64_t n = (int64_t)strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    eh_buf_bytes(&temp, path, n);
    p->path = temp.fault == 0 ? eh_strdup(temp.p) : NULL;
    eh_buf_printf(&temp, ".part-%ld", (long)getpid());
    if (p->path == NULL || temp.fault != 0) {
        eh_buf_clear(&temp);
        eh_place_drop(p);
        return eh_fail(err, EH_ENOMEM, "no memory for the path %s", path);
    }
    eh_dir_remove(temp.p); /* of a process that was killed and had this one's number */
    const int rc = eh_dir_make(temp.p, err);
    if (rc < 0) {
        eh_buf_clear(&temp);
        eh_place_drop(p);
        return rc;
    }
    p->temp = temp.p;
    return EH_OK;
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
        rc = j->depth == DEPTH_MAX ? eh_fail(err, EH_ENOSUP, "%s: lies too deep in the model's folder", from)
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

int eh_place_copy(eh_place *p, const char *from, bool (*skip)(void *ctx, const char *name), void *ctx, eh_err *err)
{
    copy_job job = {from, p->temp, "", skip, ctx, 0};
    return eh_dir_each(from, copy_entry, &job, err);
}

int eh_place_commit(eh_place *p, eh_err *err)
{
    eh_buf old = {0};
    const bool replaces = eh_dir_exists(p->path);
    eh_buf_printf(&old, "%s.old-%ld", p->path, (long)getpid());
    int rc = eh_buf_check(&old, p->path, err);
    if (rc == EH_OK && replaces && rename(p->path, old.p) != 0)
        rc = eh_fail(err, EH_EIO, "%s: cannot move it out of the way: %s", p->path, strerror(errno));
    if (rc == EH_OK) {
        rc = eh_dir_commit(p->temp, p->path, err);
        if (replaces && rc < 0) /* what was there comes back; where even that fails it keeps its other name */
            (void)!rename(old.p, p->path);
    }
    if (rc == EH_OK) {
        if (replaces)
            eh_dir_remove(old.p);
        eh_free(p->temp);
        p->temp = NULL;
    }
    eh_buf_clear(&old);
    return rc;
}

void eh_place_drop(eh_place *p)
{
    if (p->temp != NULL)
        eh_dir_remove(p->temp);
    eh_free(p->temp);
    eh_free(p->path);
    *p = (eh_place){0};
}
