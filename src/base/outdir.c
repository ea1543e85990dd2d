#include "base/outdir.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

/* What may be replaced holds nothing but files of these names. */
static int check_named(void *ctx, const char *name, eh_err *err)
{
    const eh_outdir *d = ctx;
    for (int i = 0; d->names[i] != NULL; i++)
        if (strcmp(d->names[i], name) == 0)
            return EH_OK;
    return eh_fail(err, EH_EINVAL, "%s: holds %s, which was not written by this; choose another folder", d->path, name);
}

int eh_outdir_open(eh_outdir *d, const char *path, const char *const *names, bool force, eh_err *err)
{
    struct stat st;
    eh_buf temp = {0};
    *d = (eh_outdir){.names = names};
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
    else if (lstat(d->path, &st) == 0) {
        if (!force)
            rc = eh_fail(err, EH_EINVAL, "%s: is there already; choose another folder, or force it", path);
        else if (!S_ISDIR(st.st_mode))
            rc = eh_fail(err, EH_EINVAL, "%s: is there, and is not a folder", path);
        else
            rc = eh_dir_each(d->path, check_named, d, err);
    }
    if (rc == EH_OK)
        rc = eh_dir_make(temp.p, err);
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
