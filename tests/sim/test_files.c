/* SPDX-License-Identifier: MIT */
/*
 * Files in a simulation: what is read, what is written back, who shares it.
 */
#include "support/test.h"

#include <string.h>

#include "policy/policy.h"
#include "sim/disk.h"
#include "sim/pattern.h"
#include "sim/replay.h"

#define MIB   ((uint64_t)1 << 20)
#define CHUNK 500

struct sim {
	struct sim_replay *replay;
	struct sim_result result;
};

static struct sim_config config(uint64_t ram_bytes, const char *disk)
{
	return (struct sim_config){
		.ram_bytes = ram_bytes,
		.swap_bytes = 64 * MIB,
		.swap = *swapdev_model_preset("nvme"),
		.file_disk = *swapdev_model_preset(disk),
		.swappiness = 60,
		.policy = policy_find("two-lists"),
		.costs = SIM_COSTS_DEFAULT,
	};
}

static void begin(struct sim *s, const struct sim_config *cfg)
{
	struct sim_error error;

	assert_int_equal(sim_replay_create(cfg, &s->replay, &error), 0);
}

static void access_page(struct sim *s, enum trace_op op, unsigned int file, uint64_t page)
{
	const struct trace_access access = {.va = page * PAGE_SIZE,
					    .size = op > TRACE_EXEC ? PAGE_SIZE : 8,
					    .pid = 1,
					    .op = (uint8_t)op,
					    .file = (uint8_t)file};
	struct sim_error error;

	assert_int_equal(sim_replay_run(s->replay, &access, 1, &error), 0);
}

static const uint64_t *vmstat(struct sim *s)
{
	assert_int_equal(sim_replay_check(s->replay), 0);
	sim_replay_finish(s->replay, &s->result);
	return s->result.vmstat;
}

static uint64_t pages_read(struct sim *s)
{
	return vmstat(s)[MM_VMSTAT_pgpgin] * 1024 / PAGE_SIZE;
}

/* In order: readahead fetches it once, and a second time through there is nothing to fetch. */
static void a_file_that_fits_is_read_once(void **state)
{
	struct sim_config cfg = config(32 * MIB, "nvme");
	uint64_t waited;
	struct sim s;

	(void)state;
	begin(&s, &cfg);
	for (uint64_t page = 0; page < 1000; page++)
		access_page(&s, TRACE_PREAD, 1, page);
	assert_in_range(pages_read(&s), 1000, 1064); /* at most two windows more */
	waited = s.result.wait_ns;
	assert_true(waited > 80000 && waited < (uint64_t)1000 * 80000 / 4);
	assert_int_equal(s.result.call_ns, 1000 * (800 + 400) / SIM_CYCLES_NS);
	for (uint64_t page = 0; page < 1000; page++)
		access_page(&s, page % 2 ? TRACE_PREAD : TRACE_READ, 1, page);
	assert_in_range(pages_read(&s), 1000, 1064);
	assert_int_equal(s.result.wait_ns, waited);
	assert_int_equal(s.result.nr_files, 1);
	assert_int_equal(s.result.vmstat[MM_VMSTAT_pgmajfault], 0);
	sim_replay_destroy(s.replay);
}

/* Of several files, and mapped: the first touch is a major fault. */
static void files_are_not_the_same(void **state)
{
	struct sim_config cfg = config(16 * MIB, "ssd");
	struct sim s;

	(void)state;
	begin(&s, &cfg);
	for (unsigned int file = 1; file <= SIM_FILES_MAX; file += SIM_FILES_MAX - 1)
		for (uint64_t page = 0; page < 8; page++)
			access_page(&s, TRACE_READ, file, page);
	vmstat(&s);
	assert_int_equal(s.result.nr_files, 2);
	assert_int_equal(s.result.nr_processes, 1);
	assert_int_equal(s.result.vmstat[MM_VMSTAT_pgmajfault], 2);
	sim_replay_destroy(s.replay);
}

