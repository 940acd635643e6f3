/* SPDX-License-Identifier: MIT */
/*
 * Patterns: who touches which page next, from a few parameters and a seed.
 *
 * Each is a function from the number of the access to the page (and, for several processes, to
 * the process), with draws from one stream of random numbers; whether an access writes is drawn
 * after it. So the same specification gives the same accesses, on every machine.
 *
 * `mix` draws first what is accessed: memory of the process's own, or one file that all share,
 * by a mapping or by a call. Pages are drawn by Zipf's law, but for calls that go through the
 * file in order.
 *
 * Invariants:
 *  1. Every page of an access is below the number of pages the pattern names, of the file below
 *     those of the file.
 *  2. pattern_total() accesses come, no more and no less; the product that it is fits 64 bits
 *     within the limits of the parameters.
 */
#include "sim/pattern.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/checked.h"
#include "ration/types.h"
#include "sim/random.h"
#include "sim/zipf.h"

#define ACCESS_BYTES 8
#define MILLION	     1000000

struct pattern {
	struct pattern_spec spec;
	uint64_t random, at, total;
	struct zipf *zipf, *zipf_file;
	uint64_t stream; /* the page of the file that the next call in order is for */
};

struct param {
	const char *name, *what;
	uint64_t min, max;
};

static const struct param params[NR_PATTERN_PARAMS] = {
	[PATTERN_PAGES] = {"pages", "pages of 4 KiB, of each process", 1, (uint64_t)1 << 32},
	[PATTERN_PASSES] = {"passes", "how often over all of them", 1, 1 << 20},
	[PATTERN_ACCESSES] = {"accesses", "how many", 1, (uint64_t)1 << 50},
	[PATTERN_HOT] = {"hot", "pages of the hot set", 1, 1 << 30},
	[PATTERN_TOUCHES] = {"touches", "of hot pages after each page of the scan", 0, 1000},
	[PATTERN_PROCESSES] = {"processes", "address spaces", 1, 1024},
	[PATTERN_QUANTUM] = {"quantum", "accesses of a turn", 1, 1 << 30},
	[PATTERN_S] = {"s", "exponent of Zipf's law, 0 to 4", 0, 4 * MILLION},
	[PATTERN_WRITES] = {"writes", "of 100 accesses", 0, 100},
	[PATTERN_FILE] = {"file", "pages of the file, which all processes share", 1,
			  ZIPF_RANKS_MAX},
	[PATTERN_MAPPED] = {"mapped", "of 100 accesses, to the file as it is mapped", 0, 100},
	[PATTERN_CALLS] = {"calls", "of 100 accesses, pread or pwrite of a page of the file", 0,
			   100},
	[PATTERN_STREAMED] = {"streamed",
			      "of 100 calls, through the file in order; the others anywhere", 0,
			      100},
	[PATTERN_FILE_WRITES] = {"file-writes", "of 100 accesses to the file", 0, 100},
	[PATTERN_SEED] = {"seed", "instead of --seed", 0, UINT64_MAX},
};

struct pattern_kind {
	const char *name, *what;
	/* 0: the pattern does not have it; all have a seed. */
	uint64_t defaults[NR_PATTERN_PARAMS];
	bool is_zipf;
	uint64_t (*page)(struct pattern *p);
	uint64_t (*total)(const uint64_t *values);
	/* What is accessed if not memory of the process; NULL: always that. */
	bool (*other)(struct pattern *p, struct trace_access *access);
};

static uint64_t draw_zipf(struct pattern *p)
{
	return zipf_draw(p->zipf, &p->random);
}

static uint64_t page_sequential(struct pattern *p)
{
	return p->at % p->spec.values[PATTERN_PAGES];
}

static uint64_t page_uniform(struct pattern *p)
{
	return sim_random_below(&p->random, p->spec.values[PATTERN_PAGES]);
}

/* The hot pages come first; the scan goes over those behind them. */
static uint64_t page_scan_hot(struct pattern *p)
{
	const uint64_t *values = p->spec.values;
	uint64_t round = values[PATTERN_TOUCHES] + 1;

	if (p->at % round == 0)
		return values[PATTERN_HOT] + p->at / round % values[PATTERN_PAGES];
	return sim_random_below(&p->random, values[PATTERN_HOT]);
}

static bool draw_percent(struct pattern *p, enum pattern_param share)
{
	return sim_random_below(&p->random, 100) < p->spec.values[share];
}

