/* SPDX-License-Identifier: MIT */
/*
 * The launcher: from what was typed to a program that runs managed, and back to nothing.
 *
 * Each step answers an exit status, EXIT_OK to go on, and has said why if it is another. What a
 * user can get wrong comes first, then what the machine does not allow; the first step that
 * makes anything (a swap file) is behind all of these, and behind
 * supervise_signals_hold(), so that there is no moment at which a signal leaves a file.
 *
 * 1. A swap file that the run has made is gone when the launcher ends, unless it was killed by
 *    SIGKILL. Processes that outlive the program (daemons it started) keep their swap: they
 *    have the file open, and its blocks are freed with the last of them.
 */
#include "run/launch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "run/complain.h"
#include "run/elect.h"
#include "run/hostmem.h"
#include "run/program.h"
#include "run/supervise.h"
#include "swapdev/file.h"

#define SWAP_DEFAULT_MIN  ((uint64_t)1 << 30)
#define SWAP_DEFAULT_RAMS 8 /* sparse: what is not used costs nothing */

struct launch {
	struct run_settings settings;
	struct program program;
	char library[PATH_MAX];
	struct swap_file files[RUN_AREAS_MAX];
	unsigned int nr_files;
	struct run_map map; /* ->share is NULL until it is made */
	struct supervised child;
	uint64_t start_ns;
	const char *engine_reason;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int read_settings(struct launch *launch, const struct run_options *options)
{
	uint64_t available;
	int err = hostmem_available("", &available);

	if (err) {
		complain("/proc/meminfo: %s; is /proc mounted?", strerror(-err));
		return EXIT_TROUBLE;
	}
	return settings_read(options, available, &launch->settings);
}

static int find_program(struct launch *launch)
{
	const char *name = launch->settings.argv[0];
	int status = program_find(name, getenv("PATH"), &launch->program);

	if (!status)
		status = program_check(&launch->program);
	if (status)
		complain("%s", launch->program.why);
	return status;
}

/*
 * Beside the executable, wherever both were put: in the build tree build/src/run, installed the
 * folder for libraries (RATION_LIBRARIES, from the folder for programs).
 */
static bool find_library_near(const char *exe, char ret_path[PATH_MAX])
{
	static const char *const places[] = {"../run", RATION_LIBRARIES};
	const char *slash = strrchr(exe, '/');
	char path[PATH_MAX];

	for (unsigned int i = 0; slash && i < sizeof(places) / sizeof(*places); i++) {
		int folder = places[i][0] == '/' ? 0 : (int)(slash + 1 - exe);

		snprintf(path, sizeof(path), "%.*s%s/libration-preload.so", folder, exe,
			 places[i]);
		if (realpath(path, ret_path))
			return true;
	}
	return false;
}

static int find_library(struct launch *launch)
{
	const char *given = getenv("RATION_PRELOAD");
	char exe[PATH_MAX / 2];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	bool is_found;

	exe[len > 0 ? len : 0] = '\0';
	is_found = given ? realpath(given, launch->library) != NULL
			 : find_library_near(exe, launch->library);
	if (!is_found || access(launch->library, R_OK)) {
		complain("%s: %s; install Ration again", given ? given : "libration-preload.so",
			 strerror(errno));
		return EXIT_TROUBLE;
	}
	if (strpbrk(launch->library, ": ")) {
		complain("%s: the loader takes no ':' or blank in a path; install Ration "
			 "elsewhere",
			 launch->library);
		return EXIT_TROUBLE;
	}
	return EXIT_OK;
}

/* flock(2) would tell it, too, but as if the other user were another run. */
static bool swap_is_open(const struct launch *launch, const char *path)
{
	struct stat st, other;

	if (stat(path, &st))
		return false;
	for (unsigned int i = 0; i < launch->nr_files; i++)
		if (fstat(launch->files[i].fd, &other) == 0 && st.st_dev == other.st_dev &&
		    st.st_ino == other.st_ino)
			return true;
	return false;
}

static int open_swap(struct launch *launch, const struct swap_spec *spec)
{
	struct swap_file_request request = {.path = spec->path, .size_bytes = spec->size_bytes};
	uint64_t rams = launch->settings.ram_bytes * SWAP_DEFAULT_RAMS;
	char why[480];

	if (swap_is_open(launch, spec->path)) {
		complain("--swap %s: is given twice; name each file once", spec->path);
		return EXIT_USAGE;
	}
	request.default_bytes = rams > SWAP_DEFAULT_MIN ? rams : SWAP_DEFAULT_MIN;
	if (swap_file_open(&request, &launch->files[launch->nr_files], why, sizeof(why))) {
		complain("%s", why);
		return EXIT_USAGE;
	}
	if (why[0] != '\0') /* it may be used, and yet the user should know */
		complain("%s", why);
	/* From exclusive to shared: each process of the run takes a lock of its own. */
	if (flock(launch->files[launch->nr_files++].fd, LOCK_SH | LOCK_NB) == 0)
		return EXIT_OK;
	complain("--swap %s: another run has taken it just now; give each run its own",
		 spec->path);
	return EXIT_USAGE;
}

static int open_swaps(struct launch *launch)
{
	int status = EXIT_OK;

	for (unsigned int i = 0; i < launch->settings.nr_swaps && !status; i++)
		status = open_swap(launch, &launch->settings.swaps[i]);
	return status;
}

static int make_share(struct launch *launch)
{
	const struct run_settings *settings = &launch->settings;
	struct run_area_config areas[RUN_AREAS_MAX];
	struct run_share_config config = {.ram_bytes = settings->ram_bytes,
					  .zram_bytes = settings->zram_bytes,
					  .zram_codec = settings->zram_codec,
					  .swappiness = settings->swappiness,
					  .flags = settings->flags,
					  .fault_engine = settings->fault_engine,
					  .areas = areas,
					  .nr_areas = launch->nr_files};
	int err;

	for (unsigned int i = 0; i < launch->nr_files; i++)
		areas[i] = (struct run_area_config){.fd = launch->files[i].fd,
						    .prio = -2 - (int)i, /* as swapon(2) */
						    .nr_slots = launch->files[i].nr_slots,
						    .name = launch->files[i].path};
	err = run_share_create(&config, &launch->map);
	if (!err)
		return EXIT_OK;
	complain("memory to share with the program (memfd_create): %s%s", strerror(-err),
		 err == -EPERM || err == -ENOSYS
			 ? "; a filter (seccomp) refuses it: have it allow memfd_create"
			 : "");
	return EXIT_TROUBLE;
}

/* Ours comes first, so that its malloc is the one that counts. NULL: no memory. */
static char *preload_value(const char *library)
{
	const char *old = getenv("LD_PRELOAD");
	char *value;

	if (!old || !*old)
		return strdup(library);
	return asprintf(&value, "%s:%s", library, old) < 0 ? NULL : value;
}

static int start_program(struct launch *launch)
{
	char where[64], *preload = preload_value(launch->library);
	struct supervise_env env[] = {{RUN_SHARE_ENV, where}, {"LD_PRELOAD", preload}};
	int err = preload ? 0 : -ENOMEM;

	snprintf(where, sizeof(where), "/proc/%d/fd/%d", (int)getpid(), launch->map.fd);
	launch->start_ns = now_ns();
	if (!err)
		err = supervise_start(&launch->program, launch->settings.argv, env, 2,
				      &launch->child);
	free(preload);
	if (!err)
		return EXIT_OK;
	if (err < 0) {
		complain("starting %s: %s", launch->settings.argv[0], strerror(-err));
		return EXIT_TROUBLE;
	}
	complain("%s: %s", launch->settings.argv[0], strerror(err));
	return err == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
}

static void print_report(const struct launch *launch)
{
	struct report report = {.ram_bytes = launch->settings.ram_bytes,
				.zram_bytes = launch->settings.zram_bytes,
				.engine_reason = launch->engine_reason,
				.usage = launch->child.usage,
				.wall_ns = now_ns() - launch->start_ns,
				.exit_status = launch->child.status};
	char text[REPORT_TEXT_MAX];
	size_t len;

	run_share_totals(launch->map.share, &report.totals);
	report_render(&report, launch->settings.stats, text);
	len = strlen(text);
	for (size_t at = 0; at < len;) {
		ssize_t put = write(STDERR_FILENO, text + at, len - at);

		if (put < 0)
			return;
		at += (size_t)put;
	}
}

static void finish(struct launch *launch)
{
	struct run_share *share = launch->map.share;
	int status = launch->child.status;
	bool gave_up = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_TROUBLE; /* said why */
	const char *words;

	run_share_reclaim(&launch->map);
	while ((words = run_share_next_words(share)))
		complain("%s", words);
	if (share->nr_claims == 0 && !gave_up)
		complain("%s: ran unmanaged: the loader did not take %s into it",
			 launch->settings.argv[0], launch->library);
	print_report(launch);
}

static void tear_down(struct launch *launch)
{
	if (launch->map.share)
		run_share_detach(&launch->map);
	while (launch->nr_files > 0)
		swap_file_close(&launch->files[--launch->nr_files]);
	settings_free(&launch->settings);
}

/* The steps that ask, and make nothing. */
static int look_around(struct launch *launch, const struct run_options *options)
{
	int status = read_settings(launch, options);

	if (!status)
		status = find_program(launch);
	if (!status)
		status = find_library(launch);
	if (!status)
		status = elect_engine(&launch->settings, &launch->engine_reason);
	return status;
}

static int set_up(struct launch *launch)
{
	int status = open_swaps(launch);

	if (!status)
		status = make_share(launch);
	return status;
}

/**
 * launch() - run a program, managed, to its end.
 *
 * Return: the exit status to end with, where the program was not started. Otherwise it does not
 * return: the launcher ends as the program did.
 * Context: one thread; holds signals from somewhere on.
 */
int launch(const struct run_options *options)
{
	static struct launch self; /* large, and there is one */
	int status, sig = 0;

	supervise_prepare();
	status = look_around(&self, options);
	if (!status) {
		supervise_signals_hold();
		status = set_up(&self);
		sig = supervise_signal_pending();
	}
	if (!status && !sig) {
		status = start_program(&self);
		if (!status) {
			supervise_wait(&self.child);
			finish(&self);
			status = self.child.status;
			tear_down(&self);
			supervise_end_like(status);
		}
	}
	tear_down(&self);
	if (sig)
		supervise_die_by(sig);
	return status;
}
