/* SPDX-License-Identifier: MIT */
/*
 * What a simulation costs, for each reference to a page, with the default policy.
 *
 *   replay_hit_zipf      replay alone, all pages translated: 64 MiB by Zipf's law
 *   replay_hit_uniform   the same, uniform over 256 MiB
 *   replay_clock_zipf    as replay_hit_zipf, with the policy CLOCK
 *   replay_tlb_lackey    a real program's trace, through the TLB of a Skylake
 *   replay_tlb_zipf      as replay_hit_zipf, through that TLB, which it mostly misses
 *   sim_zipf             pattern and replay, all pages translated
 *   sim_zipf_miss_1      pattern and replay, RAM for most of it: about 1 of 100 faults
 *   sim_sequential_miss  pattern and replay, twice the RAM in order: each page faults
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "sim/pattern.h"
#include "sim/replay.h"

#define CHUNK ((unsigned int)4096)
#define TAPE  ((unsigned int)1 << 20)

struct sim {
	const char *pattern_text;
	uint64_t ram_bytes;
	const char *policy, *tlb; /* NULL: two-lists; none */
	bool is_trace;
	struct pattern_spec spec;
	struct pattern *pattern;
	struct sim_replay *replay;
	struct trace_access *tape; /* of TAPE accesses, for replay alone */
	unsigned int at;
};

static void must(int err, const struct sim_error *error)
{
	if (err) {
		fprintf(stderr, "bench_sim: %s\n", error->why);
		exit(1);
	}
}

static void rewind_pattern(struct sim *sim)
{
	struct sim_error error = {.why = "no memory"};

	if (sim->pattern)
		pattern_destroy(sim->pattern);
	must(pattern_create(&sim->spec, &sim->pattern), &error);
}

static unsigned int next_accesses(struct sim *sim, struct trace_access *out, unsigned int max)
{
	unsigned int nr = pattern_next(sim->pattern, out, max);

	if (nr > 0)
		return nr;
	rewind_pattern(sim);
	return pattern_next(sim->pattern, out, max);
}

static void run_sim(void *arg, uint64_t nr_ops)
{
	struct trace_access accesses[CHUNK];
	struct sim *sim = arg;
	struct sim_error error;

	while (nr_ops > 0) {
		unsigned int nr =
			next_accesses(sim, accesses, nr_ops < CHUNK ? (unsigned)nr_ops : CHUNK);

		must(sim_replay_run(sim->replay, accesses, nr, &error), &error);
		nr_ops -= nr;
	}
}

static void run_replay(void *arg, uint64_t nr_ops)
{
	struct sim *sim = arg;
	struct sim_error error;

	while (nr_ops > 0) {
		unsigned int nr = nr_ops < CHUNK ? (unsigned)nr_ops : CHUNK;

		must(sim_replay_run(sim->replay, sim->tape + sim->at, nr, &error), &error);
		sim->at = (sim->at + CHUNK) % TAPE;
		nr_ops -= nr;
	}
}

/* From its start: a tape is filled by as many turns as it takes. */
static unsigned int read_trace(struct trace_access *out, unsigned int max)
{
	struct sim_error error = {.why = "the trace cannot be read"};
	struct trace_reader *reader;
	struct trace_error why;
	unsigned int nr = 0;
	int got = 1;

	must(trace_open(LACKEY_TRACE, &reader, &why), &error);
	for (; got > 0 && nr < max; nr += (unsigned int)got) {
		got = trace_next(reader, out + nr, max - nr < CHUNK ? max - nr : CHUNK, &why);
		must(got < 0, &error);
	}
	trace_close(reader);
	must(nr == 0, &error);
	return nr;
}

static void fill_tape(struct sim *sim)
{
	sim->tape = malloc(TAPE * sizeof(*sim->tape));
	must(!sim->tape, &(struct sim_error){.why = "no memory"});
	for (unsigned int at = 0; at < TAPE;)
		at += sim->is_trace ? read_trace(sim->tape + at, TAPE - at)
				    : next_accesses(sim, sim->tape + at, TAPE - at);
}

static void sim_create(struct sim *sim, bool is_tape)
{
	struct sim_config cfg = {
		.ram_bytes = sim->ram_bytes,
		.swap_bytes = (uint64_t)1 << 30,
		.swap = *swapdev_model_preset("nvme"),
		.swappiness = 60,
		.page_cluster = 3,
		.policy = sim_policy(sim->policy ? sim->policy : "two-lists"),
		.tlb = sim->tlb ? tlb_preset_find(sim->tlb) : NULL,
		.costs = SIM_COSTS_DEFAULT,
	};
	struct sim_error error;

	if (!sim->is_trace) {
		must(pattern_parse(sim->pattern_text, 1, &sim->spec, &error), &error);
		rewind_pattern(sim);
	}
	must(sim_replay_create(&cfg, &sim->replay, &error), &error);
	if (is_tape)
		fill_tape(sim);
	(is_tape ? run_replay : run_sim)(sim, 4 * TAPE); /* every page is touched before */
}

static void setup_replay(void *sim)
{
	sim_create(sim, true);
}

static void setup_sim(void *sim)
{
	sim_create(sim, false);
}

int main(int argc, char **argv)
{
	static struct sim hit_zipf = {"zipf,pages=16384", 512ull << 20};
	static struct sim hit_uniform = {"uniform,pages=65536", 512ull << 20};
	static struct sim clock_zipf = {"zipf,pages=16384", 512ull << 20, .policy = "clock"};
	static struct sim tlb_lackey = {
		.ram_bytes = 512ull << 20, .tlb = "skylake", .is_trace = true};
	static struct sim tlb_zipf = {"zipf,pages=16384", 512ull << 20, .tlb = "skylake"};
	static struct sim zipf = {"zipf,pages=16384", 512ull << 20};
	static struct sim zipf_miss = {"zipf,pages=65536,s=1.2", 136ull << 20};
	static struct sim sequential_miss = {"sequential,pages=65536", 128ull << 20};
	const struct bench benches[] = {
		{"replay_hit_zipf", run_replay, &hit_zipf, setup_replay},
		{"replay_hit_uniform", run_replay, &hit_uniform, setup_replay},
		{"replay_clock_zipf", run_replay, &clock_zipf, setup_replay},
		{"replay_tlb_lackey", run_replay, &tlb_lackey, setup_replay},
		{"replay_tlb_zipf", run_replay, &tlb_zipf, setup_replay},
		{"sim_zipf", run_sim, &zipf, setup_sim},
		{"sim_zipf_miss_1", run_sim, &zipf_miss, setup_sim},
		{"sim_sequential_miss", run_sim, &sequential_miss, setup_sim},
	};

	return bench_main(argc, argv, benches, sizeof(benches) / sizeof(benches[0]));
}
