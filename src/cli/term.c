#include "term.h"

#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static bool bar_shown;

/* ---- Talk ----------------------------------------------------------------------------------- */

int cli_fail(int status, const char *format, ...)
{
    va_list args;
    cli_progress_end();
    cli_put_coloured(stderr, CLI_RED, "evenhand:");
    fputc(' ', stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return status;
}

int cli_fail_with(const eh_err *err)
{
    return cli_fail(err->code == EH_ENOFIT ? CLI_NOFIT : err->code == EH_ESTOP ? CLI_INTERRUPTED : CLI_FAILED, "%s",
                    err->text);
}

void cli_say(const char *format, ...)
{
    va_list args;
    cli_progress_end();
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

bool cli_colours(FILE *stream)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return (no == NULL || *no == '\0') && term != NULL && strcmp(term, "dumb") != 0 && isatty(fileno(stream));
}

void cli_put_coloured(FILE *stream, const char *colour, const char *text)
{
    if (cli_colours(stream))
        fprintf(stream, "\033[%sm%s\033[0m", colour, text);
    else
        fputs(text, stream);
}

/* ---- Memory --------------------------------------------------------------------------------- */

static char in_the_making[PATH_MAX];

void cli_making(const char *path)
{
    snprintf(in_the_making, sizeof in_the_making, "%s", path != NULL ? path : "");
}

static void abandon(void)
{
    if (in_the_making[0] != '\0')
        unlink(in_the_making);
}

static _Noreturn void out_of_memory(void)
{
    abandon();
    exit(cli_fail(CLI_FAILED, "out of memory"));
}

void *cli_new(int64_t n, int64_t size)
{
    void *p = calloc((size_t)(n > 0 ? n : 1), (size_t)size);
    if (p == NULL)
        out_of_memory();
    return p;
}

void *cli_resize(void *p, int64_t n, int64_t size)
{
    if (n > INT64_MAX / size)
        out_of_memory();
    void *q = realloc(p, (size_t)(n > 0 ? n * size : 1));
    if (q == NULL)
        out_of_memory();
    return q;
}

char *cli_printf(const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, format, args);
    char *text = cli_new(n + 1, 1);
    vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    va_end(args);
    return text;
}

/* ---- Numbers for people ----------------------------------------------------------------------- */

double cli_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static char *scratch(void)
{
    static char text[8][32];
    static unsigned next;
    return text[next++ % 8];
}

const char *cli_count(int64_t n)
{
    char digits[24], *out = scratch();
    const int len = snprintf(digits, sizeof digits, "%lld", (long long)n);
    int at = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0 && digits[i - 1] != '-')
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

const char *cli_bytes(int64_t n)
{
    static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
    char *out = scratch();
    double x = (double)n;
    int i = 0;
    for (; x >= 1024 && i < 5; i++)
        x /= 1024;
    snprintf(out, 32, "%.*f %s", i > 0 && x < 10 ? 1 : 0, x, unit[i]);
    return out;
}

const char *cli_duration(double seconds)
{
    char *out = scratch();
    const long long s = seconds > 0 ? (long long)(seconds + 0.5) : 0;
    if (s >= 3600)
        snprintf(out, 32, "%lld h %02lld min", s / 3600, s / 60 % 60);
    else
        snprintf(out, 32, "%lld:%02lld", s / 60, s % 60);
    return out;
}

/* ---- Progress ----------------------------------------------------------------------------- */

/* Resident memory that is not mapped from files: weights come and go as the system likes. */
static int64_t own_memory(void)
{
    long long size, resident, shared;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL)
        return 0;
    const int n = fscanf(f, "%lld %lld %lld", &size, &resident, &shared);
    fclose(f);
    return n == 3 ? (resident - shared) * (int64_t)sysconf(_SC_PAGESIZE) : 0;
}

