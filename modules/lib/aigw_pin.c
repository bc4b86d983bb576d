#include "aigw_pin.h"

#include <dlfcn.h>
#include <string.h>

int aigw_pin(void (*function)(void))
{
    Dl_info info;
    void *address;

    memcpy(&address, &function, sizeof address); /* POSIX: they are of one size; C has no cast for it */
    return dladdr(address, &info) && dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE) ? 0 : -1;
}
