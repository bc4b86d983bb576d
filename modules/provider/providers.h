/* The providers that come with the core; each is one file, registered through the table that third parties use too. */
#ifndef AIGW_PROVIDERS_H
#define AIGW_PROVIDERS_H

#include "aigw_provider.h"

extern const aigw_provider_t aigw_provider_echo;
extern const aigw_provider_t aigw_provider_openai;

void aigw_providers_register(apr_pool_t *p);

#endif
