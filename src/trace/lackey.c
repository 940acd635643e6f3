/* SPDX-License-Identifier: MIT */
/*
 * Reads what `valgrind --tool=lackey --trace-mem=yes` writes:
 *
 *	I  0023C790,2		an instruction of 2 bytes
 *	 L BE80199C,4		a load
 *	 S BE801950,4		a store
 *	 M 0025747C,1		a modify: a load and a store of the same bytes
 *
 * Addresses are hexadecimal, sizes decimal. Lines that begin with ==pid==, --pid-- or **pid**
 * are valgrind's own words. Lackey begins with its name and ends with the exit code; a trace
 * that has the first must have the second, of the same process.
 *
 * Source: the comment at the top of valgrind's lackey/lk_main.c.
 */
#include <string.h>

#include "trace/reader.h"

#define LINE_PREFIX 3 /* before the address */
#define BANNER	    " Lackey, an example Valgrind tool"
#define EXIT	    " Exit code:"

static bool starts_with(const struct text_line *line, const char *p, const char *word)
{
	size_t len = strlen(word);

	return (size_t)(line->end - p) >= len && memcmp(p, word, len) == 0;
}

/* A line of valgrind's: its rest is at *ret_rest. */
static bool is_valgrinds(const struct text_line *line, uint64_t *ret_pid, const char **ret_rest)
{
	const char *p = line->p;
	char c = *p;

	if ((c != '=' && c != '-' && c != '*') || p[1] != c)
		return false;
	p += 2;
	if (!text_parse_decimal(&p, ret_pid) || p[0] != c || p[1] != c)
		return false;
	*ret_rest = p + 2;
	return true;
}

static void note_words(struct text_state *text, const struct text_line *line, uint64_t pid,
		       const char *rest)
{
	if (!text->has_banner && starts_with(line, rest, BANNER)) {
		text->has_banner = true;
		text->pid = pid;
	} else if (pid == text->pid && starts_with(line, rest, EXIT)) {
		text->has_exit = true;
	}
}

/* Return: L, S, M or I; 0 where the line is none of these. */
static char letter_of(const struct text_line *line)
{
	const char *p = line->p;

	if (line->end - p < LINE_PREFIX || p[2] != ' ')
		return 0;
	if (p[0] == 'I' && p[1] == ' ')
		return 'I';
	return p[0] == ' ' && (p[1] == 'L' || p[1] == 'S' || p[1] == 'M') ? p[1] : 0;
}

/* Return: NULL, or why not, with *ret_at the place in the line. */
static const char *parse(const struct text_line *line, struct trace_access *ret_access,
			 char *ret_letter, const char **ret_at)
{
	const char *p = line->p + LINE_PREFIX, *size_at;
	enum access_fault fault;
	uint64_t va, size;

	*ret_at = line->p;
	*ret_letter = letter_of(line);
	if (!*ret_letter)
		return "no line of lackey's; record with --log-file, so that nothing gets "
		       "between";
	*ret_at = p;
	if (!text_parse_hex(&p, &va))
		return "no hexadecimal address of at most 64 bits";
	*ret_at = p;
	if (*p != ',')
		return "no comma after the address";
	*ret_at = size_at = ++p;
	if (!text_parse_decimal(&p, &size))
		return "no decimal size";
	*ret_at = p;
	if (p != line->end)
		return "garbage after the size";
	fault = access_fault_of(va, size);
	*ret_at = fault == ACCESS_VA || fault == ACCESS_LAST ? line->p + LINE_PREFIX : size_at;
	ret_access->va = va;
	ret_access->size = (uint32_t)size;
	return fault ? access_fault_why(fault) : NULL;
}

static uint8_t op_of(char letter)
{
	if (letter == 'I')
		return TRACE_EXEC;
	return letter == 'S' ? TRACE_WRITE : TRACE_READ;
}

/* Return: 1 for an access, 0 for a line without, -EBADMSG. */
static int line_read(struct trace_reader *r, const struct text_line *line,
		     struct trace_access *out, struct trace_error *err)
{
	struct text_state *text = &r->text;
	const char *rest, *at, *why;
	uint64_t pid;
	char letter;

	if (is_valgrinds(line, &pid, &rest)) {
		note_words(text, line, pid, rest);
		text_line_done(r, line);
		return 0;
	}
	*out = (struct trace_access){0};
	why = parse(line, out, &letter, &at);
	if (why)
		return text_broken(r, at, why, err);
	out->op = op_of(letter);
	if (letter == 'M')
		text_set_modify(r, out);
	text_line_done(r, line);
	return 1;
}

static int end_check(struct trace_reader *r, struct trace_error *err)
{
	if (r->text.has_banner && !r->text.has_exit)
		return input_broken(err, input_end_offset(&r->in),
				    "cut off: valgrind's last line, the exit code, is missing");
	return 0;
}

static int lackey_next(struct trace_reader *r, struct trace_access *out, unsigned int max,
		       unsigned int *ret_nr, struct trace_error *err)
{
	int ret = text_next(r, line_read, &(struct text_out){out, max, ret_nr}, err);

	if (ret == 0 && *ret_nr == 0)
		ret = end_check(r, err);
	return ret;
}

const struct trace_format format_lackey = {.name = "lackey", .next = lackey_next};
