/* The model endpoints without a request (aigw_job.h). */
#include "aigw_job.h"
#include "asked.h"
#include "location.h"
#include "stream.h"

#include <apr_strings.h>

static const aigw_form_t *const forms[] = {&aigw_form_chat_completions, &aigw_form_chat, &aigw_form_generate_v1, &aigw_form_generate_v2};

#define FORMS (sizeof forms / sizeof *forms)

/* "/v1/chat, /v1/chat/completions": for the message. */
static const char *all_endpoints(apr_pool_t *p)
{
    const char *text = forms[0]->endpoint;
    apr_size_t i;

    for (i = 1; i < FORMS; i++) {
        text = apr_pstrcat(p, text, i + 1 < FORMS ? ", " : " or ", forms[i]->endpoint, NULL);
    }
    return text;
}

static const aigw_error_t *find_form(apr_pool_t *p, const char *endpoint, const aigw_form_t **form)
{
    apr_size_t i;

    for (i = 0; i < FORMS; i++) {
        if (!strcmp(endpoint, forms[i]->endpoint)) {
            *form = forms[i];
            return NULL;
        }
    }
    return aigw_intake_invalid(p, "endpoint", "endpoint must be one of %s.", all_endpoints(p));
}

/* The field as who made the job knows it. */
static const aigw_error_t *with_prefix(apr_pool_t *p, const aigw_error_t *error, const char *prefix)
{
    aigw_error_t *copy;

    if (!error || !error->param || !*prefix) {
        return error;
    }
    copy = apr_pmemdup(p, error, sizeof *copy);
    copy->param = apr_pstrcat(p, prefix, error->param, NULL);
    return copy;
}

static const aigw_error_t *aigw_job_check(server_rec *s, apr_pool_t *p, const char *endpoint, const char *body, apr_size_t len,
                                          const char *prefix, const aigw_model_t **model)
{
    const aigw_form_t *form;
    const aigw_error_t *error = find_form(p, endpoint, &form);
    aigw_asked_t asked;
    aigw_intake_t in;

    if (error) {
        return error;
    }
    error = aigw_intake_take(&in, s, p, body, len);
    if (!error && !(error = form->understand(&in, &asked))) {
        *model = asked.model;
        json_decref(asked.messages);
    }
    return with_prefix(p, error, prefix);
}

static const aigw_error_t *aigw_job_make(server_rec *s, const aigw_request_t *context, apr_pool_t *p, const char *endpoint,
                                         const char *body, apr_size_t len, aigw_job_done_fn done, void *baton, aigw_call_t **call,
                                         aigw_sink_t **sink)
{
    const aigw_model_t *model;
    const aigw_form_t *form;
    const aigw_error_t *error = aigw_job_check(s, p, endpoint, body, len, "", &model);
    aigw_intake_t *in;
    aigw_asked_t *asked;
    aigw_answer_t *answer;

    if (error) {
        return error;
    }
    find_form(p, endpoint, &form);
    if (!(*call = aigw_stream_core->call_make_detached(s, context, model))) {
        return aigw_stream_core->error_make(p, HTTP_INTERNAL_SERVER_ERROR, "internal_error", NULL, "The gateway is out of memory.");
    }
    /* once more, now in the call's pool: it understood it a moment ago */
    in = apr_palloc((*call)->pool, sizeof *in);
    asked = apr_palloc((*call)->pool, sizeof *asked);
    error = aigw_intake_take(in, s, (*call)->pool, apr_pmemdup((*call)->pool, body, len), len);
    if (error || (error = form->understand(in, asked))) {
        error = aigw_stream_core->error_make(p, error->status, error->code, error->param, "%s", error->message);
        apr_pool_destroy((*call)->pool);
        return error;
    }
    aigw_asked_fill(*call, asked);
    (*call)->piecewise = 1;
    (*call)->want_usage = 1;
    answer = form->answer(*call, asked);
    answer->done = done;
    answer->done_baton = baton;
    *sink = &answer->sink;
    return NULL;
}

static const char *aigw_endpoint_tail(request_rec *r)
{
    return aigw_location_tail(r);
}

static int aigw_endpoint_here(request_rec *r)
{
    return aigw_location_is_endpoint(r);
}

static void aigw_job_progress(const aigw_sink_t *sink, apr_int64_t *pieces, double *progress)
{
    const aigw_answer_t *answer = sink->baton;

    *pieces = answer->pieces;
    *progress = answer->progress;
}

void aigw_job_register(void)
{
    APR_REGISTER_OPTIONAL_FN(aigw_endpoint_tail);
    APR_REGISTER_OPTIONAL_FN(aigw_endpoint_here);
    APR_REGISTER_OPTIONAL_FN(aigw_job_progress);
    APR_REGISTER_OPTIONAL_FN(aigw_job_check);
    APR_REGISTER_OPTIONAL_FN(aigw_job_make);
}
