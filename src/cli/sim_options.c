/* SPDX-License-Identifier: MIT */
/*
 * The options of `ration sim`, checked one by one; the first that is wrong gets its line.
 */
#include "cli/sim_options.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "run/complain.h"
#include "run/size.h"
#include "sim/pattern.h"

#define RAM_DEFAULT	     "128M"
#define RAM_MAX		     ((uint64_t)1 << 40)
#define SWAP_MAX	     ((uint64_t)8 << 40) /* of 32-bit slots half */
#define SWAP_DEFAULT_MIN     ((uint64_t)1 << 30)
#define SWAP_DEFAULT_TIMES   8
#define DEVICE_DEFAULT	     "nvme"
#define SWAPPINESS_DEFAULT   60
#define SWAPPINESS_MAX	     200
#define PAGE_CLUSTER_DEFAULT 3
#define PAGE_CLUSTER_MAX     5
#define SEED_DEFAULT	     1
#define TEXT_MAX	     64

struct whole_option {
	const char *name, *text; /* NULL: not given */
	uint64_t max, value_default;
};

static int read_whole(const struct whole_option *option, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (!option->text) {
		*ret_value = option->value_default;
		return EXIT_OK;
	}
	for (const char *at = option->text; *at || at == option->text; at++) {
		if (*at < '0' || *at > '9' || !checked_mul(value, 10, &value) ||
		    !checked_add(value, (uint64_t)(*at - '0'), &value) || value > option->max) {
			complain("--%s %s: wants a whole number from 0 to %llu", option->name,
				 option->text, (unsigned long long)option->max);
			return EXIT_USAGE;
		}
	}
	*ret_value = value;
	return EXIT_OK;
}

/* Bytes, and no percentage: there is nothing here that it could be of. */
static int read_size(const char *text, uint64_t *ret_bytes)
{
	struct size_value size;
	int err = size_parse(text, &size);

	if (err)
		return err;
	if (size.is_percent)
		return -EINVAL;
	*ret_bytes = size.amount;
	return 0;
}

static int check_ram(const char *option, const char *text, uint64_t *bytes, int err)
{
	if (err == -EINVAL) {
		complain("--%s %s: not a size; write it as 256M or 1.5G", option, text);
		return EXIT_USAGE;
	}
	if (err || *bytes > RAM_MAX) {
		complain("--%s %s: 1T is the most that is simulated", option, text);
		return EXIT_USAGE;
	}
	if (*bytes < SIM_RAM_MIN) {
		complain("--%s %s: the manager needs 1M at least", option, text);
		return EXIT_USAGE;
	}
	*bytes = align_down(*bytes, PAGE_SIZE);
	return EXIT_OK;
}

static int read_ram(const char *option, const char *text, uint64_t *ret_bytes)
{
	uint64_t bytes = 0;
	int status = check_ram(option, text, &bytes, read_size(text, &bytes));

	if (status == EXIT_OK)
		*ret_bytes = bytes;
	return status;
}

static int bad_sweep(const char *text)
{
	complain("--sweep %s: wants ram=FIRST..LAST:ROWS, as in ram=64M..1G:8, with 2 to %d "
		 "rows",
		 text, SIM_ROWS_MAX);
	return EXIT_USAGE;
}

/* ram=FIRST..LAST:ROWS; "1.5G..2G:3" too. */
static int read_sweep(const char *text, struct sim_request *request)
{
	char first[TEXT_MAX], last[TEXT_MAX];
	const char *dots = strstr(text, ".."), *colon = strrchr(text, ':');
	unsigned int nr_rows = 0;
	int status;

	if (strncmp(text, "ram=", 4) || !dots || !colon || colon < dots + 2 ||
	    dots - text - 4 >= TEXT_MAX || colon - dots - 2 >= TEXT_MAX)
		return bad_sweep(text);
	for (const char *at = colon + 1; *at; at++) {
		if (*at < '0' || *at > '9' || nr_rows > SIM_ROWS_MAX)
			return bad_sweep(text);
		nr_rows = nr_rows * 10 + (unsigned int)(*at - '0');
	}
	if (nr_rows < 2 || nr_rows > SIM_ROWS_MAX)
		return bad_sweep(text);
	memcpy(first, text + 4, (size_t)(dots - text - 4));
	first[dots - text - 4] = '\0';
	memcpy(last, dots + 2, (size_t)(colon - dots - 2));
	last[colon - dots - 2] = '\0';
	status = read_ram("sweep", first, &request->cfg.ram_bytes);
	if (status == EXIT_OK)
		status = read_ram("sweep", last, &request->ram_last);
	if (status == EXIT_OK && request->ram_last <= request->cfg.ram_bytes) {
		complain("--sweep %s: the last size must be above the first", text);
		status = EXIT_USAGE;
	}
	request->nr_rows = nr_rows;
	return status;
}

