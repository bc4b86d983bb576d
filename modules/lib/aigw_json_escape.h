/* One escape of a JSON string, RFC 8259 section 7. Internal to the scanner and the reading of its values. Thread: any; no state. */
#ifndef AIGW_JSON_ESCAPE_H
#define AIGW_JSON_ESCAPE_H

/* Reads the escape whose backslash is *at; end > at. Returns the bytes it takes (2, 6, or 12 for a surrogate pair) and its *code point,
 * or 0 if it is not valid. */
int aigw_json_escape(const unsigned char *at, const unsigned char *end, long *code);

#endif
