#include "check.h"
#include "weight_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static eh_err err;

static eh_buf read_all(const char *path)
{
    eh_buf b = {0};
    CHECK_OK(eh_file_read(path, 1 << 24, &b, &err));
    return b;
}

static volatile double sum; /* keeps the compiler from dropping what was read */

/* Every number of every tensor can be read without leaving the map (ASan and the system watch). */
static void touch(const eh_weights *w)
{
    static float row[1 << 16];
    for (int64_t i = 0; i < eh_weights_count(w); i++) {
        const eh_tensor *t = eh_weights_at(w, i);
        const int64_t n = eh_tensor_count(t), width = t->n_dim > 0 ? t->dim[t->n_dim - 1] : 1;
        CHECK(t->n_byte >= 0 && t->offset >= 0 && t->offset <= eh_weights_file_map(w, t->file)->n - t->n_byte);
        if (n > 0 && width <= 1 << 16) {
            eh_tensor_rows(t, 0, 1, row);
            eh_tensor_rows(t, n / width - 1, 1, row);
        }
    }
    for (int64_t i = 0; i < eh_gguf_count(w); i++) {
        const eh_gguf_value *v = eh_gguf_at(w, i);
        if (v->type == EH_GGUF_ARRAY && v->item != EH_GGUF_STRING && v->n > 0)
            sum += eh_gguf_item_real(v, v->n - 1);
    }
}

/* A failed open says why in a whole sentence, and leaves the output alone. */
static void check_clean(int rc, const eh_weights *w)
{
    if (rc == EH_OK)
        return;
    CHECK(rc == EH_EFORMAT || rc == EH_ENOSUP || rc == EH_ENOENT);
    CHECK(w == NULL);
    CHECK(err.code == rc && strlen(err.text) > 20);
}

/* ---- Cut off ------------------------------------------------------------------------------- */

/* `open` is what is opened, `file` the file in it that gets shorter. */
static void check_truncations(const char *to_open, const char *file)
{
    const eh_buf whole = read_all(file);
    eh_weights *w = NULL;
    CHECK_OK(eh_weights_open(to_open, &w, &err));
    eh_weights_close(w);
    for (int64_t part = 0; part < 64; part++) {
        w = NULL;
        CHECK(truncate(file, whole.n * part / 64) == 0);
        const int rc = eh_weights_open(to_open, &w, &err);
        CHECK(rc == EH_EFORMAT || rc == EH_ENOSUP);
        check_clean(rc, w);
        const int fd = open(file, O_WRONLY);
        CHECK(fd >= 0 && write(fd, whole.p, (size_t)whole.n) == (ssize_t)whole.n && close(fd) == 0);
    }
    eh_free(whole.p);
}

TEST(gguf_files_cut_off_anywhere_are_refused)
{
    static const char *const names[] = {"llama-F32", "llama-Q4_1", "kmodel-Q4_K_M"};
    const char *dir = temp_dir();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char from[200];
        snprintf(from, sizeof from, "tests/golden/tiny/gguf/%s.gguf", names[i]);
        eh_buf b = read_all(repo_path(from));
        const char *path = save(dir, "m.gguf", &b);
        check_truncations(path, path);
    }
}

static const char *copy_folder(const char *from, const char *const *names)
{
    const char *dir = temp_dir();
    for (; *names != NULL; names++) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", from, *names);
        eh_buf b = read_all(repo_path(path));
        save(dir, *names, &b);
    }
    return dir;
}

static const char *const one_file[] = {"config.json", "generation_config.json", "model.safetensors", NULL};
static const char *const shards[] = {"config.json",
                                     "model-00001-of-00003.safetensors",
                                     "model-00002-of-00003.safetensors",
                                     "model-00003-of-00003.safetensors",
                                     "model.safetensors.index.json",
                                     NULL};

TEST(safetensors_files_cut_off_anywhere_are_refused)
{
    char path[400];
    const char *dir = copy_folder("tests/golden/tiny/llama", one_file);
    for (int i = 0; i < 3; i += 2) {
        snprintf(path, sizeof path, "%s/%s", dir, one_file[i]);
        check_truncations(dir, path);
    }
    dir = copy_folder("tests/golden/tiny/llama-untied-scaled", shards);
    for (int i = 1; i < 5; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, shards[i]);
        check_truncations(dir, path);
    }
}

/* ---- Bytes changed ------------------------------------------------------------------------- */

