/* SPDX-License-Identifier: MIT */
#ifndef RUN_HOSTMEM_H
#define RUN_HOSTMEM_H

#include "ration/types.h"

int hostmem_available(const char *root, uint64_t *ret_bytes);

#endif
