/* SPDX-License-Identifier: MIT */
#include "run/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "run/complain.h"
#include "swapdev/zcodec.h"

#define SWAPPINESS_DEFAULT 60 /* vm.swappiness */
#define SWAPPINESS_MAX	   200

#define ZRAM_DEFAULT	 "50%"
#define ZRAM_PERCENT_MAX 90 /* the program needs pages to work on */
#define ZRAM_BYTES_MIN	 ((uint64_t)256 << 10)

static int ram_check(const char *text, uint64_t bytes, uint64_t available)
{
	char have[SIZE_TEXT_MAX], suggestion[SIZE_TEXT_MAX];

	if (available < RUN_RAM_MIN) {
		complain("--ram %s: only %s can be had here, less than the %s that the manager "
			 "needs; free some memory first",
			 text, size_format(available, have),
			 size_format(RUN_RAM_MIN, suggestion));
		return EXIT_USAGE;
	}
	if (bytes > available) {
		complain("--ram %s: only %s can be had here; try --ram %s", text,
			 size_format(available, have), size_suggest(available, suggestion));
		return EXIT_USAGE;
	}
	if (bytes < RUN_RAM_MIN) {
		complain("--ram %s: the manager needs %s at least; try --ram %s", text,
			 size_format(RUN_RAM_MIN, have), size_suggest(RUN_RAM_MIN, suggestion));
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

static int read_ram(const char *text, uint64_t available, struct run_settings *settings)
{
	struct size_value size = {.amount = UINT64_MAX}; /* for -ERANGE: too much anywhere */
	uint64_t bytes;
	int err, status;

	if (!text) {
		complain("run: --ram is missing; try ration run --ram 256M PROGRAM");
		return EXIT_USAGE;
	}
	err = size_parse(text, &size);
	if (err == -EINVAL) {
		complain("--ram %s: not a size; write it as 256M, 1.5G or 25%%", text);
		return EXIT_USAGE;
	}
	bytes = size.is_percent ? size_share_of(available, size.amount) : size.amount;
	status = ram_check(text, bytes, available);
	if (status)
		return status;
	settings->ram_bytes = align_down(bytes, PAGE_SIZE);
	return EXIT_OK;
}

/* What stands after the comma. False: neither codec. */
static bool read_codec(const char *name, uint32_t *ret_codec)
{
	for (uint32_t kind = 0; kind < NR_ZCODECS; kind++) {
		if (strcmp(name, zcodec_names[kind]) != 0)
			continue;
		*ret_codec = kind;
		return true;
	}
	return false;
}

static int zram_refused(const char *text, const char *why)
{
	complain("--zram %s: %s; write it as 50%%, 128M, 50%%,zstd or off", text, why);
	return EXIT_USAGE;
}

/* SIZE or a part of --ram, then perhaps a codec; or off. */
static int read_zram(const char *text, struct run_settings *settings)
{
	const char *given = text ? text : ZRAM_DEFAULT;
	size_t len = strcspn(given, ",");
	struct size_value size;
	char first[SIZE_TEXT_MAX];

	settings->zram_codec = ZCODEC_LZ4;
	if (given[len] == ',' && !read_codec(given + len + 1, &settings->zram_codec))
		return zram_refused(given, "after the comma there may be lz4 or zstd");
	if (len >= sizeof(first))
		return zram_refused(given, "not a size");
	memcpy(first, given, len);
	first[len] = '\0';
	settings->zram_bytes = 0;
	if (!strcmp(first, "off"))
		return EXIT_OK;
	if (size_parse(first, &size))
		return zram_refused(given, "not a size");
	if (size.is_percent)
		size.amount = size_share_of(settings->ram_bytes, size.amount);
	if (size.amount > settings->ram_bytes / 100 * ZRAM_PERCENT_MAX)
		return zram_refused(given, "more than 90% of --ram, which it is a part of");
	if (size.amount < ZRAM_BYTES_MIN)
		return zram_refused(given, "less than 256K, which holds nothing");
	settings->zram_bytes = align_down(size.amount, PAGE_SIZE);
	return EXIT_OK;
}

static int read_swap(const char *text, struct run_settings *settings)
{
	switch (swap_spec_parse(text, &settings->swaps[settings->nr_swaps])) {
	case 0:
		settings->nr_swaps++;
		return EXIT_OK;
	case -EDOM:
		complain("--swap %s: a percentage of what? try a size, as in --swap FILE:1G",
			 text);
		return EXIT_USAGE;
	case -ERANGE:
		complain("--swap %s: no disk is that large; try --swap FILE:1G", text);
		return EXIT_USAGE;
	case -ENOMEM:
		complain("--swap %s: %s", text, strerror(ENOMEM));
		return EXIT_TROUBLE;
	default:
		complain("--swap %s: wants a file and a size above 0, as in --swap FILE:1G",
			 text);
		return EXIT_USAGE;
	}
}

static int read_swaps(const struct run_options *options, struct run_settings *settings)
{
	if (options->nr_swaps > RUN_AREAS_MAX) {
		complain("--swap: %u areas are the most; join some",
			 (unsigned int)RUN_AREAS_MAX);
		return EXIT_USAGE;
	}
	for (unsigned int i = 0; i < options->nr_swaps; i++) {
		int status = read_swap(options->swaps[i], settings);

		if (status)
			return status;
	}
	return EXIT_OK;
}

static int read_swappiness(const char *text, struct run_settings *settings)
{
	struct size_value value;

	settings->swappiness = SWAPPINESS_DEFAULT;
	if (!text)
		return EXIT_OK;
	/* digits only: of what size_parse() reads, no unit and no percentage */
	if (strspn(text, "0123456789") != strlen(text) || size_parse(text, &value) ||
	    value.amount > SWAPPINESS_MAX) {
		complain("--swappiness %s: wants a whole number from 0 to %d", text,
			 SWAPPINESS_MAX);
		return EXIT_USAGE;
	}
	settings->swappiness = (uint32_t)value.amount;
	return EXIT_OK;
}

static int read_fault(const char *text, struct run_settings *settings)
{
	settings->fault_engine = RUN_FAULT_SIGNAL;
	settings->is_fault_given = text && strcmp(text, "auto") != 0;
	if (!settings->is_fault_given || !strcmp(text, "signal"))
		return EXIT_OK;
	settings->fault_engine = RUN_FAULT_THREAD;
	if (!strcmp(text, "thread"))
		return EXIT_OK;
	settings->fault_engine = RUN_FAULT_SEGV;
	if (!strcmp(text, "segv"))
		return EXIT_OK;
	complain("--fault %s: no such engine; there are --fault auto, --fault signal, "
		 "--fault thread and --fault segv",
		 text);
	return EXIT_USAGE;
}

static int read_stats(const char *text, struct run_settings *settings)
{
	settings->stats = REPORT_NONE;
	if (!text)
		return EXIT_OK;
	if (!strcmp(text, ""))
		settings->stats = REPORT_TABLE;
	else if (!strcmp(text, "json"))
		settings->stats = REPORT_JSON;
	if (settings->stats != REPORT_NONE)
		return EXIT_OK;
	complain("--stats=%s: no such form; there are --stats and --stats=json", text);
	return EXIT_USAGE;
}

/* RATION_TEST, a list with commas. */
static int read_test_switches(struct run_settings *settings)
{
	static const struct {
		const char *word;
		enum run_flags flag;
	} words[] = {
		{"no-move", RUN_NO_MOVE},
		{"no-uring", RUN_NO_URING},
		{"no-direct", RUN_NO_DIRECT},
	};
	const char *at = getenv("RATION_TEST");

	for (size_t len; at && *at; at += len + (at[len] == ',')) {
		bool is_known = false;

		len = strcspn(at, ",");
		for (unsigned int i = 0; i < sizeof(words) / sizeof(*words); i++) {
			if (strlen(words[i].word) != len || strncmp(at, words[i].word, len))
				continue;
			settings->flags |= words[i].flag;
			is_known = true;
		}
		if (!is_known) {
			complain("RATION_TEST=%s: knows no-move, no-uring and no-direct", at);
			return EXIT_USAGE;
		}
	}
	return EXIT_OK;
}

/**
 * settings_read() - what the options come to.
 * @available: bytes of RAM that can be had (hostmem_available()).
 * @ret_settings: to be freed with settings_free().
 *
 * Return: EXIT_OK; EXIT_USAGE or EXIT_TROUBLE after a line that says why.
 */
int settings_read(const struct run_options *options, uint64_t available,
		  struct run_settings *ret_settings)
{
	struct run_settings settings = {.argv = options->argv};
	int status = read_ram(options->ram, available, &settings);

	if (!status)
		status = read_zram(options->zram, &settings);
	if (!status)
		status = read_swaps(options, &settings);
	if (!status)
		status = read_swappiness(options->swappiness, &settings);
	if (!status)
		status = read_fault(options->fault, &settings);
	if (!status)
		status = read_stats(options->stats, &settings);
	if (!status)
		status = read_test_switches(&settings);
	if (!status && !options->argv[0]) {
		complain("run: PROGRAM is missing; try ration run --ram %s PROGRAM",
			 options->ram);
		status = EXIT_USAGE;
	}
	if (status)
		settings_free(&settings);
	else
		*ret_settings = settings;
	return status;
}

void settings_free(struct run_settings *settings)
{
	for (unsigned int i = 0; i < settings->nr_swaps; i++)
		free(settings->swaps[i].path);
	settings->nr_swaps = 0;
}