/* Changes one byte at a time, up to about `n_try` of the first n bytes: each in two ways. */
static void check_flips(const char *to_open, const char *file, int64_t n, int64_t n_try)
{
    const eh_buf whole = read_all(file);
    const int fd = open(file, O_WRONLY);
    const int64_t step = n > n_try ? n / n_try : 1;
    int64_t n_refused = 0;
    CHECK(fd >= 0);
    for (int64_t at = 0; at < n && at < whole.n; at += step)
        for (int way = 0; way < 2; way++) {
            const char changed = (char)(whole.p[at] ^ (way == 0 ? 0xff : 1 << (at / step % 8)));
            eh_weights *w = NULL;
            CHECK(pwrite(fd, &changed, 1, at) == 1);
            const int rc = eh_weights_open(to_open, &w, &err);
            check_clean(rc, w);
            if (rc == EH_OK)
                touch(w);
            n_refused += rc != EH_OK;
            eh_weights_close(w);
            CHECK(pwrite(fd, &whole.p[at], 1, at) == 1);
        }
    CHECK(n_refused > 0);
    close(fd);
    eh_free(whole.p);
}

TEST(gguf_headers_with_a_changed_byte_never_crash)
{
    eh_buf b = read_all(repo_path("tests/golden/tiny/gguf/llama-Q4_0.gguf"));
    const char *path = save(temp_dir(), "m.gguf", &b);
    check_flips(path, path, 700, 700);      /* the first metadata, byte by byte */
    check_flips(path, path, 24000, 1500);   /* all of the header, and into the data */
}

TEST(the_tensor_table_with_a_changed_byte_never_crashes)
{
    eh_buf b = {0};
    gguf_start(&b, 3, 3, 3);
    gguf_u32(&b, "general.alignment", 32);
    gguf_array(&b, "s", EH_GGUF_STRING, 2), gguf_string(&b, "ab"), gguf_string(&b, "c");
    gguf_array(&b, "i", EH_GGUF_I32, 2), put_u64(&b, 7);
    gguf_tensor(&b, "q", 2, (uint64_t[]){256, 2}, 14, 0);
    gguf_tensor(&b, "n", 1, (uint64_t[]){16}, 0, 448);
    gguf_tensor(&b, "k", 3, (uint64_t[]){32, 1, 2}, 8, 512);
    const int64_t header = b.n;
    gguf_data(&b, 32, 600);
    const char *path = save(temp_dir(), "m.gguf", &b);
    check_flips(path, path, header, header);
}

TEST(safetensors_headers_with_a_changed_byte_never_crash)
{
    char path[400];
    const char *dir = copy_folder("tests/golden/tiny/llama", one_file);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    check_flips(dir, path, 2100, 2100);

    dir = copy_folder("tests/golden/tiny/llama-untied-scaled", shards);
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", dir);
    check_flips(dir, path, 2500, 600);
}

/* ---- Memory that runs out ------------------------------------------------------------------ */

static void check_starved(const char *to_open, int64_t at_least)
{
    int64_t k = 0;
    for (int rc = EH_ENOMEM; rc != EH_OK;) {
        eh_weights *w = NULL;
        eh_mem_fail_after(++k);
        rc = eh_weights_open(to_open, &w, &err);
        eh_mem_fail_after(0);
        if (rc == EH_OK) {
            touch(w);
        } else {
            CHECK_FAILS(rc, EH_ENOMEM, "memory");
            CHECK(w == NULL);
        }
        eh_weights_close(w);
    }
    CHECK(k > at_least); /* the last k is the one that failed nothing */
}

TEST(every_allocation_may_fail)
{
    check_starved(repo_path("tests/golden/tiny/llama"), 100);
    check_starved(repo_path("tests/golden/tiny/llama-untied-scaled"), 100);
    check_starved(repo_path("tests/golden/tiny/gguf/llama-Q4_0.gguf"), 2);
}

/* So much of everything that each table and many a name needs memory of its own. */
TEST(every_allocation_may_fail_for_large_tables)
{
    enum { N = 3000 };
    char name[20];
    eh_buf b = {0};
    gguf_start(&b, 3, N, N + 1);
    gguf_array(&b, "strings", EH_GGUF_STRING, 40000);
    put_zeros(&b, 8 * 40000);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "k.%d", i);
        gguf_u32(&b, name, 0);
    }
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "t.%d", i);
        gguf_tensor(&b, name, 1, (uint64_t[]){1}, 0, 32 * (uint64_t)i);
    }
    gguf_data(&b, 32, 32 * N);
    check_starved(save(temp_dir(), "m.gguf", &b), 6);
}

/* The same where an error is being reported. */
TEST(every_allocation_may_fail_while_a_file_is_refused)
{
    const char *dir = temp_dir();
    save_text(dir, "config.json", "{}");
    save_text(dir, "pytorch_model.bin", "");
    int64_t k = 0;
    for (int rc = EH_ENOMEM; rc == EH_ENOMEM;) {
        eh_weights *w = NULL;
        eh_mem_fail_after(++k);
        rc = eh_weights_open(dir, &w, &err);
        eh_mem_fail_after(0);
        CHECK(rc == EH_ENOMEM || rc == EH_ENOSUP);
        CHECK(w == NULL);
    }
    CHECK(k > 5);
}
