/* A client's chat completion request as an OpenAI-compatible upstream is to get it: the client's own bytes with at most three edits.
 *
 * Thread: any; no state. Pool: the pieces' list and what is inserted live in the pool given; the pieces point into the body too.
 */
#ifndef AIGW_CHAT_EDIT_H
#define AIGW_CHAT_EDIT_H

#include "aigw_chat.h"
#include <sys/uio.h>

/* Sets model (UTF-8) where the body does not say it; asks for a stream where stream is 1, whatever the client wants to be answered; and for the usage of a stream where the client did not: the gateway
 * needs it for limits and costs.
 * The body as *n pieces in order, or NULL: a model that is not UTF-8, or an include_usage that stands in
 * stream_options more often than a splice takes. */
struct iovec *aigw_chat_edit(const aigw_chat_t *chat, const char *model, int stream, apr_pool_t *p, int *n);

#endif