static int width_of(FILE *stream)
{
    struct winsize size;
    return ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

void cli_progress_show(cli_progress *p, const char *stage, int64_t done, int64_t total)
{
    const bool terminal = isatty(STDERR_FILENO);
    const double now = cli_seconds(), every = terminal ? 0.1 : 30;

    if (p->start <= 0 || strcmp(p->stage, stage) != 0) {
        snprintf(p->stage, sizeof p->stage, "%s", stage);
        p->start = now;
        p->first = done;
        p->shown = terminal ? 0 : now;
    }
    if (now - p->shown < every)
        return;
    p->shown = now;

    const double rate = now > p->start ? (double)(done - p->first) / (now - p->start) : 0;
    char counts[160], left[80] = "";
    if (total > 0)
        snprintf(counts, sizeof counts, "%s of %s %s", cli_count(done), cli_count(total), p->unit);
    else
        snprintf(counts, sizeof counts, "%s %s", cli_count(done), p->unit);
    if (total > 0 && rate > 0)
        snprintf(left, sizeof left, ", %s left", cli_duration((double)(total - done) / rate));

    char line[400];
    const int n = snprintf(line, sizeof line, "%s: %s, %.3g/s%s, %s", p->stage, counts, rate, left,
                           cli_bytes(own_memory()));
    if (!terminal) {
        fprintf(stderr, "%s\n", line);
        return;
    }
    char bar[32] = "";
    const int room = width_of(stderr) - 1;
    if (total > 0 && n + 24 <= room) {
        memcpy(bar, "  [....................]", 25);
        for (int i = 0; i < 20 && (double)i < 20.0 * (double)done / (double)total; i++)
            bar[3 + i] = '#';
    }
    fprintf(stderr, "\r\033[K%.*s%s", room, line, bar);
    fflush(stderr);
    bar_shown = true;
}

void cli_progress_end(void)
{
    if (bar_shown)
        fputs("\r\033[K", stderr);
    bar_shown = false;
}

/* ---- Tables --------------------------------------------------------------------------------- */

void cli_table_add(cli_table *t, const char *text)
{
    if (t->n == t->room) {
        t->room = t->room < 64 ? 64 : t->room * 2;
        t->cell = cli_resize(t->cell, t->room, (int64_t)sizeof *t->cell);
    }
    t->cell[t->n++] = cli_printf("%s", text);
}

/* Characters, not bytes: category names may have accents. */
static int width(const char *text)
{
    int n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

void cli_table_print(const cli_table *t, bool heading, FILE *stream)
{
    const int64_t columns = (int64_t)strlen(t->align);
    for (int64_t i = 0; i < t->n; i++) {
        const int64_t column = i % columns;
        int widest = 0;
        for (int64_t k = column; k < t->n; k += columns)
            if (width(t->cell[k]) > widest)
                widest = width(t->cell[k]);
        const int pad = widest - width(t->cell[i]);
        const bool last = column == columns - 1, right = t->align[column] == 'r';

        fprintf(stream, "%*s", (column > 0 ? 2 : 0) + (right ? pad : 0), "");
        if (heading && i < columns)
            cli_put_coloured(stream, CLI_BOLD, t->cell[i]);
        else
            fputs(t->cell[i], stream);
        fprintf(stream, "%*s", right || last ? 0 : pad, "");
        if (last)
            fputc('\n', stream);
    }
}

void cli_table_clear(cli_table *t)
{
    for (int64_t i = 0; i < t->n; i++)
        free(t->cell[i]);
    free(t->cell);
    *t = (cli_table){.align = t->align};
}

/* ---- Ctrl+C --------------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupts;

static void on_signal(int signal_number)
{
    static const char ask[] = "\nFinishing the block in hand; once more stops at once.\n";
    (void)signal_number;
    if (++interrupts > 1) {
        abandon();
        _exit(CLI_INTERRUPTED);
    }
    /* Nothing can be done when even this cannot be written. */
    if (write(STDERR_FILENO, ask, sizeof ask - 1) < 0)
        return;
}

void cli_interrupt_catch(void)
{
    struct sigaction act;
    memset(&act, 0, sizeof act);
    act.sa_handler = on_signal;
    act.sa_flags = SA_RESTART;
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
}

bool cli_interrupted(void)
{
    return interrupts > 0;
}
