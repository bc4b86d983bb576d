#include "suites.h"
#include "aigw_media_type.h"

#include <stddef.h>

START_TEST(json)
{
    static const char *const good[] = {NULL,
                                       "",
                                       "application/json",
                                       "Application/JSON; charset=utf-8",
                                       " application/json ;x",
                                       "application/problem+json",
                                       "application/x+JSON;v=1"};
    static const char *const bad[] = {"text/plain", "application/jsonx",    "application/jso",         "+json",    "x+json",
                                      ";",          "application/json-seq", "application/xml; x+json", "text/json"};
    size_t i;

    for (i = 0; i < sizeof good / sizeof *good; i++) {
        ck_assert_msg(aigw_media_type_is_json(good[i]), "%s", good[i] ? good[i] : "NULL");
    }
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(!aigw_media_type_is_json(bad[i]), "%s", bad[i]);
    }
}
END_TEST

Suite *suite_media_type(void)
{
    Suite *s = suite_create("media_type");
    TCase *c = tcase_create("all");

    tcase_add_test(c, json);
    suite_add_tcase(s, c);
    return s;
}
