/* aigw_traceparent: any header gives a valid one, which the next hop continues. The first 24 bytes of an input are the random ones. */
#include "fuzz.h"
#include "aigw_traceparent.h"

static void check_ids(const aigw_traceparent_t *t)
{
    static const char hex[] = "0123456789abcdef";

    FUZZ_MUST(strlen(t->trace_id) == 32 && strspn(t->trace_id, hex) == 32 && strspn(t->trace_id, "0") < 32);
    FUZZ_MUST(strlen(t->span_id) == 16 && strspn(t->span_id, hex) == 16 && strspn(t->span_id, "0") < 16);
    FUZZ_MUST(t->flags <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    unsigned char random[24] = {0};
    aigw_traceparent_t t, next;
    char *header;
    int continued;

    if (size >= sizeof(random)) {
        memcpy(random, data, sizeof(random));
        data += sizeof(random);
        size -= sizeof(random);
    }
    header = malloc(size + 1);
    FUZZ_MUST(header != NULL);
    if (size) {
        memcpy(header, data, size);
    }
    header[size] = '\0';
    continued = aigw_traceparent_continue(&t, header, random);
    check_ids(&t);
    FUZZ_MUST(continued ? strncmp(t.trace_id, header + 3, 32) == 0 && strncmp(t.parent_id, header + 36, 16) == 0 : !t.parent_id[0]);
    FUZZ_MUST(strlen(aigw_traceparent_format(p, &t)) == 55);
    FUZZ_MUST(aigw_traceparent_continue(&next, aigw_traceparent_format(p, &t), random) == 1);
    FUZZ_MUST(strcmp(next.trace_id, t.trace_id) == 0 && strcmp(next.parent_id, t.span_id) == 0 && next.flags == t.flags);
    free(header);
    apr_pool_destroy(p);
    return 0;
}
