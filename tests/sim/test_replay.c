/* SPDX-License-Identifier: MIT */
/*
 * A simulation against what theory says of it.
 */
#include "support/test.h"

#include <errno.h>
#include <string.h>

#include "policy/policy.h"
#include "sim/pattern.h"
#include "sim/replay.h"
#include "sim/sweep.h"

#define CHUNK 512
#define MIB   ((uint64_t)1 << 20)

static struct sim_config config(uint64_t ram_bytes, uint64_t swap_bytes)
{
	return (struct sim_config){
		.ram_bytes = ram_bytes,
		.swap_bytes = swap_bytes,
		.swap = *swapdev_model_preset("nvme"),
		.file_disk = *swapdev_model_preset("nvme"),
		.swappiness = 60,
		.policy = policy_find("two-lists"),
		.costs = SIM_COSTS_DEFAULT,
	};
}

/* The manager is looked at after every chunk. Return: what stopped it. */
static int run_pattern(const struct sim_config *cfg, const char *text,
		       struct sim_result *ret_result)
{
	struct trace_access accesses[CHUNK];
	struct pattern_spec spec;
	struct sim_error error;
	struct sim_replay *r;
	struct pattern *p;
	unsigned int nr;
	int err = 0;

	assert_int_equal(pattern_parse(text, 1, &spec, &error), 0);
	assert_int_equal(pattern_create(&spec, &p), 0);
	assert_int_equal(sim_replay_create(cfg, &r, &error), 0);
	for (unsigned int i = 0; !err && (nr = pattern_next(p, accesses, CHUNK)) > 0; i++) {
		err = sim_replay_run(r, accesses, nr, &error);
		if (i % 16 == 0)
			assert_int_equal(sim_replay_check(r), 0);
	}
	sim_replay_finish(r, ret_result);
	assert_int_equal(sim_replay_check(r), 0);
	sim_replay_destroy(r);
	pattern_destroy(p);
	return err;
}

static int run_accesses(const struct trace_access *accesses, unsigned int nr,
			struct sim_result *ret_result, struct sim_error *error)
{
	struct sim_config cfg = config(8 * MIB, 0);
	struct sim_replay *r;
	int err;

	assert_int_equal(sim_replay_create(&cfg, &r, error), 0);
	err = sim_replay_run(r, accesses, nr, error);
	sim_replay_finish(r, ret_result);
	assert_int_equal(sim_replay_check(r), 0);
	sim_replay_destroy(r);
	return err;
}

/* What fits is touched once for each page, and never again. */
static void a_set_that_fits_faults_once_a_page(void **state)
{
	struct sim_config cfg = config(32 * MIB, 64 * MIB);
	struct sim_costs costs = SIM_COSTS_DEFAULT;
	struct sim_result result;

	(void)state;
	assert_int_equal(run_pattern(&cfg, "sequential,pages=4096,passes=10", &result), 0);
	assert_int_equal(result.nr_accesses, 40960);
	assert_int_equal(result.nr_references, 40960);
	assert_int_equal(result.vmstat[MM_VMSTAT_pgfault], 4096);
	assert_int_equal(result.vmstat[MM_VMSTAT_pgmajfault], 0);
	assert_int_equal(result.vmstat[MM_VMSTAT_pswpout], 0);
	assert_int_equal(result.resident_peak, 4096);
	assert_int_equal(result.vmstat[MM_VMSTAT_nr_touched_peak], 4096);
	assert_int_equal(result.wait_ns, 0);
	assert_int_equal(result.time_ns,
			 (40960 * costs.access + 4096 * costs.minor_fault) / SIM_CYCLES_NS);
}

/*
 * A cyclic scan of more than fits is the worst case of LRU and all that is like it: each page
 * leaves before its turn comes again, so every reference after the first pass is a miss.
 * Without readahead every miss is a major fault that reads one page.
 */
