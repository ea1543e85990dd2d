#define _DEFAULT_SOURCE /* madvise */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"

static _Atomic int64_t writes_left = -1; /* -1: never fail */

void eh_file_fail_after(int64_t k)
{
    atomic_store(&writes_left, k > 0 ? k : -1);
}

bool eh_file_told_to_fail(void)
{
    int64_t left = atomic_load(&writes_left);
    while (left > 1)
        if (atomic_compare_exchange_weak(&writes_left, &left, left - 1))
            return false;
    if (left < 0)
        return false;
    errno = ENOSPC;
    return true;
}

static int fail_errno(eh_err *err, const char *what, const char *path)
{
    const int code = errno == ENOENT ? EH_ENOENT : errno == ENOMEM ? EH_ENOMEM : EH_EIO;
    return eh_fail(err, code, "%s: cannot %s: %s", path, what, strerror(errno));
}

int eh_map_open(const char *path, eh_map *map, eh_err *err)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is refused below, not waited for */
    if (fd < 0)
        return fail_errno(err, "open", path);
    int rc = EH_OK;
    if (fstat(fd, &st) < 0) {
        rc = fail_errno(err, "look at", path);
    } else if (!S_ISREG(st.st_mode)) {
        rc = eh_fail(err, EH_EIO, "%s: is not a plain file", path);
    } else if (st.st_size == 0) {
        *map = (eh_map){"", 0};
    } else {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            rc = fail_errno(err, "map", path);
        else
            *map = (eh_map){p, (int64_t)st.st_size};
    }
    close(fd);
    return rc;
}

void eh_map_close(eh_map *map)
{
    if (map != NULL && map->n > 0)
        munmap((void *)(uintptr_t)map->p, (size_t)map->n);
    if (map != NULL)
        *map = (eh_map){0};
}

void eh_map_will_need(const eh_map *map, int64_t at, int64_t n)
{
    if (at < 0 || n <= 0 || at >= map->n)
        return;
    const int64_t page = sysconf(_SC_PAGESIZE);
    const int64_t from = at / page * page;
    if (n > map->n - at)
        n = map->n - at;
    posix_madvise((char *)(uintptr_t)map->p + from, (size_t)(n + at - from), POSIX_MADV_WILLNEED);
}

void eh_map_forget(const eh_map *map, int64_t at, int64_t n)
{
    const int64_t page = sysconf(_SC_PAGESIZE);
    const int64_t from = (at + page - 1) / page * page;
    const int64_t end = at + n >= map->n ? map->n : (at + n) / page * page;
    if (at >= 0 && n > 0 && from < end)
        madvise((char *)(uintptr_t)map->p + from, (size_t)(end - from), MADV_DONTNEED); /* posix_madvise does nothing */
}

int eh_file_read(const char *path, int64_t limit, eh_buf *out, eh_err *err)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return fail_errno(err, "open", path);
    if (S_ISDIR(st.st_mode))
        return eh_fail(err, EH_EIO, "%s: is a folder, not a file", path);

    /* gzread passes files without the gzip mark through as they are. */
    gzFile z = gzopen(path, "rb");
    if (z == NULL)
        return fail_errno(err, "open", path);
    int rc = EH_OK;
    char piece[65536];
    eh_buf all = {.limit = limit};
    for (;;) {
        const int n = gzread(z, piece, sizeof piece);
        if (n < 0) {
            int code;
            const char *said = gzerror(z, &code);
            rc = eh_fail(err, code == Z_ERRNO ? EH_EIO : code == Z_MEM_ERROR ? EH_ENOMEM : EH_EFORMAT,
                         "%s: after %lld bytes: %s", path, (long long)all.n, said);
            break;
        }
        if (n == 0) /* a gzip stream that was cut off ends quietly, too; gzclose is the one that knows */
            break;
        eh_buf_bytes(&all, piece, n);
        rc = eh_buf_check(&all, path, err);
        if (rc < 0)
            break;
    }
    if (gzclose(z) != Z_OK && rc == EH_OK)
        rc = eh_fail(err, EH_EFORMAT, "%s: the gzip stream is cut off after %lld bytes", path, (long long)all.n);
    if (rc < 0) {
        eh_buf_clear(&all);
        return rc;
    }
    eh_buf_clear(out);
    *out = all;
    return EH_OK;
}

bool eh_file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

