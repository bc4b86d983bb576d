#include "aigw_media_type.h"

#include <string.h>
#include <strings.h>

#define JSON "application/json"

int aigw_media_type_is_json(const char *field)
{
    size_t len;

    if (!field) {
        return 1;
    }
    field += strspn(field, " \t");
    len = strcspn(field, "; \t");
    if (!len) {
        return !*field;
    }
    return (len == strlen(JSON) && !strncasecmp(field, JSON, len)) ||
           (len > 5 && memchr(field, '/', len) && !strncasecmp(field + len - 5, "+json", 5));
}
