#include "base/outdir.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static int fail_errno(eh_err *err, const char *what, const char *path)
{
    return eh_fail(err, errno == ENOENT ? EH_ENOENT : EH_EIO, "%s: cannot %s: %s", path, what, strerror(errno));
}

static bool is_named(const char *const *names, const char *name)
{
    for (; *names != NULL; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

/* Whether the folder at path may be replaced: it holds nothing but files of these names. */
static int check_replaceable(const char *path, const char *const *names, eh_err *err)
{
    DIR *dir = opendir(path);
    if (dir == NULL)
        return errno == ENOTDIR ? eh_fail(err, EH_EINVAL, "%s: is there, and is not a folder", path)
                                : fail_errno(err, "look into", path);
    int rc = EH_OK;
    for (const struct dirent *e; rc == EH_OK && (e = readdir(dir)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && !is_named(names, e->d_name))
            rc = eh_fail(err, EH_EINVAL, "%s: holds %s, which was not written by this; choose another folder", path,
                         e->d_name);
    closedir(dir);
    return rc;
}

/* Removes the named files and then the folder; what else it holds stays, and so does the folder then. */
static void remove_folder(const char *path, const char *const *names)
{
    for (; *names != NULL; names++) {
        char *file = eh_path_join(path, *names);
        if (file != NULL)
            unlink(file);
        eh_free(file);
    }
    rmdir(path);
}

int eh_outdir_open(eh_outdir *d, const char *path, const char *const *names, bool force, eh_err *err)
{
    struct stat st;
    *d = (eh_outdir){.names = names};
    if (path[0] == '\0')
        return eh_fail(err, EH_EINVAL, "a folder with no name cannot be made");
    if (lstat(path, &st) == 0) {
        const int rc = !force ? eh_fail(err, EH_EINVAL, "%s: is there already; choose another folder, or force it", path)
                              : check_replaceable(path, names, err);
        if (rc < 0)
            return rc;
    }
    d->path = eh_strdup(path);
    size_t n = d->path != NULL ? strlen(d->path) : 0;
    while (n > 1 && d->path[n - 1] == '/')
        d->path[--n] = '\0';
    eh_buf temp = {0};
    eh_buf_printf(&temp, "%s.part-%ld", d->path != NULL ? d->path : "", (long)getpid());
    if (d->path == NULL || temp.fault != 0) {
        eh_buf_clear(&temp);
        eh_outdir_drop(d);
        return eh_fail(err, EH_ENOMEM, "no memory for the path %s", path);
    }
    const int rc = eh_dir_make(temp.p, err);
    d->temp = temp.p;
    if (rc < 0)
        eh_outdir_drop(d);
    return rc;
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
        rc = fail_errno(err, "make room for", d->path);
    else if (rc == EH_OK && (eh_file_told_to_fail() || rename(d->temp, d->path) != 0)) {
        rc = fail_errno(err, "put in place", d->path);
        if (replaces && rename(old.p, d->path) != 0)
            rc = eh_fail(err, EH_EIO, "%s: could not be put in place; what was there is now %s", d->path, old.p);
    } else if (rc == EH_OK) {
        if (replaces)
            remove_folder(old.p, d->names);
        eh_free(d->temp);
        d->temp = NULL;
    }
    eh_buf_clear(&old);
    return rc;
}

void eh_outdir_drop(eh_outdir *d)
{
    if (d == NULL)
        return;
    if (d->temp != NULL)
        remove_folder(d->temp, d->names);
    eh_free(d->temp);
    eh_free(d->path);
    *d = (eh_outdir){0};
}
