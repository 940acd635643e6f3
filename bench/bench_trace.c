/* SPDX-License-Identifier: MIT */
/*
 * What reading and writing a trace costs: an operation is one access. The accesses are those of
 * a loop: an instruction fetch a step, loads in sequence, a store now and then at random. Files
 * are in memory (memfd), and it is processor time that is measured, system calls included.
 *
 * Rows *_mb_per_s are the same in bytes of the file, as they lie there, compressed or not.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "trace/trace.h"

#define NR_ACCESSES (1u << 21)
#define STEP	    4096
#define ROUNDS	    5

struct input {
	const char *name, *mb_name;
	int fd;
	uint64_t (*run)(int fd); /* returns accesses */
};

static struct trace_access accesses[NR_ACCESSES];

static void must(int is_good, const char *what)
{
	if (!is_good) {
		fprintf(stderr, "bench_trace: %s failed\n", what);
		exit(1);
	}
}

static void accesses_make(void)
{
	uint64_t random = 1;

	for (uint32_t i = 0; i < NR_ACCESSES; i++) {
		struct trace_access *a = &accesses[i];

		random = random * 6364136223846793005u + 1442695040888963407u;
		*a = (struct trace_access){0x401000 + i / 4 % 16 * 4, 4, 0, TRACE_EXEC};
		if (i % 4 == 1)
			*a = (struct trace_access){0x7f0000000000 + 2ull * i, 8, 0, TRACE_READ};
		if (i % 16 == 3)
			*a = (struct trace_access){0x10000000 + (random >> 44) * 8, 8, 0,
						   TRACE_WRITE};
	}
}

static int memory_file(const char *name)
{
	int fd = memfd_create(name, 0);

	must(fd >= 0, "memfd_create");
	return fd;
}

static uint64_t write_whole(int fd)
{
	struct trace_writer *w;

	must(lseek(fd, 0, SEEK_SET) == 0, "lseek");
	must(trace_writer_create(fd, &w) == 0, "trace_writer_create");
	for (uint32_t done = 0; done < NR_ACCESSES; done += STEP)
		must(trace_write(w, accesses + done, STEP) == 0, "trace_write");
	must(trace_writer_finish(w) == 0, "trace_writer_finish");
	return NR_ACCESSES;
}

static int print_lackey(void)
{
	static const char *const marks[] = {" L ", " S ", "I  "};
	int fd = memory_file("lackey");
	FILE *f = fdopen(dup(fd), "w");

	must(f != NULL, "fdopen");
	for (uint32_t i = 0; i < NR_ACCESSES; i++)
		fprintf(f, "%s%08" PRIx64 ",%u\n", marks[accesses[i].op], accesses[i].va,
			accesses[i].size);
	must(fclose(f) == 0, "fclose");
	return fd;
}

static int print_csv(void)
{
	int fd = memory_file("csv");
	FILE *f = fdopen(dup(fd), "w");

	must(f != NULL, "fdopen");
	for (uint32_t i = 0; i < NR_ACCESSES; i++)
		fprintf(f, "%c,0x%" PRIx64 ",%u\n", "RWX"[accesses[i].op], accesses[i].va,
			accesses[i].size);
	must(fclose(f) == 0, "fclose");
	return fd;
}

static int compress(int from, const char *command)
{
	int fd = memory_file(command), status;
	pid_t child = fork();

	must(child >= 0, "fork");
	if (child == 0) {
		lseek(from, 0, SEEK_SET);
		dup2(from, STDIN_FILENO);
		dup2(fd, STDOUT_FILENO);
		execlp(command, command, "-1c", (char *)NULL);
		_exit(127);
	}
	must(waitpid(child, &status, 0) == child && status == 0, command);
	return fd;
}

static uint64_t read_whole(int fd)
{
	static struct trace_access out[STEP];
	struct trace_reader *r;
	struct trace_error err;
	uint64_t nr = 0;
	int ret;

	must(lseek(fd, 0, SEEK_SET) == 0, "lseek");
	must(trace_open_fd(fd, "bench", &r, &err) == 0, "trace_open_fd");
	while ((ret = trace_next(r, out, STEP, &err)) > 0) {
		bench_use(out);
		nr += (unsigned int)ret;
	}
	must(ret == 0, err.why);
	trace_close(r);
	return nr;
}

static uint64_t cpu_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A whole file a round: opening it is a part of it. */
static void measure(const struct input *input, int as_json)
{
	double ns[ROUNDS], mb_per_s[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t start = cpu_now_ns(), nr = input->run(input->fd);
		double took = (double)(cpu_now_ns() - start);

		ns[i] = took / (double)nr;
		mb_per_s[i] = (double)lseek(input->fd, 0, SEEK_END) * 1e3 / took;
	}
	bench_print(&(struct bench_result){input->name, "ns", ns, ROUNDS}, as_json);
	bench_print(&(struct bench_result){input->mb_name, "MB/s", mb_per_s, ROUNDS}, as_json);
}

static void measure_all(const char *only, int as_json)
{
	int packed = memory_file("ration"), lackey = print_lackey();
	const struct input inputs[] = {
		{"write_ration", "write_ration_mb_per_s", packed, write_whole},
		{"read_ration", "read_ration_mb_per_s", packed, read_whole},
		{"read_lackey", "read_lackey_mb_per_s", lackey, read_whole},
		{"read_csv", "read_csv_mb_per_s", print_csv(), read_whole},
		{"read_lackey_gzip", "read_lackey_gzip_mb_per_s", compress(lackey, "gzip"),
		 read_whole},
		{"read_lackey_xz", "read_lackey_xz_mb_per_s", compress(lackey, "xz"),
		 read_whole},
		{"read_lackey_zstd", "read_lackey_zstd_mb_per_s", compress(lackey, "zstd"),
		 read_whole},
	};

	write_whole(packed);
	for (size_t i = 0; i < sizeof(inputs) / sizeof(*inputs); i++)
		if (!only || strcmp(only, inputs[i].name) == 0)
			measure(&inputs[i], as_json);
}

/* The arguments of bench.h, without --ops. */
int main(int argc, char **argv)
{
	const char *only = NULL;
	int as_json = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			as_json = 1;
		} else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
			only = argv[++i];
		} else {
			fprintf(stderr, "usage: %s [--json] [--only NAME]\n", argv[0]);
			return 2;
		}
	}
	accesses_make();
	measure_all(only, as_json);
	return 0;
}
