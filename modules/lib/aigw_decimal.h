/* Numbers with a fixed count of decimals, as header fields carry them ("12.345"): integers in and digits out, for the printf family takes ten times as long.
 * No state; any thread.
 */
#ifndef AIGW_DECIMAL_H
#define AIGW_DECIMAL_H

#include <apr.h>

/* What aigw_decimal() writes at most, the NUL included. */
#define AIGW_DECIMAL_MAX 24

/* Writes n / 10^decimals (0 to 9 of them; what is below is not there to be rounded) at `to`, NUL-terminated; negative n as 0. Returns the place of the NUL. */
char *aigw_decimal(char *to, apr_int64_t n, int decimals);

#endif
