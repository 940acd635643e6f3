/* SPDX-License-Identifier: MIT */
/*
 * Stands in for the runtime: takes an entry of the run's process table and counts a little, but
 * manages nothing. So the launcher's tests do not depend on the runtime.
 *
 * In the environment: STUB_SILENT takes no entry; STUB_WORDS is left as last words.
 */
#include <stdlib.h>

#include "run/share.h"

static struct run_map map;

__attribute__((constructor)) static void stub_start(void)
{
	const char *path = getenv(RUN_SHARE_ENV);
	const char *words = getenv("STUB_WORDS");
	struct run_proc *proc;
	unsigned int slot;

	if (getenv("STUB_SILENT") || !path || run_share_attach(path, &map) ||
	    run_share_claim(&map, &slot))
		return;
	proc = &map.share->procs[slot];
	proc->vmstat[MM_VMSTAT_pgfault] = 10;
	proc->vmstat[MM_VMSTAT_pgmajfault] = 3;
	proc->vmstat[MM_VMSTAT_nr_touched_peak] = 512;
	__atomic_fetch_or(&map.share->paths,
			  RUN_PATH_MOVE | RUN_PATH_THREAD | RUN_PATH_FAULT_THREAD,
			  __ATOMIC_RELAXED);
	if (words)
		run_share_say(map.share, words);
}
