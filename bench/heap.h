/* Timers: a binary heap, the one that is due first on top. The members live in what they belong to. */
#ifndef AIGW_HEAP_H
#define AIGW_HEAP_H

#include <stddef.h>
#include <stdint.h>

typedef struct heap_timer {
    uint64_t due; /* ns, monotonic */
    size_t at;    /* its place in the heap, from 1 on; 0: not in it */
} heap_timer;

void heap_put(heap_timer *t, uint64_t due); /* in, or moved if it is in */
void heap_drop(heap_timer *t);              /* out; nothing if it is not in */
heap_timer *heap_top(void);                 /* NULL: none */
size_t heap_size(void);

#endif
