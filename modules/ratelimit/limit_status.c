#include "limit_status.h"
#include "limit_memory.h"

#include <http_protocol.h>
#include <mod_status.h>

/* A line of each: the name for programs, words for people. */
static void show(request_rec *r, int flags, const char *name, const char *words, apr_int64_t value)
{
    if (flags & AP_STATUS_SHORT) {
        ap_rprintf(r, "%s: %" APR_INT64_T_FMT "\n", name, value);
    }
    else {
        ap_rprintf(r, "<dt>%s: %" APR_INT64_T_FMT "</dt>\n", words, value);
    }
}

static int status(request_rec *r, int flags)
{
    aigw_limit_shm_sums_t sums;

    if (!aigw_limit_memory_sums(&sums)) {
        return DECLINED;
    }
    if (!(flags & AP_STATUS_SHORT)) {
        ap_rputs("<hr />\n<h2>AI gateway: limits in shared memory</h2>\n<dl>\n", r);
    }
    show(r, flags, "AIGWLimitEntries", "Counters there can be", sums.entries);
    show(r, flags, "AIGWLimitEntriesUsed", "Counters in use", sums.used);
    show(r, flags, "AIGWLimitEvicted", "Idle counters that made room", (apr_int64_t)sums.evicted);
    show(r, flags, "AIGWLimitHoldsMax", "What open calls can hold", sums.holds_max);
    show(r, flags, "AIGWLimitHolds", "What open calls hold", sums.holds);
    show(r, flags, "AIGWLimitSlots", "Slots taken", sums.slots);
    show(r, flags, "AIGWLimitReserved", "Tokens reserved", sums.reserved);
    show(r, flags, "AIGWLimitReaped", "Given back for children that died or ended", (apr_int64_t)sums.reaped);
    show(r, flags, "AIGWLimitMended", "Times that a table was mended", (apr_int64_t)sums.mended);
    show(r, flags, "AIGWLimitChildren", "Children that count", sums.living);
    if (!(flags & AP_STATUS_SHORT)) {
        ap_rputs("</dl>\n", r);
    }
    return OK;
}

void aigw_limit_status_register(apr_pool_t *p)
{
    APR_OPTIONAL_HOOK(ap, status_hook, status, NULL, NULL, APR_HOOK_MIDDLE);
}
