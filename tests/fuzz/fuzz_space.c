/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as the header of a saved space (sim/save.h): it is refused with a line, or it is
 * one that a simulation could have. Checked as it is, and with the magic, the version and the
 * checksum put right, without which nothing behind them would be reached.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "sim/save.h"

static void must(bool is_true, const char *what)
{
	if (is_true)
		return;
	fprintf(stderr, "fuzz_space: not so: %s\n", what);
	abort();
}

static void parse(const uint8_t *header)
{
	struct sim_error error = {.why = ""};
	struct sim_saved saved;

	if (sim_saved_parse(header, &saved, &error)) {
		must(error.why[0] != '\0' && !strchr(error.why, '\n'), "a refusal is one line");
		return;
	}
	must(saved.cfg.ram_bytes >= SIM_RAM_MIN && saved.cfg.ram_bytes % PAGE_SIZE == 0,
	     "RAM is a size");
	must(saved.cfg.policy != NULL, "there is a policy");
	must(saved.cfg.swappiness <= 200 && saved.cfg.page_cluster <= 5,
	     "tunables are in range");
	must(memchr(saved.source, '\0', sizeof(saved.source)) != NULL,
	     "the source's name ends");
}

static void put_right(uint8_t *header)
{
	uint32_t crc;

	memcpy(header, "\x89RSPACE\n\1\0\0\0", 12);
	crc = sim_saved_crc(header);
	for (unsigned int i = 0; i < 4; i++)
		header[12 + i] = (uint8_t)(crc >> (8 * i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t header[SIM_SAVED_HEADER] = {0};

	memcpy(header, data, size < sizeof(header) ? size : sizeof(header));
	parse(header);
	put_right(header);
	parse(header);
	return 0;
}
