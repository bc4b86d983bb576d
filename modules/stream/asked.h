/* What an endpoint was asked, before there is a call: by a request, or by a job.
 */
#ifndef AIGW_STREAM_ASKED_H
#define AIGW_STREAM_ASKED_H

#include "aigw_chat.h"
#include "aigw_fields.h"
#include "answer.h"
#include "intake.h"

/* All of it in the intake's pool. */
typedef struct aigw_asked_t {
    const aigw_model_t *model;
    const aigw_intake_t *in; /* whose body goes to the provider as it is; NULL: messages */
    const aigw_chat_t *chat; /* what it says */
    json_t *messages;        /* a reference; NULL where in is set */
    apr_int64_t max_tokens;  /* -1: not said */
    double temperature;      /* NaN: not said */
    int choices;
    aigw_value_t values[AIGW_ASK_FIELDS]; /* of the simple endpoints */
} aigw_asked_t;

/* What several endpoints have in common but their addresses: the question's form, and the one JSON answer's. */
typedef struct aigw_form_t {
    const char *endpoint; /* the path that jobs name it by */
    /* NULL, or the error, in in->pool. asked->messages is then NULL. */
    const aigw_error_t *(*understand)(aigw_intake_t *in, aigw_asked_t *asked);
    aigw_answer_t *(*answer)(aigw_call_t *call, const aigw_asked_t *asked);
} aigw_form_t;

extern const aigw_form_t aigw_form_chat_completions, aigw_form_chat, aigw_form_generate_v1, aigw_form_generate_v2;

/* A model and a prompt, by a table of fields. */
const aigw_error_t *aigw_asked_simple(aigw_intake_t *in, const aigw_field_t *fields, int n, aigw_asked_t *asked);

/* Into a call that has just been made. The messages' reference is the call's then. */
void aigw_asked_fill(aigw_call_t *call, const aigw_asked_t *asked);

/* Registers the optional functions of aigw_job.h. */
void aigw_job_register(void);

#endif
