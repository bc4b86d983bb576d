/* aigw_origin: the first line is what an administrator writes, the second what a client sends. What is read is read the same again; what is allowed is made of harmless
 * bytes, or is what was written. */
#include "fuzz.h"
#include "aigw_origin.h"

static int is_harmless(const char *s)
{
    return !s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789.:/_-+[]")];
}

static void check(const aigw_origin_t *origin, const apr_array_header_t *origins, const char *sent, apr_pool_t *p)
{
    aigw_origin_t again;
    int allowed = aigw_origins_have(origins, sent);

    FUZZ_MUST(strlen(origin->text) == origin->len);
    if (origin->kind == AIGW_ORIGIN_ANY) {
        FUZZ_MUST(allowed && aigw_origin_is_open(origin));
        return;
    }
    FUZZ_MUST(is_harmless(origin->text));
    FUZZ_MUST(!allowed || is_harmless(sent));
    if (origin->kind == AIGW_ORIGIN_EXACT) {
        FUZZ_MUST(allowed == !strcmp(origin->text, sent));
        FUZZ_MUST(aigw_origins_have(origins, origin->text));
        FUZZ_MUST(!aigw_origin_read(&again, origin->text, p) && !strcmp(again.text, origin->text));
        return;
    }
    FUZZ_MUST(!aigw_origins_have(origins, origin->text));
    if (allowed) { /* then it is an origin, below the domain and under the same scheme */
        size_t len = strlen(sent), tail = origin->len - origin->scheme;

        FUZZ_MUST(len > origin->len && !strcmp(sent + len - tail, origin->text + origin->scheme));
        FUZZ_MUST(!memcmp(sent, origin->text, origin->scheme) && !strchr(sent + origin->scheme, '/'));
        FUZZ_MUST(!aigw_origin_read(&again, sent, p) && again.kind == AIGW_ORIGIN_EXACT && !strcmp(again.text, sent));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    apr_array_header_t *origins = apr_array_make(p, 1, sizeof(aigw_origin_t));
    aigw_origin_t *origin = apr_array_push(origins);
    char *text = fuzz_text(data, size), *sent;

    sent = strchr(text, '\n');
    if (sent) {
        *sent++ = '\0';
    }
    if (!aigw_origin_read(origin, text, p)) {
        check(origin, origins, sent ? sent : "", p);
    }
    free(text);
    apr_pool_destroy(p);
    return 0;
}
