/* SPDX-License-Identifier: MIT */
/*
 * A space that a simulation saved.
 *
 * A simulation is decided by its configuration and its accesses, so these are what is saved: a
 * header, and a trace in Ration's own format (docs/trace.md). Loading it makes the simulation
 * again, so that page tables, lists, TLB and swap are live, and not a picture of them: the next
 * access to it does what it would have done. The header has a number that stands for every
 * counter at the end; where the simulation comes to another one, which another version of
 * Ration may, the file is refused.
 *
 * The header, 256 bytes, little endian:
 *
 *	  0  magic            8   version, 4 bytes      12  CRC-32 of the header, this being 0
 *	 16  RAM, bytes      24   swap, bytes           32  seed
 *	 40  accesses        48   state at the end      56  swappiness, 4   60  page-cluster, 4
 *	 64  2M pages, 4     68   64K pages, 4          72  policy, 24      96  TLB, 24
 *	120  swap device, 24 144  device of files, 24 168  source, 88
 *
 * Names end with a NUL; the TLB's is empty where there is none. Huge pages: 0 never, 2 always.
 *
 * It is written without a name in the folder of the file that it becomes, or beside it where
 * that cannot be, and takes its name when it is whole. So whoever is interrupted leaves
 * nothing.
 */
#include "sim/save.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define MAGIC	  "\x89RSPACE\n"
#define VERSION	  2
#define NAME	  24
#define RAM_MAX	  ((uint64_t)1 << 40)
#define CHUNK	  4096
#define NAMES_MAX 100 /* that somebody else may have taken */

enum {
	AT_VERSION = 8,
	AT_CRC = 12,
	AT_RAM = 16,
	AT_SWAP = 24,
	AT_SEED = 32,
	AT_ACCESSES = 40,
	AT_STATE = 48,
	AT_SWAPPINESS = 56,
	AT_CLUSTER = 60,
	AT_THP = 64,
	AT_THP_64K = 68,
	AT_POLICY = 72,
	AT_TLB = 96,
	AT_DEVICE = 120,
	AT_FILES = 144,
	AT_SOURCE = 168,
};

struct sim_save {
	const char *path;
	char *beside;  /* where it is before it takes its name */
	bool has_name; /* it is there */
	int fd;
	struct trace_writer *writer; /* NULL: finished */
	uint64_t nr_accesses;
};

static void put(uint8_t *to, uint64_t value, unsigned int nr_bytes)
{
	for (unsigned int i = 0; i < nr_bytes; i++)
		to[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get(const uint8_t *from, unsigned int nr_bytes)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < nr_bytes; i++)
		value |= (uint64_t)from[i] << (8 * i);
	return value;
}

/* FNV-1a over the counters that say most. */
static uint64_t state_of(const struct sim_result *result)
{
	uint64_t words[NR_MM_VMSTAT + 4], state = 0xcbf29ce484222325u;

	memcpy(words, result->vmstat, sizeof(result->vmstat));
	words[NR_MM_VMSTAT] = result->time_ns;
	words[NR_MM_VMSTAT + 1] = result->nr_references;
	words[NR_MM_VMSTAT + 2] = result->tlb.walk_steps;
	words[NR_MM_VMSTAT + 3] = result->tlb.page_invalidations;
	for (size_t i = 0; i < NR_MM_VMSTAT + 4; i++)
		state = (state ^ words[i]) * 0x100000001b3u;
	return state;
}

uint32_t sim_saved_crc(const uint8_t header[SIM_SAVED_HEADER])
{
	uint8_t copy[SIM_SAVED_HEADER];

	memcpy(copy, header, sizeof(copy));
	put(copy + AT_CRC, 0, 4);
	return (uint32_t)crc32(0, copy, sizeof(copy));
}

static int fail_file(struct sim_error *error, int err, const char *path)
{
	return sim_fail(error, err, "%s: %s", path, strerror(-err));
}

/* In the path's folder, without a name or, where there is no such thing, with one. */
static int open_beside(struct sim_save *save)
{
	const char *slash = strrchr(save->path, '/');
	char *folder =
		slash ? strndup(save->path, (size_t)(slash - save->path) + 1) : strdup(".");
	int fd = -1;

	if (!folder)
		return -ENOMEM;
	fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	free(folder);
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd >= 0 ? fd : -errno;
	fd = mkostemp(save->beside, O_CLOEXEC);
	save->has_name = fd >= 0;
	return fd >= 0 ? fd : -errno;
}

