/* Making calls and passing their events on. See aigw_call.h for what a call is. */
#ifndef AIGW_CORE_CALL_H
#define AIGW_CORE_CALL_H

#include "aigw_call.h"
#include "aigw_sink.h"

aigw_call_t *aigw_call_make(request_rec *r, const aigw_model_t *model);
aigw_call_t *aigw_call_make_watching(request_rec *r, aigw_source_t *source);
aigw_call_t *aigw_call_make_detached(server_rec *s, const aigw_request_t *context, const aigw_model_t *model);

/* One event from the source: counted, remembered, handed to the sink. */
apr_status_t aigw_call_emit(aigw_call_t *call, const aigw_event_t *ev);

/* Handler entry: see aigw_core_t.call_run. */
int aigw_call_run(request_rec *r, aigw_call_t *call, aigw_sink_t *sink);

/* The call is over: aigw_engine_end(), then its pool goes where it has one of its own. Thread: one that may block. */
void aigw_call_finish(aigw_call_t *call);

/* From now on nobody listens: the sink is replaced by one that drops everything. */
void aigw_call_deafen(aigw_call_t *call);

#endif