static void a_cyclic_scan_of_more_than_fits_always_misses(void **state)
{
	struct sim_config cfg = config(8 * MIB, 64 * MIB);
	struct sim_result result;

	(void)state;
	assert_int_equal(
		run_pattern(&cfg, "sequential,pages=4096,passes=5,writes=100", &result), 0);
	assert_int_equal(result.vmstat[MM_VMSTAT_pgfault], 5 * 4096);
	assert_int_equal(result.vmstat[MM_VMSTAT_pgmajfault], 4 * 4096);
	assert_int_equal(result.vmstat[MM_VMSTAT_pswpin], 4 * 4096);
	assert_int_equal(result.vmstat[MM_VMSTAT_swap_ra], 0);
	assert_true(result.resident_peak < 8 * MIB / PAGE_SIZE);
	assert_int_equal(result.vmstat[MM_VMSTAT_nr_touched_peak], 4096);
	/* Each miss waits for the device: its latency, and the transfer. */
	assert_true(result.wait_ns >= (uint64_t)4 * 4096 * 80000);
	assert_true(result.time_ns > result.wait_ns + result.fault_ns);
}

/*
 * Every policy gives each page of a set that fits one fault, and of one that does not at least
 * one.
 */
static void every_policy_replays(void **state)
{
	(void)state;
	for (unsigned int i = 0; policy_at(i); i++) {
		struct sim_config cfg = config(8 * MIB, 64 * MIB);
		struct sim_result fits, not ;

		cfg.policy = policy_at(i);
		cfg.seed = 1;
		assert_int_equal(run_pattern(&cfg, "sequential,pages=1000,passes=3", &fits), 0);
		assert_int_equal(fits.vmstat[MM_VMSTAT_pgfault], 1000);
		assert_int_equal(run_pattern(&cfg, "zipf,pages=4096,accesses=40000", &not ), 0);
		assert_true(not .vmstat[MM_VMSTAT_pgmajfault] > 100);
		assert_true(not .resident_peak < 8 * MIB / PAGE_SIZE);
	}
}

static struct sim_config config_tlb(uint64_t ram_bytes, const char *preset)
{
	struct sim_config cfg = config(ram_bytes, 64 * MIB);

	cfg.tlb = tlb_preset_find(preset);
	assert_non_null(cfg.tlb);
	return cfg;
}

/*
 * 1000 pages in order, again and again, lie in Skylake's second level (128 sets of 12), and
 * never in its first (16 sets of 4) when their turn comes. Each is walked for once to fault,
 * and once to succeed; the walk that faults reads no table but the last, or is in a new one.
 */
static void a_set_that_the_second_level_holds_walks_once_a_page(void **state)
{
	struct sim_config cfg = config_tlb(32 * MIB, "skylake");
	struct sim_result result;
	uint64_t cycles;

	(void)state;
	assert_int_equal(run_pattern(&cfg, "sequential,pages=1000,passes=5,writes=0", &result),
			 0);
	assert_int_equal(result.nr_references, 5000);
	assert_int_equal(result.vmstat[MM_VMSTAT_pgfault], 1000);
	assert_int_equal(result.tlb.walks_faulted[TLB_DATA], 1000);
	assert_int_equal(result.tlb.walks[TLB_DATA][TLB_4K], 1000);
	assert_int_equal(result.tlb.hits[1][TLB_DATA][TLB_4K], 4000);
	assert_int_equal(result.tlb.hits[0][TLB_DATA][TLB_4K], 0);
	assert_int_equal(tlb_walks(&result.tlb), 2000);
	cycles = 2000 * cfg.tlb->cycles.walk + 4000 * cfg.tlb->cycles.l2_hit +
		 result.tlb.walk_steps * cfg.tlb->cycles.walk_step;
	assert_int_equal(result.tlb_ns, cycles / SIM_CYCLES_NS);
	assert_int_equal(result.time_ns,
			 (5000 * cfg.costs.access + 1000 * cfg.costs.minor_fault + cycles) /
				 SIM_CYCLES_NS);
}

