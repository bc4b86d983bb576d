/* Content-Type: is it JSON? */
#ifndef AIGW_MEDIA_TYPE_H
#define AIGW_MEDIA_TYPE_H

/* 1: "application/json" or "…/…+json", whatever its parameters and its case; and where nothing is said (NULL or ""): many clients do not. */
int aigw_media_type_is_json(const char *field);

#endif
