/* Each allocation failing in turn while a report is written: a clean EH_ENOMEM, nothing half-made. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "check.h"

static char dir[400];

/* A record with something in every part, small: each allocation is tried. */
static const char record[] =
    "{\"version\":1,\"command\":\"a\\nb\",\"model\":{\"path\":\"m\",\"n_layer\":2,\"n_head\":2},\"splits\":{\"test\":{"
    "\"items\":3}},\"rows\":[{\"task\":\"probes\",\"category\":\"all\",\"score\":\"s_AMB\",\"better\":\"0\",\"kind\":"
    "\"bias\",\"targeted\":true,\"before\":{\"value\":0.3,\"low\":0.2,\"high\":0.4},\"after\":{\"value\":0.1,\"low\":0."
    "05,"
    "\"high\":0.2},\"difference\":{\"value\":-0.2,\"low\":-0.3,\"high\":-0.1,\"q\":0.01}},{\"task\":\"utility\","
    "\"category\":\"all\",\"score\":\"acc\",\"better\":\"higher\",\"kind\":\"utility\",\"before\":{\"value\":0.5},"
    "\"after\":{\"value\":0.5},\"difference\":{\"low\":-0.1,\"high\":0.1}}],\"position\":{\"before\":{\"effect\":0.2,"
    "\"places\":[0.5,0.5]}},\"locate\":{\"before\":[[1,2],[3,4]],\"after\":[[1,2],[3,4]],\"selected\":[{\"layer\":1,"
    "\"head\":1}],\"confirmation\":{\"top\":[1],\"random\":[0]}},\"layers\":{\"curves\":[{\"name\":\"c\",\"values\":[1,"
    "2]}]},"
    "\"search\":{\"points\":[{\"bias\":1,\"kl_median\":0.1,\"front\":true}]},\"controls\":{\"edit\":-1,\"draws\":[0]},"
    "\"tune\":{\"steps\":[{\"step\":1,\"loss\":2}]},\"text\":{\"perplexity\":{\"before\":10,\"after\":11}},\"notes\":["
    "\"n\"],"
    "\"scores\":[{\"task\":\"probes\",\"score\":\"s_AMB\",\"words\":\"bias\",\"unit\":\"u\\n\"}],"
    "\"citations\":[{\"used_for\":\"bias\",\"work\":\"A book.\"}],"
    "\"files\":[{\"name\":\"f\"}]}";

TEST(a_report_survives_no_memory)
{
    eh_err err = {0};
    char path[500];
    int64_t failed = 0;
    snprintf(dir, sizeof dir, "%s/run", temp_dir());
    snprintf(path, sizeof path, "%s/run.json", dir);
    CHECK_OK(eh_dir_make(dir, &err));
    CHECK_OK(eh_file_write(path, eh_str_of(record), &err));
    for (int64_t k = 1, rc = -1; rc < 0; k++) {
        eh_verdict v = {.n = 77};
        eh_mem_fail_after(k);
        rc = eh_report_write(dir, &v, &err);
        eh_mem_fail_after(0);
        if (rc == EH_OK) {
            CHECK(v.n > 0 && v.n < 77);
            eh_verdict_clear(&v);
            break;
        }
        if (rc != EH_ENOMEM || err.text[0] == '\0')
            print_error("allocation %lld: %lld \"%s\"\n", (long long)k, (long long)rc, err.text);
        CHECK_INT(rc, EH_ENOMEM);
        CHECK_INT(v.n, 77);
        failed++;
        CHECK(k < 100000);
    }
    print_message("%lld allocations failed in turn\n", (long long)failed);
    CHECK(failed > 100);
}
