/* aigw_jwt */
#include "suites.h"
#include "aigw_jws.h"
#include "aigw_jwt.h"

#include <apr_encode.h>
#include <apr_strings.h>

#include <string.h>

#define NOW (apr_time_from_sec(1800000000))

static apr_pool_t *pool;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

static const char *b64(const char *text)
{
    return apr_pencode_base64(pool, text, APR_ENCODE_STRING, APR_ENCODE_URL | APR_ENCODE_NOPADDING, NULL);
}

static const char *token_of(const char *header, const char *claims)
{
    return apr_pstrcat(pool, b64(header), ".", b64(claims), ".AAAA", NULL);
}

static const char *parse(const char *token, aigw_jwt_t *jwt)
{
    return aigw_jwt_parse(pool, token, strlen(token), jwt);
}

static const char *fault(const char *token)
{
    aigw_jwt_t jwt;
    const char *said = parse(token, &jwt);

    return said ? said : "";
}

#define HS256 "{\"alg\":\"HS256\"}"

START_TEST(what_looks_like_a_token)
{
    static const struct {
        const char *text;
        int yes;
    } rows[] = {{"eyJ.eyJ.sig", 1}, {"a.b.", 1}, {"a.b.c.d.e", 1}, {"aigw_a.b.c_secret", 0}, {"sk-1234", 0}, {"a.b", 0}, {"", 0}};
    apr_size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_msg(aigw_jwt_looks_like(rows[i].text, strlen(rows[i].text)) == rows[i].yes, "%s", rows[i].text);
    }
}
END_TEST

START_TEST(a_good_token)
{
    aigw_jwt_t jwt;
    const char *token =
        token_of("{\"typ\":\"jwt\",\"alg\":\"RS384\",\"kid\":\"k1\",\"jku\":\"https://evil.example/\",\"x5u\":\"https://evil.example/\"}",
                 "{\"iss\":\"me\",\"sub\":\"alice\",\"jti\":\"7\",\"exp\":1800000000,\"aud\":[\"a\",\"b\"]}");

    ck_assert_ptr_null(parse(token, &jwt));
    ck_assert_uint_eq(jwt.alg, AIGW_JWS_RS384);
    ck_assert_str_eq(jwt.kid, "k1");
    ck_assert_str_eq(jwt.issuer, "me");
    ck_assert_str_eq(jwt.jti, "7");
    ck_assert_str_eq(jwt.text, token);
    ck_assert_ptr_null(parse(token_of(HS256, "{}"), &jwt));
    ck_assert(!jwt.kid && !jwt.issuer && !jwt.jti);
}
END_TEST

START_TEST(headers_that_are_refused)
{
    static const char *const headers[] = {
        "{}",
        "[]",
        "\"alg\"",
        "{\"alg\":\"none\"}",
        "{\"alg\":\"None\"}",
        "{\"alg\":\"nOnE\"}",
        "{\"alg\":\"\"}",
        "{\"alg\":null}",
        "{\"alg\":[\"HS256\"]}",
        "{\"alg\":\"hs256\"}",
        "{\"alg\":\"HS256 \"}",
        "{\"alg\":\"PS256\"}",
        "{\"alg\":\"EdDSA\"}",
        "{\"alg\":\"ES256K\"}",
        "{\"alg\":\"HS1\"}",
        "{\"alg\":\"HS256\",\"alg\":\"HS256\"}",
        "{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}",
        "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"HS256\",\"crit\":[]}",
        "{\"alg\":\"HS256\",\"crit\":null}",
        "{\"alg\":\"HS256\",\"b64\":false}",
        "{\"alg\":\"HS256\",\"b64\":true}",
        "{\"alg\":\"HS256\",\"zip\":\"DEF\"}",
        "{\"alg\":\"HS256\",\"enc\":\"A128GCM\"}",
        "{\"alg\":\"HS256\",\"typ\":\"JWE\"}",
        "{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}",
        "{\"alg\":\"HS256\",\"typ\":1}",
        "{\"alg\":\"HS256\",\"kid\":1}",
        "{\"alg\":\"HS256\",\"kid\":{\"a\":1}}",
        "{\"alg\":\"HS256\",\"kid\":\"a\\u0000b\"}",
        "{\"alg\":\"HS256\"} ",
        "{\"alg\":\"HS256\"}x",
        "{\"alg\":\"HS256\"",
        "\xef\xbb\xbf{\"alg\":\"HS256\"}",
        "{\"alg\":\"HS256\",\"x\":\"\xff\"}",
    };
    apr_size_t i;

    for (i = 0; i < sizeof headers / sizeof *headers; i++) {
        const char *said = fault(token_of(headers[i], "{}"));

        ck_assert_msg(*said || !strcmp(headers[i], "{\"alg\":\"HS256\"} "), "%s", headers[i]); /* blanks are JSON's own */
    }
}
END_TEST

