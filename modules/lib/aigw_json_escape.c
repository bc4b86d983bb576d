/* One escape of a JSON string; see aigw_json_escape.h. */
#include "aigw_json_escape.h"

#include <string.h>

/* The value of four hex digits, -1 if they are not. */
static long hex4(const unsigned char *at, const unsigned char *end)
{
    long v = 0;
    int i;

    if (end - at < 4) {
        return -1;
    }
    for (i = 0; i < 4; ++i) {
        unsigned char c = at[i], lower = c | 0x20;

        if (c >= '0' && c <= '9') {
            v = v * 16 + (c - '0');
        }
        else if (lower >= 'a' && lower <= 'f') {
            v = v * 16 + (lower - 'a' + 10);
        }
        else {
            return -1;
        }
    }
    return v;
}

/* \uXXXX, and the low half of a surrogate pair; a half alone is not a character. */
static int read_unicode(const unsigned char *at, const unsigned char *end, long *code)
{
    long low;

    *code = hex4(at + 2, end);
    if (*code < 0xd800 || *code > 0xdfff) {
        return *code < 0 ? 0 : 6;
    }
    if (*code > 0xdbff || end - at < 12 || at[6] != '\\' || at[7] != 'u') {
        return 0;
    }
    low = hex4(at + 8, end);
    if (low < 0xdc00 || low > 0xdfff) {
        return 0;
    }
    *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
    return 12;
}

int aigw_json_escape(const unsigned char *at, const unsigned char *end, long *code)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found;

    if (end - at < 2) {
        return 0;
    }
    if (at[1] == 'u') {
        return read_unicode(at, end, code);
    }
    found = at[1] ? strchr(from, at[1]) : NULL;
    if (!found) {
        return 0;
    }
    *code = to[found - from];
    return 2;
}