static void mapped_access(struct pattern *p, struct trace_access *access)
{
	access->va = zipf_draw(p->zipf_file, &p->random) * PAGE_SIZE;
	access->size = ACCESS_BYTES;
	access->op = draw_percent(p, PATTERN_FILE_WRITES) ? TRACE_WRITE : TRACE_READ;
}

static void call_access(struct pattern *p, struct trace_access *access)
{
	uint64_t page;

	if (draw_percent(p, PATTERN_STREAMED))
		page = p->stream++ % p->spec.values[PATTERN_FILE];
	else
		page = zipf_draw(p->zipf_file, &p->random);
	access->va = page * PAGE_SIZE;
	access->size = PAGE_SIZE;
	access->op = draw_percent(p, PATTERN_FILE_WRITES) ? TRACE_PWRITE : TRACE_PREAD;
}

static bool other_mix(struct pattern *p, struct trace_access *access)
{
	const uint64_t *values = p->spec.values;
	uint64_t what = sim_random_below(&p->random, 100);

	if (what >= values[PATTERN_MAPPED] + values[PATTERN_CALLS])
		return false;
	access->file = PATTERN_FILE_NR;
	(what < values[PATTERN_MAPPED] ? mapped_access : call_access)(p, access);
	return true;
}

static uint64_t total_passes(const uint64_t *values)
{
	return values[PATTERN_PAGES] * values[PATTERN_PASSES];
}

static uint64_t total_accesses(const uint64_t *values)
{
	return values[PATTERN_ACCESSES];
}

static uint64_t total_scan_hot(const uint64_t *values)
{
	return total_passes(values) * (values[PATTERN_TOUCHES] + 1);
}

#define DEFAULTS(...)                              \
	{                                          \
		[PATTERN_WRITES] = 30, __VA_ARGS__ \
	}

static const struct pattern_kind kinds[] = {
	{"sequential", "one page after the other, again and again",
	 DEFAULTS([PATTERN_PAGES] = 65536, [PATTERN_PASSES] = 4), false, page_sequential,
	 total_passes},
	{"uniform", "any page, all alike",
	 DEFAULTS([PATTERN_PAGES] = 65536, [PATTERN_ACCESSES] = MILLION), false, page_uniform,
	 total_accesses},
	{"zipf", "few pages often, many seldom; at most 16777216 pages",
	 DEFAULTS([PATTERN_PAGES] = 65536, [PATTERN_ACCESSES] = MILLION, [PATTERN_S] = 990000),
	 true, draw_zipf, total_accesses},
	{"scan-hot", "a scan over pages, between touches of a hot set",
	 DEFAULTS([PATTERN_PAGES] = 65536, [PATTERN_PASSES] = 4, [PATTERN_HOT] = 8192,
		  [PATTERN_TOUCHES] = 4),
	 false, page_scan_hot, total_scan_hot},
	{"processes", "zipf in several address spaces, by turns",
	 DEFAULTS([PATTERN_PAGES] = 16384, [PATTERN_ACCESSES] = MILLION, [PATTERN_S] = 990000,
		  [PATTERN_PROCESSES] = 4, [PATTERN_QUANTUM] = 1000),
	 true, draw_zipf, total_accesses},
	{"mix", "anonymous memory, as zipf, and a file, mapped and by calls",
	 DEFAULTS([PATTERN_PAGES] = 32768, [PATTERN_ACCESSES] = MILLION, [PATTERN_S] = 800000,
		  [PATTERN_PROCESSES] = 1, [PATTERN_QUANTUM] = 1000, [PATTERN_FILE] = 32768,
		  [PATTERN_MAPPED] = 25, [PATTERN_CALLS] = 25, [PATTERN_STREAMED] = 50,
		  [PATTERN_FILE_WRITES] = 10),
	 true, draw_zipf, total_accesses, other_mix},
};

static const struct pattern_kind *find_kind(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strlen(kinds[i].name) == len && !memcmp(kinds[i].name, name, len))
			return &kinds[i];
	return NULL;
}

/* Does it begin as what follows "pattern:"? */
bool pattern_is_name(const char *text)
{
	return find_kind(text, strcspn(text, ",")) != NULL;
}

