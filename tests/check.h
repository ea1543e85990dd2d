/*
 * Tests that read as claims, run by cmocka.
 *
 *     TEST(mean_of_one_is_itself)
 *     {
 *         CHECK_NEAR(mean(&x, 1), x, 0.0);
 *     }
 *
 * Every TEST of the file is run by the main() in check.c, in the order of the file, or with
 * CHECK_ORDER=reverse in the environment from the last to the first: no test may need another one
 * before it. CHECK_ONLY=name runs one alone. A test whose
 * data are not there calls SKIP("why") and counts as skipped, never as passed; a program all of
 * whose tests were skipped exits with 77, which CTest reports as skipped.
 */
#ifndef EH_CHECK_H
#define EH_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

void check_register(const char *name, void (*body)(void));

#define TEST(name) \
    static void name(void); \
    __attribute__((constructor)) static void register_##name(void) { check_register(#name, name); } \
    static void name(void)

#define CHECK(what) _assert_true((what) ? 1u : 0u, #what, __FILE__, __LINE__)
#define CHECK_INT(got, want) check_int((int64_t)(got), (int64_t)(want), #got, __FILE__, __LINE__)
#define CHECK_STR(got, want) check_str((got), (want), #got, __FILE__, __LINE__)
/* |got - want| <= tolerance; NaN fails. */
#define CHECK_NEAR(got, want, tolerance) check_near((got), (want), (tolerance), #got, __FILE__, __LINE__)
/* The call returned EH_OK; prints its error sentence otherwise. `err` must be an eh_err in scope. */
#define CHECK_OK(call) check_ok((call), err.text, #call, __FILE__, __LINE__)
/* The call returned this code, and the sentence in `err` holds the words. */
#define CHECK_FAILS(call, want, words) check_fails((call), (want), err.text, (words), #call, __FILE__, __LINE__)
#define SKIP(why) check_skip(why)

void check_int(int64_t got, int64_t want, const char *what, const char *file, int line);
void check_str(const char *got, const char *want, const char *what, const char *file, int line);
void check_near(double got, double want, double tolerance, const char *what, const char *file, int line);
void check_ok(int code, const char *text, const char *what, const char *file, int line);
void check_fails(int code, int want, const char *text, const char *words, const char *what, const char *file,
                 int line);
void check_skip(const char *why);

/* The largest |got - want| over n numbers with its place; every norm in one line on failure. */
void check_floats(const float *got, const float *want, int64_t n, double tolerance, const char *what);

/* "<repo>/<path>"; the result lives until the next call but seven. */
const char *repo_path(const char *path);
/* A path in ../shared (or $EVENHAND_SHARED), or NULL where that folder is not there. */
const char *shared_path(const char *path);
/* A fresh folder under the system's temporary folder, removed at exit. */
const char *temp_dir(void);
/* $EVENHAND_SMOLLM2, or <repo>/models/SmolLM2-135M-Instruct.Q4_1.gguf (put there by ./bootstrap); NULL if absent. */
const char *smollm2_path(void);

#endif
