/* A streamed chat completion put together. */
#include "suites.h"
#include "aigw_chunks.h"

#include <apr_strings.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static apr_pool_t *pool;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

/* All of them, with ' for "; NULL ends them. *pieces: of all. */
static json_t *together(const char *const *texts, int *pieces)
{
    aigw_chunks_t *chunks = aigw_chunks_make(pool);
    apr_size_t len = 0;
    json_t *answer;
    char *text;
    int n;

    for (*pieces = 0; *texts; texts++, *pieces += n) {
        char *copy = apr_pstrdup(pool, *texts), *at;

        while ((at = strchr(copy, '\'')) != NULL) {
            *at = '"';
        }
        ck_assert_int_eq(aigw_chunks_add(chunks, copy, strlen(copy), &n), APR_SUCCESS);
    }
    text = aigw_chunks_take(chunks, &len);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_eq(len, strlen(text));
    answer = json_loadb(text, len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(answer);
    free(text);
    return answer;
}

static void check(const char *const *texts, int pieces, const char *expected)
{
    int n;
    json_t *got = together(texts, &n), *want;
    char *copy = apr_pstrdup(pool, expected), *at, *said = json_dumps(got, JSON_COMPACT);

    while ((at = strchr(copy, '\'')) != NULL) {
        *at = '"';
    }
    want = json_loads(copy, JSON_ALLOW_NUL, NULL);
    ck_assert_ptr_nonnull(want);
    ck_assert_msg(json_equal(got, want), "%s", said);
    ck_assert_int_eq(n, pieces);
    free(said);
    json_decref(got);
    json_decref(want);
}

START_TEST(a_text)
{
    static const char *const texts[] = {
        "{'id':'c1','object':'chat.completion.chunk','created':7,'model':'m','system_fingerprint':'fp','choices':[{'index':0,'delta':{'"
        "role':'"
        "assistant','content':'','refusal':null},'logprobs':null,'finish_reason':null}],'usage':null}",
        "{'id':'c1','choices':[{'index':0,'delta':{'content':'one'},'logprobs':{'content':[{'token':'one','logprob':-1}]},'finish_reason':"
        "null}]}",
        "{'id':'c1','choices':[{'index':0,'delta':{'content':' \\u0000two'},'logprobs':{'content':[{'token':'two','logprob':-2}]},'finish_"
        "reason':null}]}",
        "{'id':'c1','choices':[{'index':0,'delta':{},'finish_reason':'stop','stop_reason':'x'}],'progress':0.5}",
        "{'id':'c1','choices':[],'usage':{'prompt_tokens':1,'completion_tokens':2,'total_tokens':3}}",
        NULL};

    check(texts, 2,
          "{'id':'c1','object':'chat.completion','created':7,'model':'m','system_fingerprint':'fp','progress':0.5,'choices':[{'index':0,'"
          "message'"
          ":{'role':'assistant','content':'one "
          "\\u0000two','refusal':null},'logprobs':{'content':[{'token':'one','logprob':-1},{'token':'two',"
          "'logprob':-2}]},'finish_reason':'stop','stop_reason':'x'}],'usage':{'prompt_tokens':1,'completion_tokens':2,'total_tokens':3}}");
}
END_TEST

START_TEST(tools_and_choices)
{
    static const char *const texts[] = {
        "{'choices':[{'index':1,'delta':{'role':'assistant','content':'b'}},{'index':0,'delta':{'role':'assistant','content':null,"
        "'reasoning_content':'hm'}}]}",
        "{'choices':[{'index':0,'delta':{'role':'assistant','tool_calls':[{'index':1,'id':'t1','type':'function','function':{'name':'f','"
        "arguments':'{'}}]}}]}",
        "{'choices':[{'index':0,'delta':{'tool_calls':[{'index':0,'id':'t0','type':'function','function':{'name':'g','arguments':''}},{'"
        "index':1,"
        "'id':'t1','type':'function','function':{'name':'f','arguments':'}'}}]}}]}",
        "{'choices':[{'index':0,'delta':{'reasoning_content':'?'},'finish_reason':'tool_calls'},{'index':1,'delta':{'content':'c'},'finish_"
        "reason':'stop'}]}",
        NULL};

    check(texts, 6,
          "{'object':'chat.completion','choices':[{'index':0,'message':{'role':'assistant','content':null,'reasoning_content':'hm?',"
          "'tool_calls':[{'id':'t1','type':'function','function':{'name':'f','arguments':'{}'}},{'id':'t0','type':'function','function':{'"
          "name':"
          "'g','arguments':''}}]},'finish_reason':'tool_calls'},{'index':1,'message':{'role':'assistant','content':'bc'},'finish_reason':'"
          "stop'}"
          "]}");
}
END_TEST

/* A member that is one thing and then another: nothing breaks, and what was a container stays one. */
START_TEST(changing_kinds)
{
    static const char *const texts[] = {
        "{'choices':[{'delta':{'a':{'x':'1'},'b':['y'],'c':'z','d':{'e':{'f':'g'}}}}]}",
        "{'choices':[{'delta':{'a':['2'],'b':{'y':'3'},'c':{'z':'4'},'d':5}}]}",
        "{'choices':[{'delta':{'a':'6','b':'7','c':'8','d':{'e':'9'}},'message':'no','index':0,'finish_reason':{'k':'v'}}]}",
        "{'choices':[{'delta':{'a':null,'d':{'e':{'f':'h'}}},'finish_reason':'w'}],'usage':{'x':1}}",
        "{'usage':2,'object':{'q':1}}",
        NULL};
    int pieces;

    json_decref(together(texts, &pieces));
}
END_TEST

START_TEST(mistakes)
{
    static const char *const texts[] = {
        "", "[]", "7", "{", "{\"choices\":[{\"index\":-1}]}", "{\"choices\":[{\"index\":128}]}", "{\"choices\":[4]}", "\"\xff\""};
    aigw_chunks_t *chunks = aigw_chunks_make(pool);
    apr_size_t len;
    size_t i;
    int n;

    ck_assert_ptr_null(aigw_chunks_take(chunks, &len));
    for (i = 0; i < sizeof texts / sizeof *texts; i++) {
        ck_assert_msg(aigw_chunks_add(chunks, texts[i], strlen(texts[i]), &n) == APR_EINVAL, "%s", texts[i]);
        ck_assert_int_eq(n, 0);
    }
}
END_TEST

/* Long answers take time in proportion to their length, and what nobody sends does not take all memory. */
START_TEST(long_ones)
{
    static const char chunk[] = "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"0123456789\"}}]}";
    aigw_chunks_t *chunks = aigw_chunks_make(pool);
    json_t *answer;
    apr_size_t len;
    char *text;
    int i, n;

    for (i = 0; i < 100000; i++) {
        MUST(aigw_chunks_add(chunks, chunk, sizeof chunk - 1, &n) == APR_SUCCESS && n == 1);
    }
    for (i = 0; i < 10000; i++) {
        const char *odd = apr_psprintf(pool, "{\"choices\":[{\"delta\":{\"k%d\":\"x\",\"tool_calls\":[{\"index\":%d}]}}]}", i, i);

        MUST(aigw_chunks_add(chunks, odd, strlen(odd), &n) == APR_SUCCESS);
    }
    text = aigw_chunks_take(chunks, &len);
    answer = json_loads(text, 0, NULL);
    ck_assert_uint_eq(
        json_string_length(json_object_get(json_object_get(json_array_get(json_object_get(answer, "choices"), 0), "message"), "content")),
        1000000);
    json_decref(answer);
    free(text);
}
END_TEST

Suite *suite_chunks(void)
{
    Suite *s = suite_create("chunks");
    TCase *tc = tcase_create("chunks");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_text);
    tcase_add_test(tc, tools_and_choices);
    tcase_add_test(tc, changing_kinds);
    tcase_add_test(tc, mistakes);
    tcase_add_test(tc, long_ones);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(s, tc);
    return s;
}