/* The first write to a page that was only read walks once more, to set the dirty bit. */
static void a_first_write_walks_again(void **state)
{
	struct trace_access accesses[] = {{0x1000, 8, 0, TRACE_READ},
					  {0x1000, 8, 0, TRACE_WRITE},
					  {0x1000, 8, 0, TRACE_WRITE}};
	struct sim_config cfg = config_tlb(8 * MIB, "zen2");
	struct sim_result result;
	struct sim_error error;
	struct sim_replay *r;

	(void)state;
	assert_int_equal(sim_replay_create(&cfg, &r, &error), 0);
	assert_int_equal(sim_replay_run(r, accesses, 3, &error), 0);
	sim_replay_finish(r, &result);
	sim_replay_destroy(r);
	assert_int_equal(result.vmstat[MM_VMSTAT_pgfault], 1);
	assert_int_equal(result.tlb.walks[TLB_DATA][TLB_4K], 2);
	assert_int_equal(result.tlb.hits[0][TLB_DATA][TLB_4K], 1);
}

/* A reference is a hit of one level or a walk; one that faulted was made again. */
static void every_reference_is_a_hit_or_a_walk(void **state)
{
	(void)state;
	for (size_t i = 0; i < tlb_nr_presets; i++) {
		struct sim_config cfg = config_tlb(8 * MIB, tlb_presets[i].name);
		uint64_t nr = 0, faulted;
		struct sim_result result;

		assert_int_equal(
			run_pattern(&cfg, "processes,pages=1500,accesses=60000", &result), 0);
		for (unsigned int kind = 0; kind < TLB_NR_KINDS; kind++)
			for (unsigned int size = 0; size < TLB_NR_SIZES; size++)
				nr += result.tlb.hits[0][kind][size] +
				      result.tlb.hits[1][kind][size] +
				      result.tlb.walks[kind][size];
		faulted = result.tlb.walks_faulted[TLB_INSTR] +
			  result.tlb.walks_faulted[TLB_DATA];
		assert_int_equal(nr, result.nr_references);
		assert_true(faulted >= result.vmstat[MM_VMSTAT_pgfault]);
		assert_true(result.vmstat[MM_VMSTAT_pswpin] > 0);
		assert_true(result.tlb.page_invalidations >= result.vmstat[MM_VMSTAT_pswpin]);
		assert_true(tlb_walk_hits(&result.tlb) <= tlb_walks(&result.tlb));
	}
}

/* Each region of 2 MiB is one page: one fault, one entry of the TLB, one walk that succeeds. */
static void huge_pages_fault_once_each(void **state)
{
	static const char *const presets[] = {NULL, "skylake", "cortex-a76"};

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		struct sim_config cfg = config(64 * MIB, 64 * MIB);
		struct sim_result result;

		cfg.tlb = presets[i] ? tlb_preset_find(presets[i]) : NULL;
		cfg.thp = MM_THP_ALWAYS;
		assert_int_equal(
			run_pattern(&cfg, "sequential,pages=4096,passes=3,writes=100", &result),
			0);
		assert_int_equal(result.vmstat[MM_VMSTAT_pgfault], 8);
		assert_int_equal(result.vmstat[MM_VMSTAT_thp_fault_alloc], 8);
		assert_int_equal(result.resident_peak, 4096);
		assert_int_equal(result.tlb.walks[TLB_DATA][TLB_2M], presets[i] ? 8 : 0);
		assert_int_equal(result.tlb.walks[TLB_DATA][TLB_4K], 0);
	}
}

static void pages_of_64k_fault_once_each(void **state)
{
	struct sim_config cfg = config_tlb(64 * MIB, "cortex-a76");
	struct sim_result result;

	(void)state;
	cfg.thp_64k = MM_THP_ALWAYS;
	assert_int_equal(
		run_pattern(&cfg, "sequential,pages=4096,passes=3,writes=100", &result), 0);
	assert_int_equal(result.vmstat[MM_VMSTAT_pgfault], 4096 / 16);
	assert_int_equal(result.vmstat[MM_VMSTAT_anon_64k_fault_alloc], 4096 / 16);
	assert_int_equal(result.tlb.walks[TLB_DATA][TLB_64K], 4096 / 16);
}