START_TEST(claims_that_are_refused)
{
    static const char *const claims[] = {"[]",
                                         "1",
                                         "",
                                         "{\"exp\":\"1800000000\"}",
                                         "{\"exp\":null}",
                                         "{\"nbf\":true}",
                                         "{\"iat\":[1]}",
                                         "{\"exp\":1e999}",
                                         "{\"exp\":99999999999999999999999}",
                                         "{\"exp\":NaN}",
                                         "{\"iss\":1}",
                                         "{\"iss\":\"\"}",
                                         "{\"iss\":[\"a\"]}",
                                         "{\"sub\":{}}",
                                         "{\"sub\":\"\"}",
                                         "{\"jti\":7}",
                                         "{\"aud\":1}",
                                         "{\"aud\":{\"a\":1}}",
                                         "{\"aud\":[\"a\",1]}",
                                         "{\"aud\":null}",
                                         "{\"sub\":\"a\",\"sub\":\"b\"}",
                                         "{\"exp\":1,\"exp\":2}",
                                         "{\"x\":{\"y\":1,\"y\":2}}"};
    apr_size_t i;

    for (i = 0; i < sizeof claims / sizeof *claims; i++) {
        ck_assert_msg(*fault(token_of(HS256, claims[i])), "%s", claims[i]);
    }
}
END_TEST

START_TEST(forms_that_are_refused)
{
    const char *h = b64(HS256), *c = b64("{}"), *good = apr_pstrcat(pool, h, ".", c, ".AAAA", NULL);
    const char *const texts[] = {
        "",
        ".",
        "..",
        "...",
        h,
        apr_pstrcat(pool, h, ".", c, NULL),
        apr_pstrcat(pool, h, ".", c, ".", NULL),       /* empty signature */
        apr_pstrcat(pool, ".", c, ".AAAA", NULL),      /* empty header: libjwt 1.10 writes past its buffer */
        apr_pstrcat(pool, h, "..AAAA", NULL),          /* empty claims (RFC 7797's detached form) */
        apr_pstrcat(pool, good, ".", NULL),            /* four parts */
        apr_pstrcat(pool, good, ".AAAA.AAAA", NULL),   /* five: a JWE */
        apr_pstrcat(pool, h, ".", c, ".AAAA=", NULL),  /* padding */
        apr_pstrcat(pool, h, ".", c, ".AA==", NULL),   /* padding that fits */
        apr_pstrcat(pool, h, "=.", c, ".AAAA", NULL),  /* in the header */
        apr_pstrcat(pool, h, ".", c, "=.AAAA", NULL),  /* in the claims */
        apr_pstrcat(pool, h, ".", c, ".AAA+", NULL),   /* base64's other alphabet */
        apr_pstrcat(pool, h, ".", c, ".AAA/", NULL),   /* the same */
        apr_pstrcat(pool, h, ".", c, ".AA AA", NULL),  /* a blank */
        apr_pstrcat(pool, h, ".", c, ".AA\nAA", NULL), /* a line's end */
        apr_pstrcat(pool, h, ".", c, ".AAAA\n", NULL), /* after it */
        apr_pstrcat(pool, " ", good, NULL),            /* before it */
        apr_pstrcat(pool, h, ".", c, ".AAAAA", NULL),  /* one character that is no byte */
        apr_pstrcat(pool, h, ".", c, ".AB", NULL),     /* stray bits: the same byte as AA */
        apr_pstrcat(pool, h, ".", c, ".A*AA", NULL),   /* no base64 */
        apr_pstrcat(pool, h, ".", c, ".\xc3\xa4\xc3\xa4", NULL),
        "{\"payload\":\"e30\",\"protected\":\"eyJhbGciOiJIUzI1NiJ9\",\"signature\":\"AAAA\"}", /* JSON serialization, flattened */
        "{\"payload\":\"e30\",\"signatures\":[{\"protected\":\"eyJhbGciOiJIUzI1NiJ9\",\"signature\":\"AAAA\"}]}", /* general */
    };
    apr_size_t i;
    aigw_jwt_t jwt;

    ck_assert_ptr_null(parse(good, &jwt));
    for (i = 0; i < sizeof texts / sizeof *texts; i++) {
        ck_assert_msg(*fault(texts[i]), "%s", texts[i]);
    }
    ck_assert_ptr_nonnull(aigw_jwt_parse(pool, "eyJhbGciOiJIUzI1NiJ9.e30.AA\0A", 30, &jwt));
}
END_TEST

START_TEST(oversize)
{
    char *pad = apr_pcalloc(pool, 9001), *claims;
    aigw_jwt_t jwt;

    memset(pad, 'x', 9000);
    claims = apr_pstrcat(pool, "{\"x\":\"", pad, "\"}", NULL);
    ck_assert_ptr_nonnull(strstr(fault(token_of(HS256, claims)), "8192"));
    pad[6000] = '\0';
    claims = apr_pstrcat(pool, "{\"x\":\"", pad, "\"}", NULL);
    ck_assert_ptr_null(parse(token_of(HS256, claims), &jwt));
}
END_TEST

