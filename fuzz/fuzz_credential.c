/* aigw_credential: whatever the four fields say, what is taken for a token may be one, and stands in them. The fields are the input's lines. */
#include "fuzz.h"
#include "aigw_credential.h"

static char *next_line(char **at)
{
    char *line = *at, *end = line ? strchr(line, '\n') : NULL;

    *at = end ? end + 1 : NULL;
    if (end) {
        *end = '\0';
    }
    return line && *line == '-' ? NULL : line; /* a field that is not there */
}

static int is_in(const char *value, const aigw_credential_t *credential)
{
    return value && strstr(value, credential->token) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    char *text = fuzz_text(data, size), *at = text;
    aigw_credential_fields_t fields;
    aigw_credential_t credential;
    aigw_credential_e found;
    size_t i;

    fields.authorization = next_line(&at);
    fields.x_api_key = next_line(&at);
    fields.api_key = next_line(&at);
    fields.websocket = next_line(&at);
    found = aigw_credential_read(&fields, p, &credential);
    if (found == AIGW_CREDENTIAL_OK) {
        FUZZ_MUST(credential.len > 0 && credential.len <= AIGW_CREDENTIAL_MAX && strlen(credential.token) == credential.len);
        FUZZ_MUST(is_in(fields.authorization, &credential) || is_in(fields.x_api_key, &credential) || is_in(fields.api_key, &credential) ||
                  is_in(fields.websocket, &credential));
        for (i = 0; i < credential.len; i++) {
            FUZZ_MUST(credential.token[i] > ' ' && credential.token[i] < 127 && !strchr(",;\"\\", credential.token[i]));
        }
    }
    if (!fields.x_api_key && !fields.api_key && !fields.websocket &&
        (!fields.authorization || strncasecmp(fields.authorization, "bearer", 6))) {
        FUZZ_MUST(found == AIGW_CREDENTIAL_NONE);
    }
    free(text);
    apr_pool_destroy(p);
    return 0;
}
