/* SPDX-License-Identifier: MIT */
#ifndef RUN_MALLOC_BACKEND_H
#define RUN_MALLOC_BACKEND_H

void rt_malloc_backend_set(void);

#endif
