/* evenhand compare: which tensors, heads and neurons of two models differ, and by how much. */
#include <math.h>
#include <string.h>

#include "command.h"
#include "stream.h"

typedef struct args {
    const char *a, *b;
    int64_t top;
    bool json;
} args;

static void add_number(cli_table *t, const char *format, double x)
{
    char text[60] = "-";
    if (!isnan(x))
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof text, format, x);
#pragma GCC diagnostic pop
    cli_table_add(t, text);
}

static void put_tensors(const eh_comparison *c)
{
    static const char *const heading[] = {"tensor", "unequal", "of", "largest", "relative", "equal bytes"};
    cli_table t = {.align = "lrrrrr"};
    for (int i = 0; i < 6; i++)
        cli_table_add(&t, heading[i]);
    for (int64_t i = 0; i < c->n_tensor; i++) {
        const eh_tensor_difference *d = &c->tensor[i];
        if (d->n_differ == 0)
            continue;
        cli_table_add(&t, d->name);
        cli_table_add(&t, cli_count(d->n_differ));
        cli_table_add(&t, cli_count(d->n));
        add_number(&t, "%.3g", d->max_abs);
        add_number(&t, "%.3g", d->relative);
        add_number(&t, "%.2f %%", 100 * d->equal_bytes);
    }
    cli_table_print(&t, true, stdout);
    cli_table_clear(&t);
}

static void put_units(const eh_comparison *c, int64_t top)
{
    static const char *const heading[] = {"unit", "layer", "index", "largest", "relative"};
    cli_table t = {.align = "lrrrr"};
    for (int i = 0; i < 5; i++)
        cli_table_add(&t, heading[i]);
    for (int64_t i = 0; i < c->n_unit && i < top; i++) {
        cli_table_add(&t, c->unit[i].neuron ? "neuron" : "head");
        cli_table_add(&t, cli_count(c->unit[i].layer));
        cli_table_add(&t, cli_count(c->unit[i].index));
        add_number(&t, "%.3g", c->unit[i].max_abs);
        add_number(&t, "%.3g", c->unit[i].relative);
    }
    cli_table_print(&t, true, stdout);
    cli_table_clear(&t);
    if (c->n_unit > top)
        printf("and %s units more; --top shows them\n", cli_count(c->n_unit - top));
}

static void put_readable(const eh_comparison *c, int64_t top)
{
    if (c->n_tensor_differ == 0) {
        printf("no number differs in %s tensors\n", cli_count(c->n_tensor));
        return;
    }
    put_tensors(c);
    printf("\n%s of %s tensors differ; largest difference %.3g, relative %.3g", cli_count(c->n_tensor_differ),
           cli_count(c->n_tensor), c->max_abs, c->relative);
    if (!isnan(c->equal_bytes))
        printf("; %.2f %% of the bytes are equal", 100 * c->equal_bytes);
    printf("\n\n");
    if (c->n_unit > 0)
        put_units(c, top);
}

static json_t *real_or_null(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static void put_json(const eh_comparison *c)
{
    json_t *tensors = json_array(), *units = json_array();
    for (int64_t i = 0; i < c->n_tensor; i++) {
        const eh_tensor_difference *d = &c->tensor[i];
        json_array_append_new(tensors, json_pack("{s:s, s:I, s:I, s:I, s:o, s:o, s:o}", "name", d->name, "layer",
                                                 (json_int_t)d->layer, "n", (json_int_t)d->n, "unequal",
                                                 (json_int_t)d->n_differ, "max_abs", real_or_null(d->max_abs),
                                                 "relative", real_or_null(d->relative), "equal_bytes",
                                                 real_or_null(d->equal_bytes)));
    }
    for (int64_t i = 0; i < c->n_unit; i++) {
        const eh_unit_difference *u = &c->unit[i];
        json_array_append_new(units, json_pack("{s:s, s:I, s:I, s:o, s:o}", "kind", u->neuron ? "neuron" : "head",
                                               "layer", (json_int_t)u->layer, "index", (json_int_t)u->index, "max_abs",
                                               real_or_null(u->max_abs), "relative", real_or_null(u->relative)));
    }
    json_t *out = json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "n_tensor", (json_int_t)c->n_tensor,
                            "n_tensor_differ", (json_int_t)c->n_tensor_differ, "max_abs", real_or_null(c->max_abs),
                            "relative", real_or_null(c->relative), "equal_bytes", real_or_null(c->equal_bytes),
                            "tensors", tensors, "units", units);
    cli_put_json(stdout, out);
    fputc('\n', stdout);
    json_decref(out);
}

static int run(const void *given)
{
    const args *a = given;
    cli_opened first = {0}, second = {0};
    eh_comparison c = {0};
    eh_err err;
    int status = cli_open_files(a->a, &first);
    if (status == CLI_DONE)
        status = cli_open_files(a->b, &second);
    if (status == CLI_DONE && eh_compare(first.s, second.s, &c, &err) < 0)
        status = cli_fail_with(&err);
    if (status == CLI_DONE && a->json)
        put_json(&c);
    else if (status == CLI_DONE)
        put_readable(&c, a->top);
    eh_comparison_clear(&c);
    cli_close(&first);
    cli_close(&second);
    return status;
}

static void init(void *given)
{
    args *a = given;
    a->top = 20;
}

static const cli_option options[] = {
    {.name = "A", .kind = CLI_FILE, .operand = true, .required = true, .at = offsetof(args, a),
     .help = "a model folder or a GGUF file"},
    {.name = "B", .kind = CLI_FILE, .operand = true, .required = true, .at = offsetof(args, b),
     .help = "another of the same shape, in whatever format"},
    {.name = "top", .kind = CLI_COUNT, .value = "N", .high = 1ll << 40, .at = offsetof(args, top),
     .help = "how many heads and neurons to list, those that differ most first"},
    {.name = "json", .kind = CLI_FLAG, .at = offsetof(args, json),
     .help = "one JSON object, with every tensor and every unit that differs"},
    {.name = NULL},
};

const cli_command cli_compare = {
    .name = "compare",
    .what = "which tensors, heads and neurons of two models differ, and by how much",
    .about = "Reads two models number by number and shows the tensors that differ: how many numbers, the largest "
             "difference, the Frobenius norm of the difference over that of A, and the share of equal bytes where "
             "both are stored in one type. Then the heads (rows of Q, columns of the output projection) and neurons "
             "(rows of gate and up, columns of down) that differ, most first.",
    .option = options,
    .size = sizeof(args),
    .init = init,
    .run = run,
};