/* Under pressure large pages are split, and none of their parts is lost or counted twice. */
static void huge_pages_are_split_under_pressure(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		struct sim_config cfg = config(16 * MIB, 128 * MIB);
		struct sim_result result;

		cfg.tlb = i % 2 ? tlb_preset_find("zen2") : NULL;
		cfg.thp = i < 2 ? MM_THP_ALWAYS : MM_THP_NEVER;
		cfg.thp_64k = MM_THP_ALWAYS;
		assert_int_equal(run_pattern(&cfg, "zipf,pages=8192,accesses=60000", &result),
				 0);
		assert_true(result.vmstat[MM_VMSTAT_thp_split_page] > 0 || i >= 2);
		assert_true(result.vmstat[MM_VMSTAT_pgmajfault] > 0);
	}
}

/* What was only read is written out once, and after that has its copy in swap. */
static void clean_pages_are_written_once(void **state)
{
	struct sim_config cfg = config(8 * MIB, 64 * MIB);
	struct sim_result result;

	(void)state;
	assert_int_equal(run_pattern(&cfg, "sequential,pages=4096,passes=5,writes=0", &result),
			 0);
	assert_int_equal(result.vmstat[MM_VMSTAT_pgmajfault], 4 * 4096);
	assert_true(result.vmstat[MM_VMSTAT_pswpout] <= 4096);
}

static void readahead_turns_major_faults_into_minor(void **state)
{
	struct sim_config cfg = config(8 * MIB, 64 * MIB);
	struct sim_result without, with;

	(void)state;
	assert_int_equal(run_pattern(&cfg, "sequential,pages=4096,passes=5", &without), 0);
	cfg.page_cluster = 3;
	assert_int_equal(run_pattern(&cfg, "sequential,pages=4096,passes=5", &with), 0);
	assert_true(with.vmstat[MM_VMSTAT_pgmajfault] * 2 <
		    without.vmstat[MM_VMSTAT_pgmajfault]);
	assert_true(with.vmstat[MM_VMSTAT_swap_ra_hit] > 0);
	assert_true(with.time_ns < without.time_ns);
}

static void a_slower_device_takes_longer_for_the_same(void **state)
{
	static const char *const names[] = {"zram", "nvme", "ssd", "hdd"};
	uint64_t last_ns = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct sim_config cfg = config(8 * MIB, 64 * MIB);
		struct sim_result result;

		cfg.swap = *swapdev_model_preset(names[i]);
		assert_int_equal(
			run_pattern(&cfg, "uniform,pages=3000,accesses=20000", &result), 0);
		assert_true(result.time_ns > last_ns);
		last_ns = result.time_ns;
	}
}

static void out_of_memory_says_how_far_it_came(void **state)
{
	struct sim_config cfg = config(8 * MIB, 4 * MIB);
	struct sim_result result;

	(void)state;
	assert_int_equal(run_pattern(&cfg, "sequential,pages=8192,passes=1", &result), -ENOMEM);
	assert_true(result.is_out_of_memory);
	/* RAM without the manager's own, and swap: every access was to a new page. */
	assert_in_range(result.nr_accesses, 2048 + 1024 - 400, 2048 + 1024);
	cfg.swap_bytes = 0;
	assert_int_equal(run_pattern(&cfg, "sequential,pages=8192,passes=1", &result), -ENOMEM);
	assert_in_range(result.nr_accesses, 2048 - 400, 2048);
}

static void processes_have_memory_of_their_own(void **state)
{
	struct sim_config cfg = config(64 * MIB, 0);
	struct sim_result result;

	(void)state;
	assert_int_equal(
		run_pattern(&cfg, "processes,processes=5,pages=10,accesses=50000,s=0,quantum=3",
			    &result),
		0);
	assert_int_equal(result.nr_processes, 5);
	assert_int_equal(result.vmstat[MM_VMSTAT_pgfault], 50);
}

/*	page 0        | page 1        | ...   page 511 | next region
 *	       [- 8 -]      and 3 pages from the end of one region into the next */
