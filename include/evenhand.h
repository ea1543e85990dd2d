/*
 * evenhand - find where a language model's social bias lives, turn it down, prove what that did
 *
 *     eh_err err;
 *     eh_model *m;
 *     eh_session *s;
 *     if (eh_model_open("SmolLM2.gguf", &m, &err) < 0 || eh_session_open(m, NULL, &s, &err) < 0)
 *         puts(err.text);
 *     ... eh_score(s, ...), eh_generate(s, ...), eh_audit_run(s, ...) ...
 *     eh_session_close(s);
 *     eh_model_close(m);
 *
 * Four bands: open and ask (core, model, text, score); run a study (study, edit, report); look inside (edits of single
 * units in edit.h, observers and attribution in score.h); nothing is experimental yet.
 */
#ifndef EVENHAND_H
#define EVENHAND_H

#include "evenhand/core.h"
#include "evenhand/model.h"
#include "evenhand/text.h"
#include "evenhand/score.h"
#include "evenhand/edit.h"
#include "evenhand/study.h"
#include "evenhand/report.h"

#endif
