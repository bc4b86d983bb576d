/* aigw_jwt, aigw_jws: whatever is sent as a token, what is taken for one has three parts of base64url, and no token that was not signed here verifies. */
#include "fuzz.h"
#include "aigw_jws.h"
#include "aigw_jwt.h"

#include <ctype.h>

static const char secret[] = "a secret that no input of the fuzzer's can have signed with, or so it is to be hoped";

static void check_claims(apr_pool_t *p, const aigw_jwt_t *jwt)
{
    const aigw_jwt_rules_t rules = {NULL, apr_time_from_sec(60), apr_time_from_sec(1800000000)};
    apr_time_t expires;
    const json_t *claim = aigw_jwt_claim(jwt->claims, "realm_access.roles");
    const char *name = aigw_jwt_name(p, json_object_get(jwt->claims, "sub"));
    aigw_jwt_e found = aigw_jwt_check(jwt->claims, &rules, &expires);
    size_t i;

    FUZZ_MUST(found == AIGW_JWT_TIMELESS || expires >= 0);
    FUZZ_MUST(found != AIGW_JWT_GOOD || expires > rules.now - rules.skew);
    aigw_jwt_names(p, claim);
    for (i = 0; name && name[i]; i++) {
        FUZZ_MUST((unsigned char)name[i] >= 0x20 && name[i] != 0x7f);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    char *text = fuzz_text(data, size);
    aigw_jws_key_t key;
    aigw_jwt_t jwt;
    size_t i, dots = 0;

    FUZZ_MUST(!aigw_jws_secret(p, secret, sizeof secret - 1, &key));
    if (!aigw_jwt_parse(p, text, size, &jwt)) {
        FUZZ_MUST(size <= AIGW_JWT_MAX && strlen(text) == size && jwt.claims && jwt.alg && !(jwt.alg & (jwt.alg - 1)));
        FUZZ_MUST(aigw_jwt_looks_like(text, size) || !strncmp(text, "aigw_", 5));
        for (i = 0; i < size; i++) {
            dots += text[i] == '.';
            FUZZ_MUST(isalnum((unsigned char)text[i]) || strchr("-_.", text[i]));
        }
        FUZZ_MUST(dots == 2);
        check_claims(p, &jwt);
        FUZZ_MUST(!aigw_jws_verify(jwt.text, jwt.alg, &key));
    }
    free(text);
    apr_pool_destroy(p);
    return 0;
}
