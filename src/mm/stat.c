/* SPDX-License-Identifier: MIT */
#include "ration/mm.h"

const char *const mm_vmstat_names[NR_MM_VMSTAT] = {
#define X(name) #name,
	MM_VMSTAT_LIST(X)
#undef X
};
