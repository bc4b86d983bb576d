#include "aigw_spread.h"

#define APART apr_time_from_msec(200)

apr_interval_time_t aigw_spread_next(aigw_spread_t *spread, apr_time_t now, apr_interval_time_t asked, double chance)
{
    const double gone = (double)(now - spread->told) / (double)AIGW_SPREAD_MAX;
    apr_interval_time_t room;

    spread->waiting = (gone >= 1 || gone < 0 ? 0 : spread->waiting * (1 - gone)) + 1;
    spread->told = now;
    asked = asked < APR_USEC_PER_SEC ? APR_USEC_PER_SEC : asked > AIGW_SPREAD_MAX ? AIGW_SPREAD_MAX : asked;
    room = spread->waiting >= (double)(AIGW_SPREAD_MAX / APART) ? AIGW_SPREAD_MAX : (apr_interval_time_t)(spread->waiting * (double)APART);
    return asked + (apr_interval_time_t)(chance * (double)room);
}
