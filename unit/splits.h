/* Feeding a parser the same bytes in every way: all at once, one by one, and in two pieces cut at every place. */
#ifndef UNIT_SPLITS_H
#define UNIT_SPLITS_H

#include <apr_pools.h>

/* One piece of the input. It lies in a heap block of its own size, so that the sanitizer sees a read beyond it, and is freed after the
 * call: the parser must not keep pointers into it. */
typedef void (*splits_feed_fn)(void *parser, const char *piece, apr_size_t len);

/* A parser under test. make() gives one, finish() says in words, in p, what it found. */
typedef struct splits_subject_t {
    void *(*make)(apr_pool_t *p, const void *setting);
    splits_feed_fn feed;
    const char *(*finish)(void *parser);
} splits_subject_t;

/* Asserts that what is found is `expected` in every way of feeding. label is printed where it is not. */
void splits_check(const splits_subject_t *subject, const void *setting, const char *label, const char *text, apr_size_t len,
                  const char *expected);

#endif