static int read_rams(const struct sim_options *options, struct sim_request *request)
{
	request->nr_rows = 1;
	if (options->sweep && options->ram) {
		complain("--ram and --sweep: give one of the two");
		return EXIT_USAGE;
	}
	if (options->sweep)
		return read_sweep(options->sweep, request);
	request->ram_last = 0;
	return read_ram("ram", options->ram ? options->ram : RAM_DEFAULT,
			&request->cfg.ram_bytes);
}

/* text: the whole value of the option, for the complaint. */
static int read_device(const char *option, const char *text, const char *name,
		       struct swapdev_model_params *ret_params)
{
	const struct swapdev_model_params *params = swapdev_model_preset(name);
	char names[128] = "";

	if (params) {
		*ret_params = *params;
		return EXIT_OK;
	}
	for (unsigned int i = 0; swapdev_model_preset_at(i); i++) {
		strcat(names, i ? ", " : "");
		strcat(names, swapdev_model_preset_at(i)->name);
	}
	complain("--%s %s: the devices are %s", option, text, names);
	return EXIT_USAGE;
}

/* SIZE[:DEVICE] or none. */
static int read_swap_text(const char *text, struct sim_config *cfg)
{
	const char *colon = strchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : strlen(text);
	char size[TEXT_MAX];
	uint64_t bytes = 0;
	int err = -EINVAL;

	cfg->swap_bytes = 0;
	if (!strcmp(text, "none"))
		return EXIT_OK;
	if (len < sizeof(size)) {
		memcpy(size, text, len);
		size[len] = '\0';
		err = read_size(size, &bytes);
	}
	if (err == -EINVAL || (!err && bytes < PAGE_SIZE)) {
		complain("--swap %s: wants none, or a size with or without a device, as in "
			 "1G:ssd",
			 text);
		return EXIT_USAGE;
	}
	if (err || bytes > SWAP_MAX) {
		complain("--swap %s: 8T is the most that is simulated", text);
		return EXIT_USAGE;
	}
	cfg->swap_bytes = align_down(bytes, PAGE_SIZE);
	return read_device("swap", text, colon ? colon + 1 : DEVICE_DEFAULT, &cfg->swap);
}

static int read_swap(const char *text, struct sim_request *request)
{
	uint64_t ram = max_u64(request->cfg.ram_bytes, request->ram_last);

	if (text)
		return read_swap_text(text, &request->cfg);
	request->cfg.swap = *swapdev_model_preset(DEVICE_DEFAULT);
	request->cfg.swap_bytes = max_u64(ram * SWAP_DEFAULT_TIMES, SWAP_DEFAULT_MIN);
	return EXIT_OK;
}

static int read_files(const char *text, struct sim_config *cfg)
{
	if (!text)
		text = DEVICE_DEFAULT;
	return read_device("files", text, text, &cfg->file_disk);
}

static int read_policy(const char *text, struct sim_config *cfg)
{
	char names[256] = "";

	if (text && !strcmp(text, SIM_POLICY_OPT))
		return EXIT_OK;
	cfg->policy = sim_policy(text ? text : SIM_POLICY_DEFAULT);
	if (cfg->policy)
		return EXIT_OK;
	for (unsigned int i = 0; sim_policy_name_at(i); i++) {
		strcat(names, i ? ", " : "");
		strcat(names, sim_policy_name_at(i));
	}
	complain("--policy %s: there is no such policy, but %s, " SIM_POLICY_OPT, text, names);
	return EXIT_USAGE;
}

