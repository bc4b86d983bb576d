#include "chat_chunk.h"
#include "aigw_text.h"

#include <httpd.h>
#include <apr_strings.h>

aigw_chunk_t *aigw_chunk_make(aigw_call_t *call, int nchoices, int usage)
{
    aigw_chunk_t *chunk = apr_pcalloc(call->pool, sizeof *chunk);

    chunk->pool = call->pool;
    chunk->created = apr_time_sec(call->created);
    chunk->model = call->model->name;
    chunk->usage = usage;
    chunk->nchoices = nchoices;
    chunk->choices = apr_pcalloc(call->pool, (apr_size_t)nchoices * sizeof *chunk->choices);
    return chunk;
}

static const char *id_of(aigw_chunk_t *chunk)
{
    unsigned char random[16];
    char hex[2 * sizeof random + 1];

    if (!chunk->id) {
        ap_random_insecure_bytes(random, sizeof random);
        ap_bin2hex(random, sizeof random, hex);
        chunk->id = apr_pstrcat(chunk->pool, "chatcmpl-", hex, NULL);
    }
    return chunk->id;
}

/* Takes choices. */
static json_t *envelope(aigw_chunk_t *chunk, const char *object, json_t *choices)
{
    return json_pack("{s:s,s:s,s:I,s:o,s:o}", "id", id_of(chunk), "object", object, "created", (json_int_t)chunk->created, "model",
                     aigw_text_json(chunk->model, strlen(chunk->model)), "choices", choices);
}

/* Takes delta. */
static json_t *one_delta(aigw_chunk_t *chunk, int choice, json_t *delta, const char *finish_reason)
{
    json_t *root = envelope(chunk, "chat.completion.chunk",
                            json_pack("[{s:i,s:o,s:n,s:s?}]", "index", choice, "delta", delta, "logprobs", "finish_reason", finish_reason));

    if (root && chunk->usage) {
        json_object_set_new(root, "usage", json_null());
    }
    return root;
}

json_t *aigw_chunk_role(aigw_chunk_t *chunk, int choice, int content)
{
    return one_delta(chunk, choice, json_pack("{s:s,s:s?}", "role", "assistant", "content", content ? "" : NULL), NULL);
}

json_t *aigw_chunk_text(aigw_chunk_t *chunk, int choice, const char *text, apr_size_t len)
{
    return one_delta(chunk, choice, json_pack("{s:o}", "content", aigw_text_json(text, len)), NULL);
}

/* A string member where there is something to say; its first piece has id and type. */
static json_t *tool_delta(const aigw_event_t *ev)
{
    json_t *tool = json_pack("{s:i}", "index", ev->tool_index), *function = json_object();

    if (ev->tool_id) {
        json_object_set_new(tool, "id", aigw_text_json(ev->tool_id, strlen(ev->tool_id)));
        json_object_set_new(tool, "type", json_string("function"));
    }
    if (ev->tool_name) {
        json_object_set_new(function, "name", aigw_text_json(ev->tool_name, strlen(ev->tool_name)));
    }
    json_object_set_new(function, "arguments", aigw_text_json(ev->data, ev->data ? ev->len : 0));
    json_object_set_new(tool, "function", function);
    return tool;
}

json_t *aigw_chunk_tool(aigw_chunk_t *chunk, const aigw_event_t *ev)
{
    return one_delta(chunk, ev->choice, json_pack("{s:[o]}", "tool_calls", tool_delta(ev)), NULL);
}

json_t *aigw_chunk_finish(aigw_chunk_t *chunk, int choice, const char *finish_reason)
{
    return one_delta(chunk, choice, json_object(), finish_reason);
}

int aigw_chunk_counted(const aigw_usage_t *usage)
{
    return usage->prompt_tokens >= 0 || usage->completion_tokens >= 0 || usage->total_tokens >= 0;
}

/* OpenAI's clients expect numbers: where only one of them is known, the other is 0. */
static json_t *usage_json(const aigw_usage_t *usage)
{
    json_int_t prompt = usage->prompt_tokens > 0 ? usage->prompt_tokens : 0;
    json_int_t completion = usage->completion_tokens > 0 ? usage->completion_tokens : 0;
    json_int_t total = usage->total_tokens >= 0 ? usage->total_tokens : prompt + completion;
    json_t *root = json_pack("{s:I,s:I,s:I}", "prompt_tokens", prompt, "completion_tokens", completion, "total_tokens", total);

    if (root && usage->cached_tokens >= 0) {
        json_object_set_new(root, "prompt_tokens_details", json_pack("{s:I}", "cached_tokens", (json_int_t)usage->cached_tokens));
    }
    if (root && usage->reasoning_tokens >= 0) {
        json_object_set_new(root, "completion_tokens_details", json_pack("{s:I}", "reasoning_tokens", (json_int_t)usage->reasoning_tokens));
    }
    return root;
}

json_t *aigw_chunk_usage(aigw_chunk_t *chunk, const aigw_usage_t *usage)
{
    json_t *root = envelope(chunk, "chat.completion.chunk", json_array());

    if (root) {
        json_object_set_new(root, "usage", usage_json(usage));
    }
    return root;
}

static json_t *tool_calls(const apr_array_header_t *tools)
{
    json_t *list = json_array();
    int i;

    for (i = 0; i < tools->nelts; i++) {
        const aigw_answer_tool_t *tool = APR_ARRAY_IDX(tools, i, aigw_answer_tool_t *);
        const char *id = tool->id ? tool->id : "", *name = tool->name ? tool->name : "";

        json_array_append_new(list, json_pack("{s:o,s:s,s:{s:o,s:o}}", "id", aigw_text_json(id, strlen(id)), "type", "function", "function",
                                              "name", aigw_text_json(name, strlen(name)), "arguments",
                                              aigw_text_json(tool->arguments.data, tool->arguments.len)));
    }
    return list;
}

static json_t *completed_choice(const aigw_answer_t *answer, int i)
{
    const aigw_answer_choice_t *choice = &answer->choices[i];
    const char *finish_reason = choice->finish_reason ? choice->finish_reason : choice->tools ? "tool_calls" : "stop";
    json_t *content = choice->tools && !choice->text.len ? json_null() : aigw_answer_text(answer, i);
    json_t *message = json_pack("{s:s,s:o,s:n}", "role", "assistant", "content", content, "refusal");

    if (message && choice->tools) {
        json_object_set_new(message, "tool_calls", tool_calls(choice->tools));
    }
    return json_pack("{s:i,s:o,s:n,s:s}", "index", i, "message", message, "logprobs", "finish_reason", finish_reason);
}

json_t *aigw_chunk_completion(aigw_chunk_t *chunk, const aigw_answer_t *answer, const aigw_usage_t *usage)
{
    json_t *choices = json_array(), *root;
    int i;

    for (i = 0; i < answer->nchoices; i++) {
        json_array_append_new(choices, completed_choice(answer, i));
    }
    root = envelope(chunk, "chat.completion", choices);
    if (root) {
        json_object_set_new(root, "usage", aigw_chunk_counted(usage) ? usage_json(usage) : json_null());
    }
    return root;
}
