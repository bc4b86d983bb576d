/* The stores that come with the core. */
#ifndef AIGW_STORES_H
#define AIGW_STORES_H

#include "aigw_store.h"

extern const aigw_store_vt aigw_store_sqlite;
extern const aigw_store_vt aigw_store_pgsql;
extern const aigw_store_vt aigw_store_redis;

#endif
