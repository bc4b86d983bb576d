/* What aigw-key says on stderr, and the status it ends with. Nothing of a secret may be an argument of these. */
#ifndef AIGW_KEY_SAY_H
#define AIGW_KEY_SAY_H

#define KEY_OK     0
#define KEY_FAILED 1 /* the arguments were right, it could not be done */
#define KEY_MISUSE 2 /* the arguments are wrong */

/* One line, after "aigw-key: ". */
void key_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same; returns KEY_FAILED. */
int key_failed(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same, and where help is; returns KEY_MISUSE. */
int key_misuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
