/* SPDX-License-Identifier: MIT */
/*
 * A thread is held up, now and then, where another might come between: around its system calls,
 * and with a lock just taken or let go. So orders of events that would need a busy machine
 * are common on a quiet one. Only in builds with -Dchaos=true; elsewhere it is nothing.
 */
#ifndef BASE_CHAOS_H
#define BASE_CHAOS_H

#ifdef RATION_CHAOS
void chaos_point(void);
#else
static inline void chaos_point(void)
{
}
#endif

#endif
