/*
 * A model and a session on it, opened and closed together: what most tests want.
 *
 *     eh_session *s;
 *     CHECK_OK(session_open(tiny_llama, NULL, &s, &err));
 *     session_close(s);
 */
#ifndef EH_TESTS_SESSION_H
#define EH_TESTS_SESSION_H

#include "model/session.h"

/* The defaults, but for the product (NULL: the best there is) and the threads (EH_ALL: all cores). */
static inline eh_session_options session_options(const char *product, int64_t threads)
{
    eh_session_options o;
    eh_session_options_init(&o, sizeof o);
    o.product = product;
    o.threads = threads;
    return o;
}

static inline int session_open(const char *path, const eh_session_options *options, eh_session **s, eh_err *err)
{
    eh_model *m;
    const int rc = eh_model_open(path, &m, err);
    if (rc < 0)
        return rc;
    const int failed = eh_session_open(m, options, s, err);
    if (failed < 0)
        eh_model_close(m);
    return failed;
}

/* NULL is fine. */
static inline void session_close(eh_session *s)
{
    eh_model *m = s != NULL ? (eh_model *)(uintptr_t)s->m : NULL;
    eh_session_close(s);
    eh_model_close(m);
}

#endif
