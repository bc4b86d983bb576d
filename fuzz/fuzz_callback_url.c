/* aigw_callback_url: the first line is an entry of the list, the second what a client sends. What is read is read the same again, is of harmless bytes, and has one host; what is allowed is
 * allowed in that form, too. */
#include "fuzz.h"
#include "aigw_callback_url.h"

static void check(const aigw_callback_url_t *url, const aigw_callback_list_t *list, apr_pool_t *p)
{
    const size_t len = strlen(url->origin);
    const char *host = strstr(url->origin, "://") + 3;
    aigw_callback_url_t again;

    FUZZ_MUST(!strncmp(url->origin, "https://", 8) || !strncmp(url->origin, "http://", 7));
    FUZZ_MUST(!host[strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]")] && *host);
    FUZZ_MUST(!strncmp(url->text, url->origin, len) && url->text[len] == '/');
    FUZZ_MUST(!strchr(url->text, '#') && !strchr(url->text, '\\'));
    FUZZ_MUST(strlen(url->text) > AIGW_CALLBACK_URL_MAX || !aigw_callback_url_read(p, url->text, &again));
    if (strlen(url->text) <= AIGW_CALLBACK_URL_MAX) {
        FUZZ_MUST(!strcmp(again.text, url->text) && !strcmp(again.origin, url->origin));
        FUZZ_MUST(aigw_callback_list_has(list, &again) == aigw_callback_list_has(list, url));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    char *text = fuzz_text(data, size), *sent;
    aigw_callback_list_t list = {NULL, 0};
    aigw_callback_url_t url;

    sent = strchr(text, '\n');
    if (sent) {
        *sent++ = '\0';
    }
    FUZZ_MUST(!aigw_callback_list_add(p, &list, text) == !aigw_callback_list_is_empty(&list));
    if (sent && !aigw_callback_url_read(p, sent, &url)) {
        check(&url, &list, p);
    }
    free(text);
    apr_pool_destroy(p);
    return 0;
}
