/* bench/heap.c: the model server's timers */
#include "suites.h"
#include "heap.h"

#include <stdlib.h>

#define MANY 3000

static heap_timer timers[MANY];

START_TEST(they_come_out_in_order)
{
    uint64_t last = 0, x = 88172645463325252ULL;
    size_t i;

    for (i = 0; i < MANY; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        heap_put(&timers[i], x % 1000);
    }
    ck_assert_uint_eq(heap_size(), MANY);
    while (heap_top()) {
        heap_timer *t = heap_top();
        MUST(t->due >= last);
        last = t->due;
        heap_drop(t);
        MUST(!t->at);
    }
    ck_assert_uint_eq(heap_size(), 0);
}
END_TEST

START_TEST(one_that_is_in_can_be_moved_and_taken_out)
{
    uint64_t last = 0;
    size_t i, n = 0;

    for (i = 0; i < MANY; i++) {
        heap_put(&timers[i], i);
    }
    for (i = 0; i < MANY; i += 3) {
        heap_put(&timers[i], MANY - i);
    }
    for (i = 1; i < MANY; i += 3) {
        heap_drop(&timers[i]);
        heap_drop(&timers[i]); /* which is out already */
    }
    while (heap_top()) {
        heap_timer *t = heap_top();
        MUST((t - timers) % 3 != 1);
        MUST(t->due >= last);
        last = t->due;
        heap_drop(t);
        n++;
    }
    ck_assert_uint_eq(n, MANY - MANY / 3);
}
END_TEST

Suite *suite_heap(void)
{
    Suite *s = suite_create("heap");
    TCase *t = tcase_create("heap");

    tcase_add_test(t, they_come_out_in_order);
    tcase_add_test(t, one_that_is_in_can_be_moved_and_taken_out);
    suite_add_tcase(s, t);
    return s;
}
