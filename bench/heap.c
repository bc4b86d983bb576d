/* Timers: a binary heap. One a process. */
#include "heap.h"

#include <stdio.h>
#include <stdlib.h>

static heap_timer **heap; /* from 1 on */
static size_t used, room;

static void place(heap_timer *t, size_t at)
{
    heap[at] = t;
    t->at = at;
}

static void up(size_t at)
{
    heap_timer *t = heap[at];

    for (; at > 1 && heap[at / 2]->due > t->due; at /= 2) {
        place(heap[at / 2], at);
    }
    place(t, at);
}

static void down(size_t at)
{
    heap_timer *t = heap[at];
    size_t child;

    while ((child = 2 * at) <= used) {
        child += child < used && heap[child + 1]->due < heap[child]->due;
        if (heap[child]->due >= t->due) {
            break;
        }
        place(heap[child], at);
        at = child;
    }
    place(t, at);
}

void heap_put(heap_timer *t, uint64_t due)
{
    t->due = due;
    if (!t->at) {
        if (used + 1 >= room) {
            room = room ? 2 * room : 1024;
            heap = realloc(heap, room * sizeof *heap);
            if (!heap) {
                perror("heap");
                exit(2);
            }
        }
        place(t, ++used);
    }
    up(t->at);
    down(t->at);
}

void heap_drop(heap_timer *t)
{
    size_t at = t->at;
    heap_timer *last;

    if (!at) {
        return;
    }
    t->at = 0;
    last = heap[used--];
    if (last != t) {
        place(last, at);
        up(at);
        down(last->at);
    }
}

heap_timer *heap_top(void)
{
    return used ? heap[1] : NULL;
}

size_t heap_size(void)
{
    return used;
}
