/* aigw_http_response: any bytes, in any pieces, give the same result.
 * The first byte of an input says how: bit 0 the request was HEAD, bit 1 the upstream closes at the end, the rest the size of the pieces
 * less one. */
#include "fuzz.h"
#include "aigw_http_response.h"

typedef struct result_t {
    uint64_t head, body; /* hashes */
    uint64_t body_len;
    uint64_t used; /* bytes of the input, where it ended well */
    int heads, status, step, reusable;
    const char *why;
    apr_off_t length;
} result_t;

static int hash_field(void *data, const char *name, const char *value)
{
    result_t *r = data;

    r->head = fuzz_hash(fuzz_hash(r->head, name, strlen(name) + 1), value, strlen(value) + 1);
    return 1;
}

static aigw_http_step_e feed(aigw_http_response_t *h, const char **at, const char *end, result_t *r)
{
    for (;;) {
        const char *before = *at;
        aigw_http_body_t body;
        aigw_http_step_e step = aigw_http_response_feed(h, at, end, &body);

        FUZZ_MUST(*at >= before && *at <= end);
        FUZZ_MUST((step == AIGW_HTTP_BODY) == (body.data != NULL));
        if (step == AIGW_HTTP_HEAD) {
            ++r->heads;
            r->status = aigw_http_response_status(h);
            r->length = aigw_http_response_length(h);
            FUZZ_MUST(r->status >= 200 && r->status <= 999);
            apr_table_do(hash_field, r, aigw_http_response_headers(h), NULL);
        }
        else if (step == AIGW_HTTP_BODY) {
            FUZZ_MUST(body.len > 0 && body.data >= before && body.data + body.len <= *at);
            r->body = fuzz_hash(r->body, body.data, body.len);
            r->body_len += body.len;
        }
        else {
            FUZZ_MUST(step != AIGW_HTTP_MORE || *at == end);
            return step;
        }
    }
}

static void run(result_t *r, const uint8_t *data, size_t size, size_t piece, int options)
{
    apr_pool_t *p = fuzz_pool();
    aigw_http_response_t *h = aigw_http_response_make(p, options & 1);
    size_t at;

    memset(r, 0, sizeof(*r));
    r->head = r->body = FUZZ_HASH_BEGIN;
    r->step = AIGW_HTTP_MORE;
    for (at = 0; at < size && r->step == AIGW_HTTP_MORE; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        char *copy = fuzz_copy(data + at, n);
        const char *q = copy;

        r->step = feed(h, &q, copy + n, r);
        if (r->step != AIGW_HTTP_BAD) {
            r->used += (uint64_t)(q - copy);
        }
        free(copy);
    }
    if (r->step == AIGW_HTTP_BAD) {
        r->used = 0;
    }
    r->reusable = aigw_http_response_reusable(h);
    FUZZ_MUST(!r->reusable || r->step == AIGW_HTTP_DONE);
    if (options & 2) {
        r->step = aigw_http_response_eof(h);
        FUZZ_MUST(r->step == AIGW_HTTP_DONE || r->step == AIGW_HTTP_BAD);
    }
    r->why = aigw_http_response_why(h);
    FUZZ_MUST((r->step == AIGW_HTTP_BAD) == (r->why != NULL));
    FUZZ_MUST(r->heads <= 1 && (r->heads == 1 || r->body_len == 0) && (r->step != AIGW_HTTP_DONE || r->heads == 1));
    FUZZ_MUST(r->step != AIGW_HTTP_DONE || r->length < 0 || r->body_len == (uint64_t)r->length);
    apr_pool_destroy(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    result_t whole, pieces, bytes;

    if (size < 1) {
        return 0;
    }
    run(&whole, data + 1, size - 1, size, data[0]);
    run(&pieces, data + 1, size - 1, (size_t)(data[0] >> 2) + 1, data[0]);
    run(&bytes, data + 1, size - 1, 1, data[0]);
    FUZZ_MUST(memcmp(&whole, &pieces, sizeof(whole)) == 0);
    FUZZ_MUST(memcmp(&whole, &bytes, sizeof(whole)) == 0);
    return 0;
}