/* What is dirty for 30 s is written: the reads of the other file take 12 ms each. */
static void what_is_old_is_written_back(void **state)
{
	struct sim_config cfg = config(64 * MIB, "hdd");
	struct sim s;

	(void)state;
	begin(&s, &cfg);
	for (uint64_t page = 0; page < 20; page++)
		access_page(&s, page % 2 ? TRACE_PWRITE : TRACE_WRITE, 1, page);
	assert_int_equal(vmstat(&s)[MM_VMSTAT_nr_written], 0);
	assert_int_equal(s.result.vmstat[MM_VMSTAT_nr_dirty], 20);
	for (uint64_t i = 0; i < 3000; i++)
		access_page(&s, TRACE_PREAD, 2, i * 977 % 100000);
	assert_int_equal(vmstat(&s)[MM_VMSTAT_nr_written], 20);
	assert_int_equal(s.result.vmstat[MM_VMSTAT_nr_dirty], 0);
	sim_replay_destroy(s.replay);
}

/* More is written than may be dirty: the writer waits, and the flusher writes. */
static void a_writer_of_much_waits_for_the_disk(void **state)
{
	struct sim_config cfg = config(16 * MIB, "ssd");
	struct sim s;

	(void)state;
	begin(&s, &cfg);
	for (uint64_t page = 0; page < 20000; page++)
		access_page(&s, TRACE_PWRITE, 1, page);
	assert_true(vmstat(&s)[MM_VMSTAT_nr_written] > 19000);
	assert_int_equal(s.result.vmstat[MM_VMSTAT_pgpgin],
			 0); /* whole pages: nothing to read */
	assert_int_equal(s.result.vmstat[MM_VMSTAT_pswpout], 0);
	/* 78 MiB at 500 MiB/s, less what is still in RAM. */
	assert_in_range(s.result.time_ns, 130000000, 200000000);
	sim_replay_destroy(s.replay);
}

/* Without memory to spare nobody sleeps until the flusher's next look, seconds later. */
static void little_memory_is_no_reason_to_sleep(void **state)
{
	struct sim_config cfg = config(2 * MIB, "nvme");
	struct sim s;

	(void)state;
	begin(&s, &cfg);
	for (uint64_t page = 0; page < 20000; page++)
		access_page(&s, page % 2 ? TRACE_PREAD : TRACE_PWRITE, 1, page);
	vmstat(&s);
	assert_true(s.result.time_ns < (uint64_t)20000 * 150000);
	sim_replay_destroy(s.replay);
}

static void run_mix(const struct sim_config *cfg)
{
	struct trace_access accesses[CHUNK];
	struct pattern_spec spec;
	struct sim_error error;
	struct pattern *p;
	unsigned int nr;
	struct sim s;

	assert_int_equal(
		pattern_parse(
			"mix,pages=1500,file=1500,accesses=10000,processes=3,file-writes=40", 1,
			&spec, &error),
		0);
	assert_int_equal(pattern_create(&spec, &p), 0);
	begin(&s, cfg);
	while ((nr = pattern_next(p, accesses, CHUNK)) > 0) {
		assert_int_equal(sim_replay_run(s.replay, accesses, nr, &error), 0);
		assert_int_equal(sim_replay_check(s.replay), 0);
	}
	vmstat(&s);
	assert_int_equal(s.result.vmstat[MM_VMSTAT_pgscan_anon] +
				 s.result.vmstat[MM_VMSTAT_pgscan_file],
			 s.result.vmstat[MM_VMSTAT_pgscan_kswapd] +
				 s.result.vmstat[MM_VMSTAT_pgscan_direct]);
	assert_true(s.result.vmstat[MM_VMSTAT_pgsteal_anon] > 0);
	assert_true(s.result.vmstat[MM_VMSTAT_pgsteal_file] > 0);
	assert_int_equal(s.result.nr_accesses, 10000);
	sim_replay_destroy(s.replay);
	pattern_destroy(p);
}

/* Everything holds at any moment, whoever decides what leaves. */
static void every_policy_takes_files(void **state)
{
	(void)state;
	for (unsigned int i = 0; policy_at(i); i++) {
		struct sim_config cfg = config(10 * MIB, i % 2 ? "hdd" : "nvme");

		cfg.policy = policy_at(i);
		cfg.tlb = i % 2 ? tlb_preset_find("skylake") : NULL;
		cfg.thp_64k = i % 3 ? MM_THP_ALWAYS : MM_THP_NEVER;
		run_mix(&cfg);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_file_that_fits_is_read_once),
	cmocka_unit_test(files_are_not_the_same),
	cmocka_unit_test(what_is_old_is_written_back),
	cmocka_unit_test(a_writer_of_much_waits_for_the_disk),
	cmocka_unit_test(little_memory_is_no_reason_to_sleep),
	cmocka_unit_test(every_policy_takes_files),
};
TEST_MAIN(tests)
