/* Reading what an OpenAI-compatible server answers: raw where the sink takes it so, else as events. */
#ifndef AIGW_OPENAI_ANSWER_H
#define AIGW_OPENAI_ANSWER_H

#include "aigw_http.h"

typedef struct aigw_openai_answer_t aigw_openai_answer_t;

/* The decoder's baton for one call, in its pool. */
aigw_openai_answer_t *aigw_openai_answer_make(aigw_call_t *call);

extern const aigw_http_decoder_t aigw_openai_decoder;

#endif
