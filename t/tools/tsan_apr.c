/* APR's atomic operations once more, for ThreadSanitizer: libapr is not instrumented, so TSan does not see them, and what one thread hands to another with their
 * help (httpd its connections, we our flags) looks like a race. Preloaded before libapr, built with -fsanitize=thread. */
#include <apr_atomic.h>

#define ORDER __ATOMIC_SEQ_CST

apr_uint32_t apr_atomic_read32(volatile apr_uint32_t *mem)
{
    return __atomic_load_n(mem, ORDER);
}

void apr_atomic_set32(volatile apr_uint32_t *mem, apr_uint32_t val)
{
    __atomic_store_n(mem, val, ORDER);
}

apr_uint32_t apr_atomic_add32(volatile apr_uint32_t *mem, apr_uint32_t val)
{
    return __atomic_fetch_add(mem, val, ORDER);
}

void apr_atomic_sub32(volatile apr_uint32_t *mem, apr_uint32_t val)
{
    __atomic_fetch_sub(mem, val, ORDER);
}

apr_uint32_t apr_atomic_inc32(volatile apr_uint32_t *mem)
{
    return __atomic_fetch_add(mem, 1, ORDER);
}

int apr_atomic_dec32(volatile apr_uint32_t *mem)
{
    return __atomic_sub_fetch(mem, 1, ORDER) != 0;
}

apr_uint32_t apr_atomic_cas32(volatile apr_uint32_t *mem, apr_uint32_t with, apr_uint32_t cmp)
{
    __atomic_compare_exchange_n(mem, &cmp, with, 0, ORDER, ORDER);
    return cmp;
}

apr_uint32_t apr_atomic_xchg32(volatile apr_uint32_t *mem, apr_uint32_t val)
{
    return __atomic_exchange_n(mem, val, ORDER);
}

apr_uint64_t apr_atomic_read64(volatile apr_uint64_t *mem)
{
    return __atomic_load_n(mem, ORDER);
}

void apr_atomic_set64(volatile apr_uint64_t *mem, apr_uint64_t val)
{
    __atomic_store_n(mem, val, ORDER);
}

apr_uint64_t apr_atomic_add64(volatile apr_uint64_t *mem, apr_uint64_t val)
{
    return __atomic_fetch_add(mem, val, ORDER);
}

void apr_atomic_sub64(volatile apr_uint64_t *mem, apr_uint64_t val)
{
    __atomic_fetch_sub(mem, val, ORDER);
}

apr_uint64_t apr_atomic_inc64(volatile apr_uint64_t *mem)
{
    return __atomic_fetch_add(mem, 1, ORDER);
}

int apr_atomic_dec64(volatile apr_uint64_t *mem)
{
    return __atomic_sub_fetch(mem, 1, ORDER) != 0;
}

apr_uint64_t apr_atomic_cas64(volatile apr_uint64_t *mem, apr_uint64_t with, apr_uint64_t cmp)
{
    __atomic_compare_exchange_n(mem, &cmp, with, 0, ORDER, ORDER);
    return cmp;
}

apr_uint64_t apr_atomic_xchg64(volatile apr_uint64_t *mem, apr_uint64_t val)
{
    return __atomic_exchange_n(mem, val, ORDER);
}

void *apr_atomic_casptr(volatile void **mem, void *with, const void *cmp)
{
    void *was = (void *)cmp;

    __atomic_compare_exchange_n((void **)mem, &was, with, 0, ORDER, ORDER);
    return was;
}

void *apr_atomic_xchgptr(volatile void **mem, void *with)
{
    return __atomic_exchange_n((void **)mem, with, ORDER);
}