/* link(2) does not replace what is there, so it gets a name that nothing has. */
static int link_beside(struct sim_save *save)
{
	char self[32], *end = save->beside + strlen(save->beside) - strlen("XXXXXX");

	snprintf(self, sizeof(self), "/proc/self/fd/%d", save->fd);
	for (unsigned int i = 0; i < NAMES_MAX && !save->has_name; i++) {
		snprintf(end, strlen("XXXXXX") + 1, "%06x",
			 ((unsigned int)getpid() + i) & 0xffffff);
		save->has_name =
			linkat(AT_FDCWD, self, AT_FDCWD, save->beside, AT_SYMLINK_FOLLOW) == 0;
		if (!save->has_name && errno != EEXIST)
			break;
	}
	return save->has_name ? 0 : -errno;
}

/* It is whole. */
static int take_name(struct sim_save *save)
{
	int err = save->has_name ? 0 : link_beside(save);

	if (err)
		return err;
	return rename(save->beside, save->path) ? -errno : 0;
}

/**
 * sim_save_create() - begin to save.
 * @path: outlives the save; nothing is there before sim_save_finish().
 *
 * Return: 0; -errno with error set.
 */
int sim_save_create(const char *path, struct sim_save **ret_save, struct sim_error *error)
{
	struct sim_save *save = calloc(1, sizeof(*save));
	const uint8_t none[SIM_SAVED_HEADER] = {0};
	int err = -ENOMEM;

	if (!save || asprintf(&save->beside, "%s.XXXXXX", path) < 0) {
		free(save);
		return fail_file(error, err, path);
	}
	save->path = path;
	save->fd = open_beside(save);
	if (save->fd < 0) {
		err = fail_file(error, save->fd, path);
		free(save->beside);
		free(save);
		return err;
	}
	err = write(save->fd, none, sizeof(none)) == (ssize_t)sizeof(none) ? 0 : -EIO;
	if (!err)
		err = trace_writer_create(save->fd, &save->writer);
	if (err) {
		sim_save_discard(save);
		return fail_file(error, err, path);
	}
	*ret_save = save;
	return 0;
}

/* The name goes, and what was written; not a file that was there before. */
void sim_save_discard(struct sim_save *save)
{
	if (save->writer)
		trace_writer_discard(save->writer);
	if (save->has_name)
		unlink(save->beside);
	close(save->fd);
	free(save->beside);
	free(save);
}

/**
 * sim_save_add() - these accesses were made.
 *
 * Return: 0; -errno with error set.
 */
int sim_save_add(struct sim_save *save, const struct trace_access *accesses, unsigned int nr,
		 struct sim_error *error)
{
	int err = trace_write(save->writer, accesses, nr);

	save->nr_accesses += nr;
	return err ? fail_file(error, err, save->path) : 0;
}

static void put_header(uint8_t *header, const struct sim_config *cfg, const char *source)
{
	memcpy(header, MAGIC, AT_VERSION);
	put(header + AT_VERSION, VERSION, 4);
	put(header + AT_RAM, cfg->ram_bytes, 8);
	put(header + AT_SWAP, cfg->swap_bytes, 8);
	put(header + AT_SEED, cfg->seed, 8);
	put(header + AT_SWAPPINESS, cfg->swappiness, 4);
	put(header + AT_CLUSTER, cfg->page_cluster, 4);
	put(header + AT_THP, cfg->thp, 4);
	put(header + AT_THP_64K, cfg->thp_64k, 4);
	snprintf((char *)header + AT_POLICY, NAME, "%s", cfg->policy->name);
	snprintf((char *)header + AT_TLB, NAME, "%s", cfg->tlb ? cfg->tlb->name : "");
	snprintf((char *)header + AT_DEVICE, NAME, "%s", cfg->swap.name);
	snprintf((char *)header + AT_FILES, NAME, "%s", cfg->file_disk.name);
	snprintf((char *)header + AT_SOURCE, SIM_SAVED_SOURCE, "%s", source);
}

/* As a new file would have it: mkostemp() gives it to its owner alone. */
static int set_mode(int fd)
{
	mode_t mask = umask(0);

	umask(mask);
	return fchmod(fd, 0666 & ~mask);
}