bool eh_dir_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int eh_dir_make(const char *path, eh_err *err)
{
    if (path[0] == '\0')
        return eh_fail(err, EH_EINVAL, "a folder with no name cannot be made");
    char *part = eh_strdup(path);
    if (part == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the path %s", path);
    int rc = EH_OK;
    for (char *p = part;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        const char here = *p;
        *p = '\0';
        if (part[0] != '\0' && mkdir(part, 0777) < 0 && errno != EEXIST) {
            rc = fail_errno(err, "make the folder", part);
            break;
        }
        *p = here;
        if (here == '\0')
            break;
    }
    if (rc == EH_OK && !eh_dir_exists(path))
        rc = eh_fail(err, EH_EIO, "%s: is there, and is not a folder", path);
    eh_free(part);
    return rc;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names first, then what is done with them, which may change the folder. */
int eh_dir_each(const char *path, int (*see)(void *ctx, const char *name, eh_err *err), void *ctx, eh_err *err)
{
    char **name = NULL;
    int64_t n = 0, room = 0;
    int rc = EH_OK;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return fail_errno(err, "open the folder", path);
    for (const struct dirent *e; rc == EH_OK && (e = readdir(dir)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (n == room) {
            room = 2 * room + 16;
            char **more = eh_realloc(name, room, (int64_t)sizeof *name);
            if (more == NULL) {
                rc = eh_fail(err, EH_ENOMEM, "%s: no memory for the names in it", path);
                break;
            }
            name = more;
        }
        name[n] = eh_strdup(e->d_name);
        if (name[n] == NULL)
            rc = eh_fail(err, EH_ENOMEM, "%s: no memory for the names in it", path);
        else
            n++;
    }
    closedir(dir);
    if (n > 0)
        qsort(name, (size_t)n, sizeof *name, compare_names);
    for (int64_t i = 0; i < n; i++) {
        if (rc == EH_OK)
            rc = see(ctx, name[i], err);
        eh_free(name[i]);
    }
    eh_free(name);
    return rc;
}

/* Without memory of ours: folders are removed when memory ran out, too. A link to a folder is a link. */
static void remove_in(int at, const char *name)
{
    const int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        unlinkat(at, name, 0);
        return;
    }
    for (const struct dirent *e; (e = readdir(dir)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            remove_in(fd, e->d_name);
    closedir(dir);
    unlinkat(at, name, AT_REMOVEDIR);
}

void eh_dir_remove(const char *path)
{
    remove_in(AT_FDCWD, path);
}

static int sync_dir(const char *path, eh_err *err)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, "open the folder", path);
    const int rc = fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP ? EH_OK : fail_errno(err, "flush", path);
    close(fd);
    return rc;
}

int eh_dir_commit(const char *temp, const char *path, eh_err *err)
{
    const char *slash = strrchr(path, '/');
    char *parent = eh_strdup(slash == NULL ? "." : slash == path ? "/" : path);
    if (parent == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the path %s", path);
    if (slash != NULL && slash != path)
        parent[slash - path] = '\0';
    int rc = sync_dir(temp, err);
    if (rc == EH_OK && (eh_file_told_to_fail() || rename(temp, path) != 0))
        rc = fail_errno(err, "put in place", path);
    if (rc == EH_OK)
        rc = sync_dir(parent, err);
    eh_free(parent);
    return rc;
}

char *eh_path_join(const char *dir, const char *name)
{
    eh_buf b = {0};
    eh_buf_str(&b, eh_str_of(dir));
    if (b.n > 0 && b.p[b.n - 1] != '/')
        eh_buf_char(&b, '/');
    eh_buf_str(&b, eh_str_of(name));
    if (b.fault != 0) {
        eh_buf_clear(&b);
        return NULL;
    }
    return b.p;
}

int eh_outfile_open(eh_outfile *f, const char *path, eh_err *err)
{
    *f = (eh_outfile){0};
    if (eh_dir_exists(path)) /* the rename would find out, but only after all the work */
        return eh_fail(err, EH_EIO, "%s: cannot write: is a folder", path);
    f->path = eh_strdup(path);
    eh_buf temp = {0};
    eh_buf_printf(&temp, "%s.part-%ld", path, (long)getpid());
    f->temp = temp.p;
    if (f->path == NULL || temp.fault != 0) {
        eh_outfile_drop(f);
        return eh_fail(err, EH_ENOMEM, "no memory for the path %s", path);
    }
    f->stream = fopen(f->temp, "wbe");
    if (f->stream == NULL) {
        const int rc = fail_errno(err, "write", f->temp);
        eh_free(f->temp); /* not ours to remove */
        f->temp = NULL;
        eh_outfile_drop(f);
        return rc;
    }
    return EH_OK;
}

int eh_outfile_put(eh_outfile *f, const void *p, int64_t n, eh_err *err)
{
    if (eh_file_told_to_fail() || (n > 0 && fwrite(p, 1, (size_t)n, f->stream) != (size_t)n))
        return fail_errno(err, "write", f->path);
    return EH_OK;
}

int eh_outfile_commit(eh_outfile *f, eh_err *err)
{
    if (eh_file_told_to_fail() || fflush(f->stream) != 0 || fsync(fileno(f->stream)) != 0)
        return fail_errno(err, "write", f->path);
    FILE *stream = f->stream;
    f->stream = NULL;
    if (fclose(stream) != 0)
        return fail_errno(err, "write", f->path);
    if (eh_file_told_to_fail() || rename(f->temp, f->path) != 0)
        return fail_errno(err, "put in place", f->path);
    eh_free(f->temp);
    f->temp = NULL;
    return EH_OK;
}

void eh_outfile_drop(eh_outfile *f)
{
    if (f == NULL)
        return;
    if (f->stream != NULL)
        fclose(f->stream);
    if (f->temp != NULL)
        unlink(f->temp);
    eh_free(f->temp);
    eh_free(f->path);
    *f = (eh_outfile){0};
}

int eh_file_write(const char *path, eh_str bytes, eh_err *err)
{
    eh_outfile f = {0};
    int rc = eh_outfile_open(&f, path, err);
    if (rc == EH_OK)
        rc = eh_outfile_put(&f, bytes.p, bytes.n, err);
    if (rc == EH_OK)
        rc = eh_outfile_commit(&f, err);
    eh_outfile_drop(&f);
    return rc;
}

int eh_file_write_in(const char *dir, const char *name, const eh_buf *b, eh_err *err)
{
    int rc = eh_buf_check(b, name, err);
    char *path = rc < 0 ? NULL : eh_path_join(dir, name);
    if (rc == EH_OK && path == NULL)
        rc = eh_fail(err, EH_ENOMEM, "no memory for a path");
    if (rc == EH_OK)
        rc = eh_file_write(path, eh_buf_get(b), err);
    eh_free(path);
    return rc;
}
