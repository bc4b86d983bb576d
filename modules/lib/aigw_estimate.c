#include "aigw_estimate.h"

#include <string.h>

#define TOKENS_MAX     APR_INT64_C(1000000000000)
#define OF_A_MESSAGE   4
#define OF_A_QUESTION  3
#define OTHER_OF_ASCII 0.75 /* how many bytes of other text make a token, for one of ASCII */
#define DEPTH_MAX      128  /* of JSON that is walked as a tree */

void aigw_estimate_text(aigw_estimate_t *e, const char *text, apr_size_t len)
{
    apr_size_t i, other = 0;

    for (i = 0; i < len; i++) {
        other += (unsigned char)text[i] >> 7;
    }
    e->other += (apr_int64_t)other;
    e->ascii += (apr_int64_t)(len - other);
}

/* ------------------------------------------------------------------ a scanned body */

/* A string as it stands there: an escape is one character, and one that is written as \uXXXX is taken for three bytes of other text. */
static void count_string(aigw_estimate_t *e, const aigw_chat_t *chat, const aigw_json_span_t *span)
{
    const char *s = chat->scan->text + span->start + 1, *end = chat->scan->text + span->end - 1, *escape;

    while (s < end && (escape = memchr(s, '\\', (apr_size_t)(end - s))) != NULL) {
        aigw_estimate_text(e, s, (apr_size_t)(escape - s));
        if (end - escape >= 6 && escape[1] == 'u') {
            e->other += 3;
            s = escape + 6;
        }
        else {
            e->ascii++;
            s = escape + 2;
        }
    }
    if (s < end) {
        aigw_estimate_text(e, s, (apr_size_t)(end - s));
    }
}

/* Any value as the JSON that it is. */
static void count_value(aigw_estimate_t *e, const aigw_chat_t *chat, const aigw_json_span_t *span)
{
    aigw_estimate_text(e, chat->scan->text + span->start, span->end - span->start);
}

/* Kinds of parts whose data is not text, however much there is of it. */
static const char *const media[] = {"image_url", "image", "input_image", "input_audio", "audio_url", "video_url", "file"};

static int is_media(const aigw_chat_t *chat, const aigw_json_span_t *type)
{
    apr_size_t i;

    for (i = 0; i < sizeof media / sizeof *media; i++) {
        if (aigw_json_string_is(chat->scan, type, media[i])) {
            return 1;
        }
    }
    return 0;
}

static void count_part(aigw_estimate_t *e, const aigw_chat_t *chat, const aigw_json_span_t *part)
{
    aigw_json_span_t name, value, type = {AIGW_JSON_NULL, 0, 0}, text = type;
    apr_size_t pos = 0;

    while (part->kind == AIGW_JSON_OBJECT && aigw_json_next(chat->scan, part, &pos, &name, &value)) {
        if (aigw_json_string_is(chat->scan, &name, "type")) {
            type = value;
        }
        else if (aigw_json_string_is(chat->scan, &name, "text")) {
            text = value;
        }
    }
    if (type.kind == AIGW_JSON_STRING && is_media(chat, &type)) {
        e->images++;
    }
    else if (text.kind == AIGW_JSON_STRING && aigw_json_string_is(chat->scan, &type, "text")) {
        count_string(e, chat, &text);
    }
    else {
        count_value(e, chat, part);
    }
}

static void count_message(aigw_estimate_t *e, const aigw_chat_t *chat, const aigw_json_span_t *message)
{
    aigw_json_span_t name, value, part;
    apr_size_t pos = 0, at;

    e->messages++;
    while (aigw_json_next(chat->scan, message, &pos, &name, &value)) {
        if (value.kind == AIGW_JSON_NULL || aigw_json_string_is(chat->scan, &name, "role")) {
            continue;
        }
        if (value.kind == AIGW_JSON_STRING) {
            count_string(e, chat, &value);
        }
        else if (value.kind == AIGW_JSON_ARRAY && aigw_json_string_is(chat->scan, &name, "content")) {
            for (at = 0; aigw_json_next(chat->scan, &value, &at, NULL, &part);) {
                count_part(e, chat, &part);
            }
        }
        else {
            count_value(e, chat, &value);
        }
    }
}

