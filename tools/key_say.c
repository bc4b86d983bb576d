#include "key_say.h"

#include <stdarg.h>
#include <stdio.h>

static void say(const char *fmt, va_list args) __attribute__((format(printf, 1, 0)));

static void say(const char *fmt, va_list args)
{
    fputs("aigw-key: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
}

void key_say(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say(fmt, args);
    va_end(args);
}

int key_failed(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say(fmt, args);
    va_end(args);
    return KEY_FAILED;
}

int key_misuse(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say(fmt, args);
    va_end(args);
    fputs("aigw-key --help says what may be given.\n", stderr);
    return KEY_MISUSE;
}
