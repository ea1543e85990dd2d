/* Which continuation does a model find likelier?
 *
 *     cc score.c $(pkg-config --cflags --libs evenhand) -o score
 *     ./score MODEL "The nurse said that" " she" " he"
 */
#include <evenhand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Prints log p(continuation | context), in nats. */
static int score(eh_session *s, const char *context, const char *continuation, eh_err *err)
{
    eh_request request = {0};
    eh_answer answer = {0};
    int32_t *id;
    int rc = eh_encode_pair(eh_session_model(s), context, (int64_t)strlen(context), continuation,
                            (int64_t)strlen(continuation), &id, &request.n_tok, &request.from, err);
    if (rc < 0)
        return rc;
    request.tok = id;
    answer.token_logprob = malloc((size_t)request.n_tok * sizeof(float));
    if (answer.token_logprob == NULL) {
        perror("score");
        exit(1);
    }
    rc = eh_score(s, &request, 1, &answer, err);
    if (rc == EH_OK) {
        double sum = 0.0;
        for (int64_t i = 0; i < request.n_tok - request.from; i++)
            sum += (double)answer.token_logprob[i];
        printf("%10.6f %s%s\n", sum, context, continuation);
    }
    free(answer.token_logprob);
    eh_release(id);
    return rc;
}

int main(int argc, char **argv)
{
    eh_model *m = NULL;
    eh_session *s = NULL;
    eh_err err;
    if (argc < 4) {
        fprintf(stderr, "usage: score MODEL CONTEXT CONTINUATION...\n");
        return 2;
    }
    int rc = eh_model_open(argv[1], &m, &err);
    if (rc == EH_OK)
        rc = eh_session_open(m, NULL, &s, &err);
    for (int i = 3; i < argc && rc == EH_OK; i++)
        rc = score(s, argv[2], argv[i], &err);
    if (rc < 0)
        fprintf(stderr, "%s\n", err.text);
    eh_session_close(s);
    eh_model_close(m);
    return rc < 0;
}