static int find_param(const struct pattern_kind *kind, const char *name, size_t len)
{
	for (int i = 0; i < NR_PATTERN_PARAMS; i++)
		if ((kind->defaults[i] || i == PATTERN_SEED) && strlen(params[i].name) == len &&
		    !memcmp(params[i].name, name, len))
			return i;
	return -1;
}

/* Digits, with at most six behind a point if it is in millionths. Return: false: no number. */
static bool parse_value(const char *at, const char *end, bool is_millionths,
			uint64_t *ret_value)
{
	uint64_t value = 0, scale = is_millionths ? MILLION : 1;
	bool is_fraction = false;

	if (at == end)
		return false;
	for (; at < end; at++) {
		if (*at == '.' && is_millionths && !is_fraction && at + 1 < end) {
			is_fraction = true;
			continue;
		}
		if (*at < '0' || *at > '9' || (is_fraction && scale == 1))
			return false;
		if (is_fraction)
			scale /= 10;
		if (!checked_mul(value, 10, &value) ||
		    !checked_add(value, (uint64_t)(*at - '0'), &value))
			return false;
	}
	return checked_mul(value, scale, ret_value);
}

/* One `name=value`, [at, end). */
static int parse_param(struct pattern_spec *spec, const char *at, const char *end,
		       struct sim_error *error)
{
	const char *equals = memchr(at, '=', (size_t)(end - at));
	int which = equals ? find_param(spec->kind, at, (size_t)(equals - at)) : -1;
	int len = (int)min_u64((uint64_t)(end - at), 100);

	if (!equals)
		return sim_fail(
			error, -EINVAL,
			"pattern:%s: %.*s: wants parameter=value; try ration sim --help",
			spec->kind->name, len, at);
	if (which < 0)
		return sim_fail(error, -EINVAL,
				"pattern:%s: %.*s: no such parameter; try ration sim --help",
				spec->kind->name, len, at);
	if (!parse_value(equals + 1, end, which == PATTERN_S, &spec->values[which]) ||
	    spec->values[which] < params[which].min || spec->values[which] > params[which].max)
		return sim_fail(error, -EINVAL,
				"pattern:%s: %.*s: wants a number from %" PRIu64 " to %" PRIu64,
				spec->kind->name, len, at, params[which].min,
				which == PATTERN_S ? params[which].max / MILLION
						   : params[which].max);
	return 0;
}

static int check_spec(const struct pattern_spec *spec, struct sim_error *error)
{
	if (spec->kind->is_zipf && spec->values[PATTERN_PAGES] > ZIPF_RANKS_MAX)
		return sim_fail(error, -EINVAL,
				"pattern:%s: pages=%" PRIu64 ": this one has %u at most",
				spec->kind->name, spec->values[PATTERN_PAGES],
				(unsigned int)ZIPF_RANKS_MAX);
	if (spec->values[PATTERN_MAPPED] + spec->values[PATTERN_CALLS] > 100)
		return sim_fail(error, -EINVAL,
				"pattern:%s: mapped=%" PRIu64 ",calls=%" PRIu64
				": together at most 100 of 100 accesses",
				spec->kind->name, spec->values[PATTERN_MAPPED],
				spec->values[PATTERN_CALLS]);
	return 0;
}

/**
 * pattern_parse() - read `NAME[,parameter=value]...`, what follows "pattern:".
 * @seed: unless there is a parameter seed.
 *
 * Return: 0, or -EINVAL with error set.
 */
int pattern_parse(const char *text, uint64_t seed, struct pattern_spec *ret_spec,
		  struct sim_error *error)
{
	size_t len = strcspn(text, ",");
	struct pattern_spec spec = {.kind = find_kind(text, len)};
	int err;

	if (!spec.kind)
		return sim_fail(error, -EINVAL,
				"pattern:%.*s: no such pattern; try ration sim --help",
				(int)min_u64(len, 100), text);
	memcpy(spec.values, spec.kind->defaults, sizeof(spec.values));
	spec.values[PATTERN_SEED] = seed;
	for (const char *at = text + len; *at == ',';) {
		const char *end = at + 1 + strcspn(at + 1, ",");

		err = parse_param(&spec, at + 1, end, error);
		if (err)
			return err;
		at = end;
	}
	err = check_spec(&spec, error);
	if (!err)
		*ret_spec = spec;
	return err;
}

static void append(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void append(char *text, const char *format, ...)
{
	size_t len = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + len, PATTERN_HELP_MAX - len, format, args);
	va_end(args);
}

