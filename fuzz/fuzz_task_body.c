/* aigw_task_body: what is accepted is an object for an endpoint, which says what the client wrote (jansson's tree is the judge); what is refused has a reason. */
#include "fuzz.h"
#include "aigw_json_scan.h"
#include "aigw_task_body.h"

#include <jansson.h>

#define TTL apr_time_from_sec(86400)

/* A value out of the client's tree that must be in the request as it was. */
static void same(const json_t *is, const json_t *was)
{
    FUZZ_MUST(is && was && json_equal(is, was));
}

static void check_short(const json_t *request, const json_t *from)
{
    const json_t *message = json_array_get(json_object_get(request, "messages"), 0);
    const json_t *model = json_object_get(from, "model"), *steps = json_object_get(from, "steps");
    const size_t members = 1 + !!(model && !json_is_null(model)) + !!(steps && !json_is_null(steps));

    FUZZ_MUST(json_object_size(request) == members && json_object_size(message) == 2);
    FUZZ_MUST(!strcmp(json_string_value(json_object_get(message, "role")), "user"));
    same(json_object_get(message, "content"), json_object_get(from, "prompt"));
    if (model && !json_is_null(model)) {
        same(json_object_get(request, "model"), model);
    }
    if (steps && !json_is_null(steps)) {
        FUZZ_MUST(json_number_value(json_object_get(request, "max_tokens")) == json_number_value(steps));
    }
}

static void check_body(const aigw_task_body_t *body, const json_t *from, apr_pool_t *p)
{
    json_t *request = json_loadb(body->request, body->len, JSON_ALLOW_NUL, NULL);
    aigw_json_scan_t scan;

    FUZZ_MUST(strlen(body->request) == body->len && *body->endpoint);
    FUZZ_MUST(aigw_json_scan(&scan, p, body->request, body->len) == APR_SUCCESS && scan.root.kind == AIGW_JSON_OBJECT);
    FUZZ_MUST(body->priority >= -AIGW_TASK_PRIORITY_MAX && body->priority <= AIGW_TASK_PRIORITY_MAX);
    FUZZ_MUST(body->ttl >= apr_time_from_sec(1) && body->ttl <= apr_time_from_sec(AIGW_TASK_TTL_MAX));
    if (from && request) { /* jansson knows no numbers out of range: then there is no judge */
        if (json_object_get(from, "prompt")) {
            FUZZ_MUST(!*body->prefix && !strcmp(body->endpoint, AIGW_TASK_SHORT));
            check_short(request, from);
        }
        else {
            FUZZ_MUST(!strcmp(body->prefix, "body.") && !strcmp(body->endpoint, json_string_value(json_object_get(from, "endpoint"))));
            same(request, json_object_get(from, "body"));
        }
    }
    json_decref(request);
}

static void check_fault(const aigw_task_fault_t *fault)
{
    json_t *message = json_string(fault->message);

    FUZZ_MUST(fault->code && message && json_string_length(message)); /* UTF-8, whatever the client sent */
    json_decref(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    char *text = fuzz_copy(data, size);
    json_t *from = json_loadb(text, size, JSON_ALLOW_NUL, NULL);
    aigw_task_body_t body;
    aigw_task_fault_t fault = {NULL, NULL, NULL};
    const int good = aigw_task_body_read(&body, text, size, TTL, p, &fault) == APR_SUCCESS;

    free(text); /* nothing points into it */
    if (good) {
        FUZZ_MUST(!fault.code);
        check_body(&body, from, p);
    }
    else {
        check_fault(&fault);
    }
    json_decref(from);
    apr_pool_destroy(p);
    return 0;
}
