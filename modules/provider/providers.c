#include "providers.h"

#include <ap_provider.h>

void aigw_providers_register(apr_pool_t *p)
{
    ap_register_provider(p, AIGW_PROVIDER_GROUP, "echo", AIGW_PROVIDER_VERSION, &aigw_provider_echo);
    ap_register_provider(p, AIGW_PROVIDER_GROUP, "openai", AIGW_PROVIDER_VERSION, &aigw_provider_openai);
}
