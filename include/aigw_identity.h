/* What mod_aigw_auth tells of an identity that was let in before: by an optional function, which is not there where the module is not.
 */
#ifndef AIGW_IDENTITY_H
#define AIGW_IDENTITY_H

#include <apr_optional.h>
#include "aigw_error.h"
#include "aigw_request.h"

/* Is this identity, which was let in at some time, still to be served? That its credential has expired meanwhile does not matter: it was good when the work was taken. But one that was taken back is an error,
 * in p: a key that is disabled, or no longer in AIGWKeyFile, or another user's now; a token that was logged out (known for as long as it would have been good), or whose <AIGWJwtIssuer> is gone; one that has
 * lost a scope since. 503: nobody can tell now. Who was not let in by mod_aigw_auth is served.
 * NULL: yes, and what is known of him now (tier, scopes, models) is filled in, in p. Any thread that may block for a moment (Redis). */
APR_DECLARE_OPTIONAL_FN(const aigw_error_t *, aigw_identity_recheck, (server_rec * s, apr_pool_t *p, aigw_identity_t *identity));

#endif