/**
 * sim_save_finish() - the space is whole: the file gets its name.
 * @result: of sim_replay_finish().
 *
 * The save is gone afterwards, whatever the answer.
 *
 * Return: 0; -errno with error set.
 */
int sim_save_finish(struct sim_save *save, const struct sim_config *cfg, const char *source,
		    const struct sim_result *result, struct sim_error *error)
{
	uint8_t header[SIM_SAVED_HEADER] = {0};
	int err = trace_writer_finish(save->writer);

	save->writer = NULL;
	put_header(header, cfg, source);
	put(header + AT_ACCESSES, save->nr_accesses, 8);
	put(header + AT_STATE, state_of(result), 8);
	put(header + AT_CRC, sim_saved_crc(header), 4);
	if (!err && pwrite(save->fd, header, sizeof(header), 0) != (ssize_t)sizeof(header))
		err = -EIO;
	if (!err && (set_mode(save->fd) || fsync(save->fd)))
		err = -errno;
	if (!err)
		err = take_name(save);
	if (err) {
		err = fail_file(error, err, save->path);
		sim_save_discard(save);
		return err;
	}
	close(save->fd);
	free(save->beside);
	free(save);
	return 0;
}

static int refuse(struct sim_error *error, unsigned int at, const char *what)
{
	return sim_fail(error, -EBADMSG, "byte %u: %s", at, what);
}

/* A name of the header. Return: NULL: it does not end. */
static const char *name_at(const uint8_t *header, unsigned int at, size_t len)
{
	return memchr(header + at, '\0', len) ? (const char *)header + at : NULL;
}

static bool is_thp(uint64_t value)
{
	return value == MM_THP_NEVER || value == MM_THP_ALWAYS;
}

static int parse_numbers(const uint8_t *header, struct sim_saved *saved,
			 struct sim_error *error)
{
	uint64_t ram = get(header + AT_RAM, 8), swap = get(header + AT_SWAP, 8);
	uint64_t thp = get(header + AT_THP, 4), thp_64k = get(header + AT_THP_64K, 4);

	saved->cfg.ram_bytes = ram;
	saved->cfg.swap_bytes = swap;
	saved->cfg.seed = get(header + AT_SEED, 8);
	saved->cfg.swappiness = (uint32_t)get(header + AT_SWAPPINESS, 4);
	saved->cfg.page_cluster = (uint32_t)get(header + AT_CLUSTER, 4);
	saved->cfg.thp = (enum mm_thp)thp;
	saved->cfg.thp_64k = (enum mm_thp)thp_64k;
	saved->nr_accesses = get(header + AT_ACCESSES, 8);
	saved->state = get(header + AT_STATE, 8);
	if (ram < SIM_RAM_MIN || ram > RAM_MAX || ram % PAGE_SIZE)
		return refuse(error, AT_RAM, "no size of RAM");
	if (swap > 8 * RAM_MAX || swap % PAGE_SIZE)
		return refuse(error, AT_SWAP, "no size of swap");
	if (saved->cfg.swappiness > 200)
		return refuse(error, AT_SWAPPINESS, "swappiness is above 200");
	if (saved->cfg.page_cluster > 5)
		return refuse(error, AT_CLUSTER, "page-cluster is above 5");
	if (!is_thp(thp) || !is_thp(thp_64k))
		return refuse(error, AT_THP, "huge pages are neither never nor always");
	return 0;
}

static int parse_names(const uint8_t *header, struct sim_saved *saved, struct sim_error *error)
{
	const char *policy = name_at(header, AT_POLICY, NAME);
	const char *tlb = name_at(header, AT_TLB, NAME);
	const char *device = name_at(header, AT_DEVICE, NAME);
	const char *files = name_at(header, AT_FILES, NAME);
	const char *source = name_at(header, AT_SOURCE, SIM_SAVED_SOURCE);

	saved->cfg.policy = policy ? sim_policy(policy) : NULL;
	if (!saved->cfg.policy)
		return refuse(error, AT_POLICY, "no policy that there is");
	saved->cfg.tlb = tlb && *tlb ? tlb_preset_find(tlb) : NULL;
	if (!tlb || (*tlb && !saved->cfg.tlb))
		return refuse(error, AT_TLB, "no processor that there is");
	if (!device || !swapdev_model_preset(device))
		return refuse(error, AT_DEVICE, "no swap device that there is");
	saved->cfg.swap = *swapdev_model_preset(device);
	if (!files || !swapdev_model_preset(files))
		return refuse(error, AT_FILES, "no device of files that there is");
	saved->cfg.file_disk = *swapdev_model_preset(files);
	if (!source)
		return refuse(error, AT_SOURCE, "the name of the source does not end");
	memcpy(saved->source, source, SIM_SAVED_SOURCE);
	return 0;
}