void aigw_estimate_chat(aigw_estimate_t *e, const aigw_chat_t *chat)
{
    static const char *const read_too[] = {"tools", "functions", "response_format"};
    aigw_json_span_t message;
    apr_size_t pos = 0, i;

    while (aigw_json_next(chat->scan, &chat->messages, &pos, NULL, &message)) {
        count_message(e, chat, &message);
    }
    for (i = 0; i < sizeof read_too / sizeof *read_too; i++) {
        const aigw_json_member_t *m = aigw_json_member(chat->scan, read_too[i]);

        if (m && m->value.kind != AIGW_JSON_NULL) {
            count_value(e, chat, &m->value);
        }
    }
}

/* ------------------------------------------------------------------ messages as a tree */

static int is_media_type(const char *type)
{
    apr_size_t i;

    for (i = 0; type && i < sizeof media / sizeof *media; i++) {
        if (!strcmp(type, media[i])) {
            return 1;
        }
    }
    return 0;
}

static void count_tree(aigw_estimate_t *e, const json_t *json, int depth)
{
    const char *name;
    const json_t *value;
    apr_size_t i;

    if (json_is_string(json)) {
        aigw_estimate_text(e, json_string_value(json), json_string_length(json));
    }
    else if (json_is_object(json) && is_media_type(json_string_value(json_object_get(json, "type")))) {
        e->images++;
    }
    else if (depth < DEPTH_MAX) {
        json_array_foreach(json, i, value)
        {
            count_tree(e, value, depth + 1);
        }
        json_object_foreach((json_t *)json, name, value)
        {
            if (strcmp(name, "role") && strcmp(name, "type")) {
                count_tree(e, value, depth + 1);
            }
        }
    }
}

void aigw_estimate_messages(aigw_estimate_t *e, const json_t *messages)
{
    const json_t *message;
    apr_size_t i;

    json_array_foreach(messages, i, message)
    {
        e->messages++;
        count_tree(e, message, 0);
    }
}

/* ------------------------------------------------------------------ numbers */

static apr_int64_t bounded(double tokens)
{
    return tokens < 1 ? 1 : tokens > (double)TOKENS_MAX ? TOKENS_MAX : (apr_int64_t)tokens;
}

apr_int64_t aigw_estimate_tokens(const aigw_estimate_t *e, double bytes, apr_int64_t image)
{
    const double of_ascii = bytes > 0 ? bytes : AIGW_ESTIMATE_BYTES, of_image = image > 0 ? (double)image : AIGW_ESTIMATE_IMAGE;
    double text = (double)e->ascii / of_ascii + (double)e->other / (of_ascii * OTHER_OF_ASCII);

    if (text > (double)TOKENS_MAX) {
        return TOKENS_MAX;
    }
    if (text > (double)(apr_int64_t)text) {
        text = (double)((apr_int64_t)text + 1);
    }
    return bounded(text + (double)e->messages * OF_A_MESSAGE + (e->messages ? OF_A_QUESTION : 0) + (double)e->images * of_image);
}

apr_uint32_t aigw_estimate_learn(apr_uint32_t ratio, apr_int64_t estimated, apr_int64_t actual)
{
    double sample = (double)actual * AIGW_ESTIMATE_ONE / (double)(estimated > 0 ? estimated : 1);
    apr_uint32_t now, next;

    if (estimated < AIGW_ESTIMATE_SAMPLE) {
        return ratio;
    }
    sample = sample < AIGW_ESTIMATE_MIN ? AIGW_ESTIMATE_MIN : sample > AIGW_ESTIMATE_MAX ? AIGW_ESTIMATE_MAX : sample;
    now = (apr_uint32_t)sample;
    if (!ratio) {
        ratio = AIGW_ESTIMATE_ONE;
    }
    next = now > ratio ? ratio + (now - ratio + 3) / 4 : ratio - (ratio - now) / 16;
    return next < AIGW_ESTIMATE_MIN ? AIGW_ESTIMATE_MIN : next > AIGW_ESTIMATE_MAX ? AIGW_ESTIMATE_MAX : next;
}

apr_int64_t aigw_estimate_scale(apr_int64_t tokens, apr_uint32_t ratio)
{
    double scaled = (double)tokens * (ratio ? ratio : AIGW_ESTIMATE_ONE) / AIGW_ESTIMATE_ONE;

    return bounded(scaled > (double)(apr_int64_t)scaled ? scaled + 1 : scaled);
}