/* ------------------------------------------------------------------ claims */

static json_t *json(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

    ck_assert_msg(value != NULL, "%s", text);
    return value;
}

static aigw_jwt_e check_at(const char *text, apr_time_t now, apr_interval_time_t skew, const char *audience, apr_time_t *expires)
{
    apr_array_header_t *audiences = apr_array_make(pool, 2, sizeof(const char *));
    const aigw_jwt_rules_t rules = {audience ? audiences : NULL, skew, now};
    json_t *claims = json(text);
    aigw_jwt_e found;

    APR_ARRAY_PUSH(audiences, const char *) = "another";
    APR_ARRAY_PUSH(audiences, const char *) = audience;
    found = aigw_jwt_check(claims, &rules, expires);
    json_decref(claims);
    return found;
}

START_TEST(times_to_the_microsecond)
{
    apr_time_t expires;
    const apr_interval_time_t skew = apr_time_from_sec(60);

    ck_assert_int_eq(check_at("{\"exp\":1800000000}", NOW - 1, 0, NULL, &expires), AIGW_JWT_GOOD);
    ck_assert_int_eq(expires, NOW);
    ck_assert_int_eq(check_at("{\"exp\":1800000000}", NOW, 0, NULL, &expires), AIGW_JWT_EXPIRED);
    ck_assert_int_eq(expires, NOW);
    ck_assert_int_eq(check_at("{\"exp\":1800000000}", NOW + skew - 1, skew, NULL, &expires), AIGW_JWT_GOOD);
    ck_assert_int_eq(check_at("{\"exp\":1800000000}", NOW + skew, skew, NULL, &expires), AIGW_JWT_EXPIRED);
    ck_assert_int_eq(check_at("{\"exp\":1800000000.5}", NOW + 499999, 0, NULL, &expires), AIGW_JWT_GOOD);
    ck_assert_int_eq(check_at("{\"exp\":1800000000.5}", NOW + 500000, 0, NULL, &expires), AIGW_JWT_EXPIRED);
    ck_assert_int_eq(check_at("{\"exp\":1900000000,\"nbf\":1800000000}", NOW - 1, 0, NULL, &expires), AIGW_JWT_EARLY);
    ck_assert_int_eq(check_at("{\"exp\":1900000000,\"nbf\":1800000000}", NOW, 0, NULL, &expires), AIGW_JWT_GOOD);
    ck_assert_int_eq(check_at("{\"exp\":1900000000,\"nbf\":1800000000}", NOW - skew, skew, NULL, &expires), AIGW_JWT_GOOD);
    ck_assert_int_eq(check_at("{\"exp\":1900000000,\"nbf\":1800000000}", NOW - skew - 1, skew, NULL, &expires), AIGW_JWT_EARLY);
    ck_assert_int_eq(check_at("{\"exp\":1900000000,\"iat\":1800000061}", NOW, skew, NULL, &expires), AIGW_JWT_EARLY);
    ck_assert_int_eq(check_at("{\"exp\":1900000000,\"iat\":1800000060}", NOW, skew, NULL, &expires), AIGW_JWT_GOOD);
    ck_assert_int_eq(check_at("{\"exp\":1900000000,\"iat\":-5}", NOW, skew, NULL, &expires), AIGW_JWT_GOOD);
}
END_TEST

START_TEST(a_token_without_an_end)
{
    apr_time_t expires;

    ck_assert_int_eq(check_at("{}", NOW, 0, NULL, &expires), AIGW_JWT_TIMELESS);
    ck_assert_int_eq(check_at("{\"exp\":0}", NOW, 0, NULL, &expires), AIGW_JWT_TIMELESS);
    ck_assert_int_eq(check_at("{\"exp\":-1}", NOW, 0, NULL, &expires), AIGW_JWT_TIMELESS);
    ck_assert_int_eq(check_at("{\"exp\":1e300}", NOW, 0, NULL, &expires), AIGW_JWT_TIMELESS);
    ck_assert_int_eq(check_at("{\"exp\":9223372036854775807}", NOW, 0, NULL, &expires), AIGW_JWT_TIMELESS);
    ck_assert_int_eq(check_at("{\"exp\":253402300799}", NOW, 0, NULL, &expires), AIGW_JWT_GOOD);
    ck_assert_int_eq(check_at("{\"exp\":1900000000,\"nbf\":1e300}", NOW, 0, NULL, &expires), AIGW_JWT_EARLY);
}
END_TEST