/**
 * sim_saved_parse() - read a header.
 *
 * Return: 0; -EBADMSG with error set, without the file's name.
 */
int sim_saved_parse(const uint8_t header[SIM_SAVED_HEADER], struct sim_saved *ret_saved,
		    struct sim_error *error)
{
	struct sim_saved saved = {.cfg = {.costs = SIM_COSTS_DEFAULT}};
	int err;

	if (memcmp(header, MAGIC, AT_VERSION) != 0)
		return refuse(error, 0, "not a space that ration sim --save has written");
	if (get(header + AT_VERSION, 4) != VERSION)
		return refuse(error, AT_VERSION,
			      "of another version of Ration; save the space again");
	if (get(header + AT_CRC, 4) != sim_saved_crc(header))
		return refuse(error, AT_CRC, "wrong checksum");
	err = parse_numbers(header, &saved, error);
	if (!err)
		err = parse_names(header, &saved, error);
	if (!err)
		*ret_saved = saved;
	return err;
}

static int replay_trace(struct trace_reader *trace, struct sim_replay *replay, uint64_t *ret_nr,
			struct sim_error *error)
{
	struct trace_access accesses[CHUNK];
	struct trace_error why = {.why = ""};

	for (;;) {
		int nr = trace_next(trace, accesses, CHUNK, &why), err;

		if (nr < 0)
			return sim_fail(error, nr, "byte %" PRIu64 ": %s",
					SIM_SAVED_HEADER + why.offset, why.why);
		if (nr == 0)
			return 0;
		err = sim_replay_run(replay, accesses, (unsigned int)nr, error);
		if (err)
			return err;
		*ret_nr += (uint64_t)nr;
	}
}

static int replay_fd(int fd, const struct sim_saved *saved, struct sim_replay *replay,
		     struct sim_error *error)
{
	struct trace_error why = {.why = ""};
	struct trace_reader *trace;
	struct sim_result result;
	uint64_t nr = 0;
	int err = trace_open_fd(fd, "space", &trace, &why);

	if (err)
		return sim_fail(error, err, "byte %" PRIu64 ": %s",
				SIM_SAVED_HEADER + why.offset, why.why);
	err = replay_trace(trace, replay, &nr, error);
	trace_close(trace);
	if (err)
		return err;
	sim_replay_finish(replay, &result);
	if (nr != saved->nr_accesses)
		return refuse(error, AT_ACCESSES, "the accesses are not as many as it says");
	if (state_of(&result) != saved->state)
		return refuse(error, AT_STATE,
			      "this Ration comes to another state than the one that saved it; "
			      "save the space again");
	return 0;
}

static int load_fd(int fd, struct sim_saved *ret_saved, struct sim_replay **ret_replay,
		   struct sim_error *error)
{
	uint8_t header[SIM_SAVED_HEADER];
	struct sim_replay *replay;
	ssize_t nr = read(fd, header, sizeof(header));
	int err;

	if (nr < 0)
		return sim_fail(error, -errno, "%s", strerror(errno));
	if (nr < (ssize_t)sizeof(header))
		return refuse(error, (unsigned int)nr, "cut off");
	err = sim_saved_parse(header, ret_saved, error);
	if (!err)
		err = sim_replay_create(&ret_saved->cfg, &replay, error);
	if (err)
		return err;
	err = replay_fd(fd, ret_saved, replay, error);
	if (err)
		sim_replay_destroy(replay);
	else
		*ret_replay = replay;
	return err;
}

/**
 * sim_saved_load() - make a saved space again.
 *
 * Return: 0; -EBADMSG where the file is not whole and right; other -errno; with error set.
 */
int sim_saved_load(const char *path, struct sim_saved *ret_saved,
		   struct sim_replay **ret_replay, struct sim_error *error)
{
	struct sim_error why = {.why = ""};
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return fail_file(error, -errno, path);
	err = load_fd(fd, ret_saved, ret_replay, &why);
	close(fd);
	return err ? sim_fail(error, err, "%.200s: %.150s", path, why.why) : 0;
}
