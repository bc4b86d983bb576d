#include "aigw_task_body.h"
#include "aigw_fields.h"

#include <apr_strings.h>
#include <string.h>

/* The first fields of both forms are the same. */
enum { PRIORITY, TTL, CALLBACK, ENDPOINT, BODY, LONG_FIELDS, PROMPT = CALLBACK + 1, MODEL, STEPS, SHORT_FIELDS };

static const aigw_field_t long_form[LONG_FIELDS] = {
    {"priority", AIGW_FIELD_INT, 0, -AIGW_TASK_PRIORITY_MAX, AIGW_TASK_PRIORITY_MAX, 0},
    {"ttl", AIGW_FIELD_INT, 0, 1, AIGW_TASK_TTL_MAX, 0 /* the caller's */},
    {"callback_url", AIGW_FIELD_NAME, 0, 1, AIGW_CALLBACK_URL_MAX, 0},
    {"endpoint", AIGW_FIELD_NAME, 1, 1, 256, 0},
    {"body", AIGW_FIELD_OBJECT, 1, 0, 0, 0},
};

static const aigw_field_t short_form[SHORT_FIELDS] = {
    {"priority", AIGW_FIELD_INT, 0, -AIGW_TASK_PRIORITY_MAX, AIGW_TASK_PRIORITY_MAX, 0},
    {"ttl", AIGW_FIELD_INT, 0, 1, AIGW_TASK_TTL_MAX, 0 /* the caller's */},
    {"callback_url", AIGW_FIELD_NAME, 0, 1, AIGW_CALLBACK_URL_MAX, 0},
    {"prompt", AIGW_FIELD_TEXT, 1, 1, 0, 0},
    {"model", AIGW_FIELD_NAME, 0, 1, 256, 0},
    {"steps", AIGW_FIELD_INT, 0, 1, AIGW_TASK_STEPS_MAX, 0},
};

static apr_status_t wrong(aigw_task_fault_t *fault, const char *code, const char *param, const char *message)
{
    fault->code = code;
    fault->param = param;
    fault->message = message;
    return APR_EINVAL;
}

/* What a member's value is in the text, byte for byte. */
static const char *as_written(apr_pool_t *p, const aigw_json_scan_t *scan, const char *name)
{
    const aigw_json_span_t *span = &aigw_json_member(scan, name)->value;

    return apr_pstrmemdup(p, scan->text + span->start, span->end - span->start);
}

/* A chat completion of one message; steps are how long the answer may be. */
static const char *chat_of(apr_pool_t *p, const aigw_json_scan_t *scan, const aigw_value_t *values)
{
    const char *chat = apr_pstrcat(p, "{\"messages\":[{\"role\":\"user\",\"content\":", as_written(p, scan, "prompt"), "}]", NULL);

    if (values[MODEL].present) {
        chat = apr_pstrcat(p, chat, ",\"model\":", as_written(p, scan, "model"), NULL);
    }
    if (values[STEPS].present) {
        chat = apr_psprintf(p, "%s,\"max_tokens\":%" APR_INT64_T_FMT, chat, values[STEPS].integer);
    }
    return apr_pstrcat(p, chat, "}", NULL);
}

apr_status_t aigw_task_body_read(aigw_task_body_t *body, const char *text, apr_size_t len, apr_interval_time_t ttl, apr_pool_t *p,
                                 aigw_task_fault_t *fault)
{
    aigw_value_t values[LONG_FIELDS > SHORT_FIELDS ? LONG_FIELDS : SHORT_FIELDS];
    aigw_fields_fault_t what;
    aigw_json_scan_t scan;
    int is_short;

    if (aigw_json_scan(&scan, p, text, len) != APR_SUCCESS) {
        return wrong(fault, "invalid_json", NULL,
                     apr_psprintf(p, "The body is not valid JSON: at line %d, column %d: %s.", scan.line, scan.column, scan.why));
    }
    if (scan.root.kind != AIGW_JSON_OBJECT) {
        return wrong(fault, "validation_error", NULL, "The body must be a JSON object.");
    }
    is_short = aigw_json_member(&scan, "prompt") != NULL;
    if (!is_short && !aigw_json_member(&scan, "endpoint")) {
        return wrong(fault, "validation_error", "endpoint", "Send endpoint and body, or a prompt.");
    }
    if (aigw_fields_read(&scan, is_short ? short_form : long_form, is_short ? SHORT_FIELDS : LONG_FIELDS, p, values, &what) !=
        APR_SUCCESS) {
        return wrong(fault, "validation_error", what.param, what.message);
    }
    body->steps = is_short && values[STEPS].present ? values[STEPS].integer : 0;
    body->priority = (int)values[PRIORITY].integer;
    body->ttl = values[TTL].present ? apr_time_from_sec(values[TTL].integer) : ttl;
    body->callback_url = values[CALLBACK].text;
    body->endpoint = is_short ? AIGW_TASK_SHORT : values[ENDPOINT].text;
    body->request = is_short ? chat_of(p, &scan, values) : values[BODY].object->text;
    body->len = strlen(body->request); /* a scanned text has no NUL */
    body->prefix = is_short ? "" : "body.";
    return APR_SUCCESS;
}
