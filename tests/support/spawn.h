/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_SPAWN_H
#define SUPPORT_SPAWN_H

/* A detached thread, for a device whose config asks how to make one. 0, -ENOMEM or -EAGAIN. */
int spawn_thread(void (*fn)(void *), void *arg);

#endif
