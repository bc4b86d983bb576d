/* aigw_login_body: the first byte says whether it is a form. What is accepted has names and lengths as promised, all in the caller's room; what is refused has a
 * message that repeats nothing of the values. */
#include "fuzz.h"
#include "aigw_login_body.h"
#include "aigw_names.h"

static void check_body(const aigw_login_body_t *body, const char *room, size_t size)
{
    const char *strings[] = {body->username, body->password, body->scope};
    size_t i;

    for (i = 0; i < 3; i++) {
        FUZZ_MUST(!strings[i] || (strings[i] >= room && strings[i] + strlen(strings[i]) < room + size));
    }
    FUZZ_MUST(body->username && body->password);
    FUZZ_MUST(aigw_names_valid(body->username, strlen(body->username)) && !strchr(body->username, ':'));
    FUZZ_MUST(*body->password && strlen(body->password) <= AIGW_LOGIN_PASSWORD_MAX);
    FUZZ_MUST(!body->scope || *body->scope);
}

static void check_fault(const aigw_login_fault_t *fault)
{
    const char *s;

    FUZZ_MUST(fault->code && fault->message && *fault->message);
    for (s = fault->message; *s; s++) {
        FUZZ_MUST((unsigned char)*s >= ' ' && *s != 0x7f);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int form = size && data[0] & 1;
    size_t len = size ? size - 1 : 0;
    apr_pool_t *p = fuzz_pool();
    char *text = malloc(len + 1), *room = malloc(len + 1);
    aigw_login_body_t body = {0};
    aigw_login_fault_t fault = {0};
    apr_status_t rv;

    FUZZ_MUST(text != NULL && room != NULL);
    if (len) {
        memcpy(text, data + 1, len);
    }
    text[len] = '\0';
    rv = (form ? aigw_login_body_form : aigw_login_body_json)(&body, text, len, room, p, &fault);
    free(text); /* nothing points into it */
    if (rv == APR_SUCCESS) {
        FUZZ_MUST(!fault.code && !fault.message);
        check_body(&body, room, len + 1);
    }
    else {
        FUZZ_MUST(rv == APR_EINVAL);
        check_fault(&fault);
    }
    free(room);
    apr_pool_destroy(p);
    return 0;
}
