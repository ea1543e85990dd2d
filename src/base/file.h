/*
 * Files: mapped for reading, and written so that they appear whole or not at all.
 *
 *     eh_outfile f = {0};
 *     rc = eh_outfile_open(&f, "results.json", err);
 *     rc = eh_outfile_put(&f, p, n, err);
 *     rc = eh_outfile_commit(&f, err);       results.json is now there, and whole
 *   done:
 *     eh_outfile_drop(&f);                   a committed file is left alone
 */
#ifndef EH_BASE_FILE_H
#define EH_BASE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/str.h"

/* A whole file, mapped read-only. A file that shrinks while it is mapped kills the process with
 * SIGBUS, as for every program that maps files. */
typedef struct eh_map {
    const char *p; /* [n]; "" when the file is empty */
    int64_t n;     /* bytes */
} eh_map;

int eh_map_open(const char *path, eh_map *map, eh_err *err);
void eh_map_close(eh_map *map);
/* Asks the system to read [at, at + n) ahead; a hint, never an error. */
void eh_map_will_need(const eh_map *map, int64_t at, int64_t n);
/* Takes whole pages within [at, at + n) out of this process's memory; they come back when they are read. */
void eh_map_forget(const eh_map *map, int64_t at, int64_t n);

/* Reads a whole file of at most `limit` bytes into *out (the caller's to clear). Files that start
 * with the gzip mark are unpacked; the limit holds for the unpacked size. */
int eh_file_read(const char *path, int64_t limit, eh_buf *out, eh_err *err);

bool eh_file_exists(const char *path);
bool eh_dir_exists(const char *path);
int eh_dir_make(const char *path, eh_err *err); /* with its parents; fine when it is there */
/* Calls see for every entry but . and .., by name; stops at the first error. */
int eh_dir_each(const char *path, int (*see)(void *ctx, const char *name, eh_err *err), void *ctx, eh_err *err);
void eh_dir_remove(const char *path); /* with all that is in it; what cannot be removed stays */
/* The folder `temp` is at `path` from now on, and stays there when the power goes. Nothing is at `path`, or an
 * empty folder. */
int eh_dir_commit(const char *temp, const char *path, eh_err *err);
/* "a/b" from "a" and "b"; NULL when memory is short. The caller frees. */
char *eh_path_join(const char *dir, const char *name);

typedef struct eh_outfile {
    FILE *stream;
    char *path; /* where it will be */
    char *temp; /* where it is until then: same folder */
} eh_outfile;

int eh_outfile_open(eh_outfile *f, const char *path, eh_err *err);
int eh_outfile_put(eh_outfile *f, const void *p, int64_t n, eh_err *err);
int eh_outfile_commit(eh_outfile *f, eh_err *err); /* flushes to the disk, then renames */
void eh_outfile_drop(eh_outfile *f);
/* The three steps in one. */
int eh_file_write(const char *path, eh_str bytes, eh_err *err);
/* The same at dir/name, of a buffer that is written if nothing went wrong with it. */
int eh_file_write_in(const char *dir, const char *name, const eh_buf *b, eh_err *err);

/* For tests: the k-th write, flush or rename from now and all after it fail with ENOSPC; 0: off. */
void eh_file_fail_after(int64_t k);
bool eh_file_told_to_fail(void);

#endif
