/* A binary heap of timers; see aigw_timers.h. */
#include "aigw_timers.h"

#include <limits.h>
#include <stdlib.h>

#define TIMERS_ROOM_MIN 64

struct aigw_timers_t {
    aigw_timer_t **heap; /* heap[1..n]; [0] is not used, so that a parent is slot / 2 and slot 0 can mean "not in" */
    int n;
    int room; /* timers that fit */
};

static apr_status_t timers_free(void *data)
{
    aigw_timers_t *h = data;

    /* the timers still in are not touched: what they were part of may be gone already */
    free(h->heap);
    h->heap = NULL;
    h->n = h->room = 0;
    return APR_SUCCESS;
}

aigw_timers_t *aigw_timers_make(apr_pool_t *p)
{
    aigw_timers_t *h = apr_pcalloc(p, sizeof(*h));

    apr_pool_cleanup_register(p, h, timers_free, apr_pool_cleanup_null);
    return h;
}

static int resize(aigw_timers_t *h, int room)
{
    aigw_timer_t **heap = realloc(h->heap, ((size_t)room + 1) * sizeof(*heap));

    if (!heap) {
        return 0;
    }
    h->heap = heap;
    h->room = room;
    return 1;
}

/* A quarter, not a half: a count that swings around a power of two must not reallocate on each step. */
static void maybe_shrink(aigw_timers_t *h)
{
    if (h->room > TIMERS_ROOM_MIN && h->n < h->room / 4) {
        (void)resize(h, h->room / 2); /* a shrink that fails costs memory only */
    }
}

static void place(aigw_timers_t *h, aigw_timer_t *t, int slot)
{
    h->heap[slot] = t;
    t->slot = slot;
}

/* Finds t's place upwards from a slot that is free. */
static void sift_up(aigw_timers_t *h, aigw_timer_t *t, int slot)
{
    while (slot > 1 && h->heap[slot / 2]->at > t->at) {
        place(h, h->heap[slot / 2], slot);
        slot /= 2;
    }
    place(h, t, slot);
}

/* Finds t's place downwards from a slot that is free. */
static void sift_down(aigw_timers_t *h, aigw_timer_t *t, int slot)
{
    while (slot <= h->n / 2) {
        int child = slot * 2;

        if (child < h->n && h->heap[child + 1]->at < h->heap[child]->at) {
            ++child;
        }
        if (h->heap[child]->at >= t->at) {
            break;
        }
        place(h, h->heap[child], slot);
        slot = child;
    }
    place(h, t, slot);
}

static void settle(aigw_timers_t *h, aigw_timer_t *t, int slot)
{
    if (slot > 1 && h->heap[slot / 2]->at > t->at) {
        sift_up(h, t, slot);
    }
    else {
        sift_down(h, t, slot);
    }
}

/* A timer whose slot is set but that does not stand there belongs to another heap, or its memory was reused while in. */
static int is_in(const aigw_timers_t *h, const aigw_timer_t *t)
{
    return t->slot >= 1 && t->slot <= h->n && h->heap[t->slot] == t;
}

apr_status_t aigw_timers_set(aigw_timers_t *h, aigw_timer_t *t, apr_time_t at)
{
    if (is_in(h, t)) {
        t->at = at;
        settle(h, t, t->slot);
        return APR_SUCCESS;
    }
    if (t->slot != 0) {
        return APR_EINVAL;
    }
    if (h->n == h->room) {
        if (h->room > INT_MAX / 4 || !resize(h, h->room ? h->room * 2 : TIMERS_ROOM_MIN)) {
            return APR_ENOMEM;
        }
    }
    t->at = at;
    sift_up(h, t, ++h->n);
    return APR_SUCCESS;
}

void aigw_timers_drop(aigw_timers_t *h, aigw_timer_t *t)
{
    int slot = t->slot;
    aigw_timer_t *last;

    if (!is_in(h, t)) {
        return;
    }
    t->slot = 0;
    last = h->heap[h->n--];
    if (last != t) {
        settle(h, last, slot);
    }
    maybe_shrink(h);
}

aigw_timer_t *aigw_timers_due(aigw_timers_t *h, apr_time_t now)
{
    aigw_timer_t *t;

    if (h->n == 0 || h->heap[1]->at > now) {
        return NULL;
    }
    t = h->heap[1];
    aigw_timers_drop(h, t);
    return t;
}

apr_time_t aigw_timers_next(const aigw_timers_t *h)
{
    return h->n ? h->heap[1]->at : -1;
}

int aigw_timers_count(const aigw_timers_t *h)
{
    return h->n;
}
