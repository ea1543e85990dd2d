#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct CMUnitTest tests[500];
static void (*bodies[500])(void);
static int n_test;
static int n_skip;

static const char *running = "?"; /* the name of the test that is */

static void run_body(void **state)
{
    for (int i = 0; i < n_test; i++)
        if (tests[i].initial_state == *state)
            running = tests[i].name;
    (*(void (**)(void))*state)();
}

void check_register(const char *name, void (*body)(void))
{
    if (n_test == 500) {
        fprintf(stderr, "check: more than 500 tests in one file\n");
        abort();
    }
    bodies[n_test] = body;
    tests[n_test] = (struct CMUnitTest){.name = name, .test_func = run_body, .initial_state = &bodies[n_test]};
    n_test++;
}

/* The order of the file is no part of what a test says: with CHECK_ORDER=reverse it is turned round. */
static void turn_round(void)
{
    for (int i = 0, k = n_test - 1; i < k; i++, k--) {
        const struct CMUnitTest t = tests[i];
        tests[i] = tests[k];
        tests[k] = t;
    }
}

/* Leaves only the test of this name; false when there is none. */
static bool choose(const char *name)
{
    for (int i = 0; i < n_test; i++)
        if (strcmp(tests[i].name, name) == 0) {
            tests[0] = tests[i];
            n_test = 1;
            return true;
        }
    return false;
}

int main(void)
{
    const char *order = getenv("CHECK_ORDER"), *only = getenv("CHECK_ONLY");
    if (order != NULL && strcmp(order, "reverse") == 0)
        turn_round();
    if (only != NULL && only[0] != '\0' && !choose(only)) {
        fprintf(stderr, "check: no test is named %s\n", only);
        return 2;
    }
    const int failed = _cmocka_run_group_tests("", tests, (size_t)n_test, NULL, NULL);
    return failed > 0 ? 1 : n_skip == n_test ? 77 : 0;
}

void check_int(int64_t got, int64_t want, const char *what, const char *file, int line)
{
    if (got != want) {
        print_error("%s is %lld, wanted %lld\n", what, (long long)got, (long long)want);
        _fail(file, line);
    }
}

void check_str(const char *got, const char *want, const char *what, const char *file, int line)
{
    if (got == NULL || strcmp(got, want) != 0) {
        print_error("%s is \"%s\", wanted \"%s\"\n", what, got == NULL ? "(null)" : got, want);
        _fail(file, line);
    }
}

void check_near(double got, double want, double tolerance, const char *what, const char *file, int line)
{
    if (!(fabs(got - want) <= tolerance)) {
        print_error("%s is %.17g, wanted %.17g within %g (off by %g)\n", what, got, want, tolerance,
                    fabs(got - want));
        _fail(file, line);
    }
}

void check_ok(int code, const char *text, const char *what, const char *file, int line)
{
    if (code < 0) {
        print_error("%s gave %d: %s\n", what, code, text);
        _fail(file, line);
    }
}

void check_fails(int code, int want, const char *text, const char *words, const char *what, const char *file,
                 int line)
{
    if (code != want || strstr(text, words) == NULL) {
        print_error("%s gave %d \"%s\", wanted %d with \"%s\"\n", what, code, text, want, words);
        _fail(file, line);
    }
}

void check_skip(const char *why)
{
    n_skip++;
    print_message("skipped: %s: %s\n", running, why); /* read by skips.sh */
    skip();
}

void check_floats(const float *got, const float *want, int64_t n, double tolerance, const char *what)
{
    double worst = -1, sum = 0, size = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)got[i] - (double)want[i]);
        sum += d;
        size = fmax(size, fabs((double)want[i]));
        if (!isnan(worst) && !(d <= worst)) { /* the first NaN stays the worst */
            worst = d;
            at = i;
        }
    }
    if (n > 0 && !(worst <= tolerance)) {
        print_error("%s: off by %g at %lld (got %.9g, wanted %.9g); allowed %g; mean %g, largest wanted %g\n", what,
                    worst, (long long)at, (double)got[at], (double)want[at], tolerance, sum / (double)n, size);
        fail();
    }
}

static const char *keep(const char *dir, const char *path)
{
    static char kept[8][4096];
    static int at;
    char *p = kept[at++ % 8];
    snprintf(p, sizeof kept[0], "%s/%s", dir, path);
    return p;
}

const char *repo_path(const char *path)
{
    return keep(EH_REPO, path);
}

const char *shared_path(const char *path)
{
    const char *dir = getenv("EVENHAND_SHARED");
    const char *p = keep(dir != NULL ? dir : EH_REPO "/../shared", path);
    return access(p, R_OK) == 0 ? p : NULL;
}

const char *smollm2_path(void)
{
    const char *given = getenv("EVENHAND_SMOLLM2");
    const char *p = given != NULL ? given : repo_path("models/SmolLM2-135M-Instruct.Q4_1.gguf");
    return access(p, R_OK) == 0 ? p : NULL;
}

static char temps[32][64];
static int n_temp;

static void remove_temps(void)
{
    for (int i = 0; i < n_temp; i++) {
        char command[2100];
        snprintf(command, sizeof command, "rm -rf '%s'", temps[i]);
        if (system(command) != 0)
            fprintf(stderr, "check: could not remove %s\n", temps[i]);
    }
}

const char *temp_dir(void)
{
    if (n_temp == 0)
        atexit(remove_temps);
    if (n_temp == (int)(sizeof temps / sizeof *temps))
        abort();
    char *p = temps[n_temp];
    strcpy(p, "/tmp/evenhand-test-XXXXXX");
    if (mkdtemp(p) == NULL)
        abort();
    n_temp++;
    return p;
}