START_TEST(audiences)
{
    apr_time_t expires;
    static const struct {
        const char *claims;
        int good;
    } rows[] = {{"{\"exp\":1900000000,\"aud\":\"aigw\"}", 1},
                {"{\"exp\":1900000000,\"aud\":[\"x\",\"aigw\"]}", 1},
                {"{\"exp\":1900000000,\"aud\":\"AIGW\"}", 0},
                {"{\"exp\":1900000000,\"aud\":\"aigw \"}", 0},
                {"{\"exp\":1900000000,\"aud\":\"aigwx\"}", 0},
                {"{\"exp\":1900000000,\"aud\":[]}", 0},
                {"{\"exp\":1900000000}", 0},
                {"{\"exp\":1900000000,\"aud\":\"x\"}", 0}};
    apr_size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_msg((check_at(rows[i].claims, NOW, 0, "aigw", &expires) == AIGW_JWT_GOOD) == rows[i].good, "%s", rows[i].claims);
        ck_assert_int_eq(check_at(rows[i].claims, NOW, 0, NULL, &expires), AIGW_JWT_GOOD);
    }
}
END_TEST

START_TEST(claims_by_path)
{
    json_t *claims = json("{\"a\":{\"b\":{\"c\":1}},\"a.b\":2,\"https://x.example/t\":3,\"s\":\"t\"}");

    ck_assert_int_eq((int)json_integer_value(aigw_jwt_claim(claims, "a.b")), 2); /* as it stands comes first */
    ck_assert_int_eq((int)json_integer_value(aigw_jwt_claim(claims, "a.b.c")), 1);
    ck_assert_int_eq((int)json_integer_value(aigw_jwt_claim(claims, "https://x.example/t")), 3);
    ck_assert_ptr_null(aigw_jwt_claim(claims, "a.x"));
    ck_assert_ptr_null(aigw_jwt_claim(claims, "s.t"));
    ck_assert_ptr_null(aigw_jwt_claim(claims, "a."));
    ck_assert_ptr_null(aigw_jwt_claim(claims, "."));
    ck_assert_ptr_null(aigw_jwt_claim(claims, ""));
    ck_assert_ptr_null(aigw_jwt_claim(NULL, "a.b"));
    json_decref(claims);
}
END_TEST

static const char *joined(const char *text)
{
    json_t *value = json(text);
    apr_array_header_t *names = aigw_jwt_names(pool, value);

    json_decref(value);
    return names ? apr_array_pstrcat(pool, names, '|') : NULL;
}

START_TEST(names_of_claims)
{
    ck_assert_str_eq(joined("\"chat  embed:read\""), "chat|embed:read");
    ck_assert_str_eq(joined("[\"a b\",\"c\",7]"), "a b|c|7");
    ck_assert_str_eq(joined("[\"a\\u001b\",\"\",null,\"c\"]"), "c");
    ck_assert_int_eq(aigw_jwt_names(pool, json_null()) == NULL, 1);
    ck_assert_ptr_null(joined("7"));
    ck_assert_ptr_null(joined("{}"));
}
END_TEST

static const char *named(const char *text)
{
    json_t *value = json(text);
    const char *name = aigw_jwt_name(pool, value);

    json_decref(value);
    return name;
}

START_TEST(one_name)
{
    char *longest = apr_pcalloc(pool, 300);

    ck_assert_str_eq(named("\"al\xc3\xa4\""), "al\xc3\xa4");
    ck_assert_str_eq(named("12"), "12");
    ck_assert_ptr_null(named("\"\""));
    ck_assert_ptr_null(named("\"a\\nb\""));
    ck_assert_ptr_null(named("\"a\\u009bb\""));
    ck_assert_ptr_null(named("\"a\\u007f\""));
    ck_assert_ptr_null(named("1.5"));
    ck_assert_ptr_null(named("true"));
    longest[0] = '"';
    memset(longest + 1, 'x', 257);
    longest[257] = '"';
    ck_assert_ptr_nonnull(named(longest));
    longest[257] = 'x';
    longest[258] = '"';
    ck_assert_ptr_null(named(longest));
}
END_TEST

Suite *suite_jwt(void)
{
    Suite *suite = suite_create("jwt");
    TCase *tc = tcase_create("jwt");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, what_looks_like_a_token);
    tcase_add_test(tc, a_good_token);
    tcase_add_test(tc, headers_that_are_refused);
    tcase_add_test(tc, claims_that_are_refused);
    tcase_add_test(tc, forms_that_are_refused);
    tcase_add_test(tc, oversize);
    tcase_add_test(tc, times_to_the_microsecond);
    tcase_add_test(tc, a_token_without_an_end);
    tcase_add_test(tc, audiences);
    tcase_add_test(tc, claims_by_path);
    tcase_add_test(tc, names_of_claims);
    tcase_add_test(tc, one_name);
    suite_add_tcase(suite, tc);
    return suite;
}
