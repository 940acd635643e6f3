/* SPDX-License-Identifier: MIT */
#include "sim/source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sim/pattern.h"

/* One of the two is set. */
struct sim_source {
	const char *name;
	struct pattern *pattern;
	struct trace_reader *trace;
	uint64_t nr_given; /* accesses */
};

static bool is_pattern(const char *text)
{
	return !strncmp(text, PATTERN_PREFIX, strlen(PATTERN_PREFIX));
}

static int fail_trace(struct sim_error *error, int err, const char *name,
		      const struct trace_error *why)
{
	if (!strcmp(name, "-"))
		name = "standard input";
	if (err != -EBADMSG)
		return sim_fail(error, err, "%s: %s", name, why->why);
	return sim_fail(error, err, "%s: byte %" PRIu64 ": %s", name, why->offset, why->why);
}

static int open_pattern(const char *text, uint64_t seed, struct sim_source *source,
			struct sim_error *error)
{
	struct pattern_spec spec;
	int err = pattern_parse(text + strlen(PATTERN_PREFIX), seed, &spec, error);

	if (err)
		return err;
	err = pattern_create(&spec, &source->pattern);
	return err ? sim_fail(error, err, "%s: %s", text, strerror(-err)) : 0;
}

/**
 * sim_source_open() - begin to read accesses.
 * @text: `pattern:...`, "-" for a trace on standard input, or a trace's path; outlives the
 * source.
 * @seed: of a pattern.
 *
 * Return: 0; -EINVAL for a wrong pattern; otherwise what trace_open() says.
 */
int sim_source_open(const char *text, uint64_t seed, struct sim_source **ret_source,
		    struct sim_error *error)
{
	struct sim_source *source = calloc(1, sizeof(*source));
	struct trace_error why = {.why = ""};
	int err;

	if (!source)
		return sim_fail(error, -ENOMEM, "%s: %s", text, strerror(ENOMEM));
	source->name = text;
	if (is_pattern(text)) {
		err = open_pattern(text, seed, source, error);
	} else {
		err = trace_open(text, &source->trace, &why);
		if (err)
			fail_trace(error, err, text, &why);
	}
	if (err) {
		free(source);
		return err;
	}
	*ret_source = source;
	return 0;
}

void sim_source_close(struct sim_source *source)
{
	if (source->pattern)
		pattern_destroy(source->pattern);
	else
		trace_close(source->trace);
	free(source);
}

/**
 * sim_source_next() - the next accesses.
 *
 * Return: how many; 0 at the end, if all was well; -errno with error set where a trace is
 * broken.
 */
int sim_source_next(struct sim_source *source, struct trace_access *out, unsigned int max,
		    struct sim_error *error)
{
	struct trace_error why = {.why = ""};
	int nr;

	if (source->pattern)
		nr = (int)pattern_next(source->pattern, out, max);
	else
		nr = trace_next(source->trace, out, max, &why);
	if (nr < 0)
		return fail_trace(error, nr, source->name, &why);
	source->nr_given += (uint64_t)nr;
	return nr;
}

/**
 * sim_source_done() - how far it is, in the unit of sim_source_size().
 */
uint64_t sim_source_done(const struct sim_source *source)
{
	return source->pattern ? source->nr_given : trace_input_bytes(source->trace);
}

/**
 * sim_source_size() - where sim_source_done() ends; 0 if that is not known.
 */
uint64_t sim_source_size(const struct sim_source *source)
{
	return source->pattern ? pattern_total(source->pattern)
			       : trace_input_size(source->trace);
}

bool sim_source_is_repeatable(const char *text)
{
	struct stat st;

	if (is_pattern(text))
		return true;
	return strcmp(text, "-") != 0 && (stat(text, &st) != 0 || S_ISREG(st.st_mode));
}