static void an_access_touches_each_page_it_lies_in(void **state)
{
	static const struct trace_access accesses[] = {
		{.va = 0x200000 + 4092, .size = 8},
		{.va = 0x400000 - 2 * PAGE_SIZE, .size = 3 * PAGE_SIZE, .op = TRACE_WRITE},
		{.va = 0x400000, .size = 1, .op = TRACE_EXEC},
		{.va = 0x7ffffffff000 - 1, .size = 1},
		{.va = 0, .size = 1},
	};
	struct sim_result result;
	struct sim_error error;

	(void)state;
	assert_int_equal(run_accesses(accesses, 5, &result, &error), 0);
	assert_int_equal(result.nr_accesses, 5);
	assert_int_equal(result.nr_references, 2 + 3 + 1 + 1 + 1);
	assert_int_equal(result.vmstat[MM_VMSTAT_pgfault], 2 + 3 + 1 + 1);
}

static void an_address_that_no_user_has_is_named(void **state)
{
	static const struct {
		uint64_t va;
		uint32_t size;
	} cases[] = {
		{0x7ffffffff000, 1},	 {0x7fffffffeffd, 4},	  {0x800000000000, 1},
		{0xffff800000000000, 8}, {0xfffffffffffffff8, 8},
	};
	struct sim_result result;
	struct sim_error error;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct trace_access accesses[] = {
			{.va = 0x1000, .size = 1},
			{.va = cases[i].va, .size = cases[i].size},
		};

		assert_int_equal(run_accesses(accesses, 2, &result, &error), -ERANGE);
		assert_non_null(strstr(error.why, "access 2:"));
	}
}

/* Two threads take the rows of a sweep; each is what a run of its own gives. */
static void rows_of_a_sweep_are_runs_of_their_own(void **state)
{
	struct sim_request request = {
		.source = "pattern:zipf,pages=3000,accesses=30000",
		.seed = 4,
		.cfg = config(4 * MIB, 64 * MIB),
		.ram_last = 16 * MIB,
		.nr_rows = 5,
	};
	struct sim_result rows[5], again[5], one;
	struct sim_error error;

	(void)state;
	assert_int_equal(sim_sweep(&request, rows, &error), 0);
	assert_int_equal(sim_sweep(&request, again, &error), 0);
	assert_memory_equal(rows, again, sizeof(rows));
	request.nr_rows = 1;
	for (unsigned int i = 0; i < 5; i++) {
		request.cfg.ram_bytes = (4 + 3 * i) * MIB;
		assert_int_equal(rows[i].ram_bytes, request.cfg.ram_bytes);
		assert_int_equal(sim_sweep(&request, &one, &error), 0);
		assert_memory_equal(&one, &rows[i], sizeof(one));
		if (i > 0)
			assert_true(rows[i].vmstat[MM_VMSTAT_pgmajfault] <=
				    rows[i - 1].vmstat[MM_VMSTAT_pgmajfault]);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_set_that_fits_faults_once_a_page),
	cmocka_unit_test(a_cyclic_scan_of_more_than_fits_always_misses),
	cmocka_unit_test(every_policy_replays),
	cmocka_unit_test(a_set_that_the_second_level_holds_walks_once_a_page),
	cmocka_unit_test(a_first_write_walks_again),
	cmocka_unit_test(every_reference_is_a_hit_or_a_walk),
	cmocka_unit_test(huge_pages_fault_once_each),
	cmocka_unit_test(pages_of_64k_fault_once_each),
	cmocka_unit_test(huge_pages_are_split_under_pressure),
	cmocka_unit_test(clean_pages_are_written_once),
	cmocka_unit_test(readahead_turns_major_faults_into_minor),
	cmocka_unit_test(a_slower_device_takes_longer_for_the_same),
	cmocka_unit_test(out_of_memory_says_how_far_it_came),
	cmocka_unit_test(processes_have_memory_of_their_own),
	cmocka_unit_test(an_access_touches_each_page_it_lies_in),
	cmocka_unit_test(an_address_that_no_user_has_is_named),
	cmocka_unit_test(rows_of_a_sweep_are_runs_of_their_own),
};
TEST_MAIN(tests)
