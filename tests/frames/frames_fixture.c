/* SPDX-License-Identifier: MIT */
#include "frames/frames_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned int running_cpu(void *arg)
{
	return ((struct frames *)arg)->cpu;
}

static void init_zones(struct frames *f, const struct frames_config *cfg)
{
	struct mm_system *sys = &f->sys;
	pfn_t start = cfg->start;

	for (unsigned int i = 0; i < MM_ZONES_MAX && start < cfg->nr_frames; i++) {
		pfn_t end = cfg->zone_ends[i] ? cfg->zone_ends[i] : cfg->nr_frames;

		assert_int_equal(zone_init(sys, &sys->zones[i], "Test", start, end), 0);
		sys->nr_zones++;
		start = end;
	}
	zone_free_boot(sys, cfg->start + cfg->nr_reserved, cfg->nr_frames);
	for (unsigned int i = 0; cfg->nr_cpus && i < sys->nr_zones; i++) {
		f->pcps[i] = malloc(zone_pcps_bytes(sys));
		zone_set_pcps(sys, &sys->zones[i], f->pcps[i]);
	}
	if (cfg->min_free_kbytes)
		zones_set_watermarks(sys, cfg->min_free_kbytes, 10);
}

struct frames *frames_create(const struct frames_config *cfg)
{
	struct frames *f = calloc(1, sizeof(*f));
	struct mm_system *sys = &f->sys;

	f->machine.nr_frames = cfg->nr_frames;
	f->machine.ram = aligned_alloc(PAGE_SIZE, cfg->nr_frames * PAGE_SIZE);
	sys->machine = &f->machine;
	sys->nr_frames = cfg->nr_frames;
	sys->mem_map = calloc(cfg->nr_frames, sizeof(struct page));
	sys->vmstat = sys->vmstat_own;
	sys->cfg.nr_cpus = cfg->nr_cpus ? cfg->nr_cpus : 1;
	sys->cfg.cpu = running_cpu;
	sys->cfg.arg = f;
	mm_lock_init(&sys->lock, LOCK_RANK_SYSTEM);
	init_zones(f, cfg);
	if (cfg->has_slabs)
		assert_int_equal(slab_init(sys), 0);
	assert_int_equal(zone_check(sys), 0);
	return f;
}

void frames_destroy(struct frames *f)
{
	if (f->sys.slab)
		assert_int_equal(slab_check(&f->sys), 0);
	assert_int_equal(zone_check(&f->sys), 0);
	for (unsigned int i = 0; i < MM_ZONES_MAX; i++)
		free(f->pcps[i]);
	free(f->sys.mem_map);
	free(f->machine.ram);
	free(f);
}

int check_quietly(int (*check)(struct mm_system *sys), struct mm_system *sys)
{
	int saved = dup(STDERR_FILENO);
	int null = open("/dev/null", O_WRONLY);
	int ret;

	dup2(null, STDERR_FILENO);
	ret = check(sys);
	dup2(saved, STDERR_FILENO);
	close(null);
	close(saved);
	return ret;
}

bool aborts(void (*fn)(void *arg), void *arg)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGILL, SIG_DFL);
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		fn(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGILL;
}