static int read_thp(const char *text, struct sim_config *cfg)
{
	static const struct {
		const char *name;
		enum mm_thp thp, thp_64k;
	} values[] = {
		{"never", MM_THP_NEVER, MM_THP_NEVER},
		{"madvise", MM_THP_NEVER, MM_THP_NEVER}, /* no source has advice */
		{"64k", MM_THP_NEVER, MM_THP_ALWAYS},
		{"always", MM_THP_ALWAYS, MM_THP_NEVER},
		{"both", MM_THP_ALWAYS, MM_THP_ALWAYS},
	};

	if (!text)
		text = values[0].name;
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		if (strcmp(text, values[i].name) != 0)
			continue;
		cfg->thp = values[i].thp;
		cfg->thp_64k = values[i].thp_64k;
		return EXIT_OK;
	}
	complain("--thp %s: wants never, madvise, always, 64k or both", text);
	return EXIT_USAGE;
}

static int read_tlb(const char *text, struct sim_config *cfg)
{
	if (!text)
		text = SIM_TLB_DEFAULT;
	cfg->tlb = NULL;
	if (!strcmp(text, "none"))
		return EXIT_OK;
	cfg->tlb = tlb_preset_find(text);
	if (cfg->tlb)
		return EXIT_OK;
	complain("--tlb %s: there is no such processor; try --tlb help", text);
	return EXIT_USAGE;
}

static int read_numbers(const struct sim_options *options, struct sim_request *request)
{
	const struct whole_option swappiness = {"swappiness", options->swappiness,
						SWAPPINESS_MAX, SWAPPINESS_DEFAULT};
	const struct whole_option cluster = {"page-cluster", options->page_cluster,
					     PAGE_CLUSTER_MAX, PAGE_CLUSTER_DEFAULT};
	const struct whole_option seed = {"seed", options->seed, UINT64_MAX, SEED_DEFAULT};
	uint64_t value = 0;
	int status = read_whole(&swappiness, &value);

	if (status)
		return status;
	request->cfg.swappiness = (uint32_t)value;
	status = read_whole(&cluster, &value);
	if (status)
		return status;
	request->cfg.page_cluster = (uint32_t)value;
	return read_whole(&seed, &request->seed);
}

/* A pattern is checked here, so that a mistake in it is a mistake in the command line. */
static int read_source(const char *text, struct sim_request *request)
{
	struct pattern_spec unused;
	struct sim_error error;

	if (!text || !*text) {
		complain("sim: SOURCE is %s; try ration sim --help",
			 text ? "empty" : "missing");
		return EXIT_USAGE;
	}
	if (access(text, F_OK) != 0 && pattern_is_name(text)) {
		complain("%s: no such file; the pattern is written " PATTERN_PREFIX "%s", text,
			 text);
		return EXIT_USAGE;
	}
	request->source = text;
	if (!strncmp(text, PATTERN_PREFIX, strlen(PATTERN_PREFIX)) &&
	    pattern_parse(text + strlen(PATTERN_PREFIX), request->seed, &unused, &error)) {
		complain("%s", error.why);
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

/* What is there already is replaced, so it has to be a file. */
static int check_save(const struct sim_options *options, const struct sim_request *request)
{
	struct stat st;

	if (!options->save)
		return EXIT_OK;
	if (request->nr_rows > 1 || !request->cfg.policy) {
		complain("--save: one space is saved; leave out --sweep, and "
			 "--policy " SIM_POLICY_OPT);
		return EXIT_USAGE;
	}
	if (!*options->save) {
		complain("--save: wants the name of a file");
		return EXIT_USAGE;
	}
	if (stat(options->save, &st) == 0 && !S_ISREG(st.st_mode)) {
		complain("--save %s: is there, and no file; give it another name",
			 options->save);
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

int sim_options_read(const struct sim_options *options, struct sim_request *ret_request)
{
	struct sim_request request = {.cfg = {.costs = SIM_COSTS_DEFAULT}};
	int status = read_rams(options, &request);

	request.save = options->save;
	if (!status)
		status = read_swap(options->swap, &request);
	if (!status)
		status = read_files(options->files, &request.cfg);
	if (!status)
		status = read_numbers(options, &request);
	if (!status)
		status = read_policy(options->policy, &request.cfg);
	if (!status)
		status = read_tlb(options->tlb, &request.cfg);
	if (!status)
		status = read_thp(options->thp, &request.cfg);
	if (!status)
		status = read_source(options->source, &request);
	if (!status)
		status = check_save(options, &request);
	if (!status)
		*ret_request = request;
	return status;
}
