/* Keeps a library in memory for as long as the process lives, for threads in it that cannot be ended. */
#ifndef AIGW_PIN_H
#define AIGW_PIN_H

/* The one that has this function. 0, or -1: it cannot be done. Thread: any; no state. */
int aigw_pin(void (*function)(void));

#endif
