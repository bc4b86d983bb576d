/* Feeding a parser the same bytes in every way; see splits.h. */
#include "splits.h"
#include "suites.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

static void feed_copy(const splits_subject_t *subject, void *parser, const char *piece, apr_size_t len)
{
    char *copy = malloc(len ? len : 1);

    MUST(copy != NULL);
    if (len) {
        memcpy(copy, piece, len);
    }
    subject->feed(parser, copy, len);
    free(copy);
}

static void check_one(const splits_subject_t *subject, const void *setting, const char *label, const char *text, apr_size_t len,
                      apr_size_t first, apr_size_t then, const char *expected)
{
    apr_pool_t *p;
    void *parser;
    const char *found;
    apr_size_t at = 0, n = first;

    MUST(apr_pool_create(&p, NULL) == APR_SUCCESS);
    parser = subject->make(p, setting);
    do {
        if (n > len - at) {
            n = len - at;
        }
        feed_copy(subject, parser, text + at, n);
        at += n;
        n = then;
    } while (at < len);
    found = subject->finish(parser);
    if (strcmp(found, expected) != 0) {
        ck_abort_msg("%s, fed %lu bytes and then %lu at a time:\nfound    %s\nexpected %s", label, (unsigned long)first,
                     (unsigned long)then, found, expected);
    }
    apr_pool_destroy(p);
}

void splits_check(const splits_subject_t *subject, const void *setting, const char *label, const char *text, apr_size_t len,
                  const char *expected)
{
    apr_size_t cut;

    check_one(subject, setting, label, text, len, len, len, expected);
    check_one(subject, setting, label, text, len, 1, 1, expected);
    for (cut = 0; cut < len; ++cut) {
        check_one(subject, setting, label, text, len, cut, len, expected);
    }
}
