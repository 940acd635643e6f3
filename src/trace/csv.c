/* SPDX-License-Identifier: MIT */
/*
 * Reads CSV: op,va,size[,pid[,file]], one access a line, as people write it by hand or by a
 * script.
 *
 * op is R, W, X or M (a modify: a read and a write of the same bytes), large or small; or pread
 * or pwrite, a call on a file. With a file, va is the offset in it. Numbers
 * are decimal, or hexadecimal after 0x. Spaces around fields, empty lines, lines that begin
 * with #, and a carriage return before the newline are let through; so is a first line that
 * names the columns.
 */
#include <string.h>
#include <strings.h>

#include "trace/reader.h"

#define FIELDS_MIN 3
#define FIELDS_MAX 5

enum field { FIELD_OP, FIELD_VA, FIELD_SIZE, FIELD_PID, FIELD_FILE };

struct fields {
	const char *start[FIELDS_MAX], *end[FIELDS_MAX]; /* without spaces around */
	unsigned int nr;				 /* FIELDS_MAX + 1: too many */
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void fields_split(const struct text_line *line, struct fields *ret_fields)
{
	const char *p = line->p;

	ret_fields->nr = 0;
	for (;;) { /* a field a round */
		const char *comma = memchr(p, ',', (size_t)(line->end - p));
		const char *end = comma ? comma : line->end;

		if (ret_fields->nr == FIELDS_MAX) {
			ret_fields->nr++;
			return;
		}
		while (p < end && is_space(*p))
			p++;
		ret_fields->start[ret_fields->nr] = p;
		while (p < end && is_space(end[-1]))
			end--;
		ret_fields->end[ret_fields->nr++] = end;
		if (!comma)
			return;
		p = comma + 1;
	}
}

static bool field_is(const struct fields *fields, enum field field, const char *word)
{
	size_t len = (size_t)(fields->end[field] - fields->start[field]);

	return len == strlen(word) && memcmp(fields->start[field], word, len) == 0;
}

static bool is_header(const struct fields *fields)
{
	static const char *const names[FIELDS_MAX] = {"op", "va", "size", "pid", "file"};

	if (fields->nr < FIELDS_MIN || fields->nr > FIELDS_MAX)
		return false;
	for (unsigned int i = 0; i < fields->nr; i++)
		if (!field_is(fields, (enum field)i, names[i]))
			return false;
	return true;
}

struct op_name {
	const char *name;
	enum trace_op op;
	bool is_modify;
};

static const struct op_name op_names[] = {
	{"r", TRACE_READ, false},      {"w", TRACE_WRITE, false},
	{"x", TRACE_EXEC, false},      {"m", TRACE_READ, true},
	{"pread", TRACE_PREAD, false}, {"pwrite", TRACE_PWRITE, false},
};

/* Return: NULL for none of them. */
static const struct op_name *find_op(const struct fields *fields)
{
	size_t len = (size_t)(fields->end[FIELD_OP] - fields->start[FIELD_OP]);

	for (size_t i = 0; i < sizeof(op_names) / sizeof(op_names[0]); i++)
		if (len == strlen(op_names[i].name) &&
		    strncasecmp(fields->start[FIELD_OP], op_names[i].name, len) == 0)
			return &op_names[i];
	return NULL;
}

static bool field_number(const struct fields *fields, enum field field, uint64_t *ret_number)
{
	const char *p = fields->start[field];
	bool is_hex = p[0] == '0' && (p[1] | 0x20) == 'x';

	p += is_hex ? 2 : 0;
	if (!(is_hex ? text_parse_hex : text_parse_decimal)(&p, ret_number))
		return false;
	return p == fields->end[field];
}

/* pid and file, which may be missing. */
static const char *parse_owner(const struct fields *fields, struct trace_access *ret_access,
			       enum field *ret_field)
{
	uint64_t pid = 0, file = 0;

	*ret_field = FIELD_PID;
	if (fields->nr > FIELD_PID && !field_number(fields, FIELD_PID, &pid))
		return "pid is no number (decimal, or hexadecimal with 0x)";
	if (pid > UINT16_MAX)
		return "pid is above 65535";
	*ret_field = FIELD_FILE;
	if (fields->nr > FIELD_FILE && !field_number(fields, FIELD_FILE, &file))
		return "file is no number (decimal, or hexadecimal with 0x)";
	if (file > UINT8_MAX)
		return "file is above 255";
	*ret_field = FIELD_OP;
	if (file == 0 && ret_access->op >= NR_TRACE_MEMORY_OPS)
		return "pread and pwrite want a file from 1 to 255";
	ret_access->pid = (uint16_t)pid;
	ret_access->file = (uint8_t)file;
	return NULL;
}

static const char *parse_numbers(const struct fields *fields, struct trace_access *ret_access,
				 enum field *ret_field)
{
	enum access_fault fault;
	uint64_t va, size;
	const char *why;

	*ret_field = FIELD_VA;
	if (!field_number(fields, FIELD_VA, &va))
		return "va is no number (decimal, or hexadecimal with 0x)";
	*ret_field = FIELD_SIZE;
	if (!field_number(fields, FIELD_SIZE, &size))
		return "size is no number (decimal, or hexadecimal with 0x)";
	why = parse_owner(fields, ret_access, ret_field);
	if (why)
		return why;
	fault = access_fault_of(va, size);
	*ret_field = fault == ACCESS_VA || fault == ACCESS_LAST ? FIELD_VA : FIELD_SIZE;
	ret_access->va = va;
	ret_access->size = (uint32_t)size;
	return fault ? access_fault_why(fault) : NULL;
}

static int access_read(struct trace_reader *r, const struct text_line *line,
		       const struct fields *fields, struct trace_access *out,
		       struct trace_error *err)
{
	enum field field;
	const char *why;
	const struct op_name *op = find_op(fields);

	if (fields->nr < FIELDS_MIN || fields->nr > FIELDS_MAX)
		return text_broken(r, line->p, "not op,va,size, with ,pid or ,pid,file or none",
				   err);
	if (!op)
		return text_broken(r, fields->start[FIELD_OP],
				   "op is none of R, W, X, M, pread, pwrite", err);
	*out = (struct trace_access){.op = (uint8_t)op->op};
	why = parse_numbers(fields, out, &field);
	if (why)
		return text_broken(r, fields->start[field], why, err);
	if (op->is_modify)
		text_set_modify(r, out);
	return 1;
}

/* Return: 1 for an access, 0 for a line without, -EBADMSG. */
static int line_read(struct trace_reader *r, const struct text_line *line,
		     struct trace_access *out, struct trace_error *err)
{
	struct fields fields;
	int ret = 0;

	fields_split(line, &fields);
	if (*fields.start[0] != '#' && (fields.nr > 1 || fields.start[0] != fields.end[0])) {
		if (r->text.is_started || !is_header(&fields))
			ret = access_read(r, line, &fields, out, err);
		r->text.is_started = true;
	}
	if (ret >= 0)
		text_line_done(r, line);
	return ret;
}

static int csv_next(struct trace_reader *r, struct trace_access *out, unsigned int max,
		    unsigned int *ret_nr, struct trace_error *err)
{
	return text_next(r, line_read, &(struct text_out){out, max, ret_nr}, err);
}

const struct trace_format format_csv = {.name = "csv", .next = csv_next};
