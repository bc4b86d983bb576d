/* aigw_sse: any bytes, in any pieces, give the same events.
 * The first byte of an input is the largest event's size by 8, the second the size of the pieces less one. */
#include "fuzz.h"
#include "aigw_sse.h"

typedef struct result_t {
    uint64_t hash, events;
    uint64_t pending;
    int lost;
} result_t;

static uint64_t hash_part(uint64_t hash, const char *s, apr_size_t len)
{
    uint64_t tag = s ? len : (uint64_t)-1;

    FUZZ_MUST(s || len == 0);
    return fuzz_hash(fuzz_hash(hash, &tag, sizeof(tag)), s, len);
}

static void check_event(const aigw_sse_event_t *ev, apr_size_t max)
{
    FUZZ_MUST(ev->raw && ev->raw_len >= 3 && ev->raw_len <= max);
    FUZZ_MUST(ev->raw[ev->raw_len - 1] == '\n' || ev->raw[ev->raw_len - 1] == '\r');
    FUZZ_MUST(ev->data_len < ev->raw_len && ev->event_len < ev->raw_len);
    FUZZ_MUST(!ev->event || (ev->event > ev->raw && ev->event + ev->event_len <= ev->raw + ev->raw_len));
    if (ev->plain) {
        FUZZ_MUST(ev->raw_len == ev->data_len + 8 && memcmp(ev->raw, "data: ", 6) == 0 &&
                  memcmp(ev->raw + 6, ev->data, ev->data_len) == 0 && memcmp(ev->raw + 6 + ev->data_len, "\n\n", 2) == 0);
        FUZZ_MUST(!ev->data_len || (!memchr(ev->data, '\n', ev->data_len) && !memchr(ev->data, '\r', ev->data_len)));
    }
}

static void run(result_t *r, const uint8_t *data, size_t size, size_t piece, apr_size_t max)
{
    apr_pool_t *p = fuzz_pool();
    aigw_sse_t *sse = aigw_sse_make(p, max);
    size_t at;

    memset(r, 0, sizeof(*r));
    r->hash = FUZZ_HASH_BEGIN;
    for (at = 0; at < size; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        char *copy = fuzz_copy(data + at, n);
        const char *q = copy;
        aigw_sse_event_t ev;
        aigw_sse_step_e step;

        while ((step = aigw_sse_feed(sse, &q, copy + n, &ev)) == AIGW_SSE_EVENT) {
            check_event(&ev, max);
            ++r->events;
            r->hash = hash_part(r->hash, ev.raw, ev.raw_len);
            r->hash = hash_part(r->hash, ev.data, ev.data_len);
            r->hash = hash_part(r->hash, ev.event, ev.event_len);
        }
        FUZZ_MUST(q == copy + n && (!r->lost || step == AIGW_SSE_TOO_LONG));
        r->lost |= step == AIGW_SSE_TOO_LONG;
        free(copy);
    }
    r->pending = aigw_sse_pending(sse);
    FUZZ_MUST(r->pending <= (max > 2 ? max : 2)); /* 2: what may become a byte order mark */
    apr_pool_destroy(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    result_t whole, pieces, bytes;

    if (size < 2) {
        return 0;
    }
    run(&whole, data + 2, size - 2, size, (apr_size_t)data[0] * 8);
    run(&pieces, data + 2, size - 2, (size_t)data[1] + 1, (apr_size_t)data[0] * 8);
    run(&bytes, data + 2, size - 2, 1, (apr_size_t)data[0] * 8);
    FUZZ_MUST(memcmp(&whole, &pieces, sizeof(whole)) == 0);
    FUZZ_MUST(memcmp(&whole, &bytes, sizeof(whole)) == 0);
    return 0;
}