static void append_defaults(char *text, const struct pattern_kind *kind)
{
	for (int i = 0; i < NR_PATTERN_PARAMS; i++) {
		if (!kind->defaults[i])
			continue;
		if (i == PATTERN_S)
			append(text, ",%s=0.%02u", params[i].name,
			       (unsigned int)(kind->defaults[i] / (MILLION / 100)));
		else
			append(text, ",%s=%" PRIu64, params[i].name, kind->defaults[i]);
	}
}

/**
 * pattern_help() - all patterns with their defaults, and what the parameters mean.
 */
void pattern_help(char ret_text[PATTERN_HELP_MAX])
{
	ret_text[0] = '\0';
	append(ret_text, "Patterns, with their defaults:\n");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		append(ret_text, "  " PATTERN_PREFIX "%s", kinds[i].name);
		append_defaults(ret_text, &kinds[i]);
		append(ret_text, "\n      %s\n", kinds[i].what);
	}
	append(ret_text, "\nTheir parameters:\n");
	for (int i = 0; i < NR_PATTERN_PARAMS; i++)
		append(ret_text, "  %-10s %s\n", params[i].name, params[i].what);
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
	while (b > 0) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/*
 * Neighbours in rank are not neighbours in memory. Near n times the golden ratio, and without a
 * common divisor, so that no page is left out.
 */
static uint64_t scattering_stride(uint64_t n)
{
	uint64_t stride = n * 618 / 1000 + 1;

	while (common_divisor(stride, n) != 1)
		stride++;
	return stride;
}

static int create_zipf(const struct pattern_spec *spec, uint64_t nr_pages,
		       struct zipf **ret_zipf)
{
	struct zipf_spec zipf = {
		.nr_ranks = (uint32_t)nr_pages,
		.s = (double)spec->values[PATTERN_S] / MILLION,
		.stride = (uint32_t)scattering_stride(nr_pages),
	};

	return zipf_create(&zipf, ret_zipf);
}

/**
 * pattern_create() - make a pattern, at its start.
 *
 * Return: 0 or -ENOMEM.
 */
int pattern_create(const struct pattern_spec *spec, struct pattern **ret_pattern)
{
	struct pattern *p = calloc(1, sizeof(*p));
	int err = 0;

	if (!p)
		return -ENOMEM;
	p->spec = *spec;
	p->random = spec->values[PATTERN_SEED];
	p->total = spec->kind->total(spec->values);
	if (spec->kind->is_zipf)
		err = create_zipf(spec, spec->values[PATTERN_PAGES], &p->zipf);
	if (!err && spec->values[PATTERN_FILE])
		err = create_zipf(spec, spec->values[PATTERN_FILE], &p->zipf_file);
	if (err) {
		pattern_destroy(p);
		return err;
	}
	*ret_pattern = p;
	return 0;
}

void pattern_destroy(struct pattern *p)
{
	zipf_destroy(p->zipf_file);
	zipf_destroy(p->zipf);
	free(p);
}

static unsigned int process_of(const struct pattern *p)
{
	const uint64_t *values = p->spec.values;

	if (!values[PATTERN_PROCESSES])
		return 0;
	return (unsigned int)(p->at / values[PATTERN_QUANTUM] % values[PATTERN_PROCESSES]);
}

static inline void memory_access(struct pattern *p, struct trace_access *access)
{
	access->va = PATTERN_BASE + p->spec.kind->page(p) * PAGE_SIZE;
	access->size = ACCESS_BYTES;
	access->op = draw_percent(p, PATTERN_WRITES) ? TRACE_WRITE : TRACE_READ;
}

/**
 * pattern_next() - the next accesses.
 *
 * Return: how many were put in out; 0 at the end.
 */
unsigned int pattern_next(struct pattern *p, struct trace_access *out, unsigned int max)
{
	unsigned int nr = (unsigned int)min_u64(max, p->total - p->at);

	for (unsigned int i = 0; i < nr; i++, p->at++) {
		out[i] = (struct trace_access){
			.pid = (uint16_t)(PATTERN_FIRST_PID + process_of(p))};
		if (!p->spec.kind->other || !p->spec.kind->other(p, &out[i]))
			memory_access(p, &out[i]);
	}
	return nr;
}

uint64_t pattern_total(const struct pattern *p)
{
	return p->total;
}
