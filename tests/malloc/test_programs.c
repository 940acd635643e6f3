/* SPDX-License-Identifier: MIT */
/*
 * Real programs run with this malloc preloaded, and say what they say without it.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/test.h"

#define OUTPUT_MAX (64 << 10)

struct outcome {
	int status;
	size_t len;
	char output[OUTPUT_MAX];
};

static char report_path[64];

static void run(const char *command, bool is_preloaded, struct outcome *outcome)
{
	static char line[4096];
	FILE *pipe;

	if (is_preloaded)
		snprintf(line, sizeof(line), "export MALLOC_TEST_REPORT=%s LD_PRELOAD=%s; %s",
			 report_path, getenv("MALLOC_TEST_PRELOAD"), command);
	else
		snprintf(line, sizeof(line), "%s", command);
	pipe = popen(line, "r");
	assert_non_null(pipe);
	outcome->len = fread(outcome->output, 1, OUTPUT_MAX, pipe);
	outcome->status = pclose(pipe);
}

/* Each program that came to its end found its arena whole; at least one used it. */
static void check_reports(void)
{
	FILE *file = fopen(report_path, "r");
	unsigned long nr_allocs, most = 0;
	char word[16];

	assert_non_null(file);
	while (fscanf(file, "%15s %lu", word, &nr_allocs) == 2) {
		assert_string_equal(word, "ok");
		most = nr_allocs > most ? nr_allocs : most;
	}
	fclose(file);
	assert_true(most > 100);
}

static void says_the_same(const char *program, const char *command)
{
	static struct outcome plain, preloaded;
	char line[64];

	snprintf(line, sizeof(line), "command -v %s >/dev/null", program);
	if (system(line))
		test_skip(program);
	if (!getenv("MALLOC_TEST_PRELOAD"))
		test_skip("MALLOC_TEST_PRELOAD does not name the library");
	snprintf(report_path, sizeof(report_path), "/tmp/ration-malloc-%d", getpid());
	run(command, false, &plain);
	run(command, true, &preloaded);
	check_reports();
	unlink(report_path);
	assert_int_equal(plain.status, 0);
	assert_int_equal(preloaded.status, 0);
	assert_true(plain.len > 0);
	assert_int_equal(preloaded.len, plain.len);
	assert_memory_equal(preloaded.output, plain.output, plain.len);
}

static void python3(void **state)
{
	(void)state;
	says_the_same("python3",
		      "PYTHONHASHSEED=1 PYTHONMALLOC=malloc python3 -c '\n"
		      "import json, hashlib, threading, subprocess, re\n"
		      "d = {str(i): [i] * (i % 50) for i in range(40000)}\n"
		      "text = json.dumps(d)\n"
		      "print(len(text), hashlib.md5(text.encode()).hexdigest())\n"
		      "def work(n, out):\n"
		      "    b = bytearray()\n"
		      "    for i in range(20000):\n"
		      "        b += str(i * n).encode()\n"
		      "    out[n] = hashlib.md5(b).hexdigest()\n"
		      "out = {}\n"
		      "ts = [threading.Thread(target=work, args=(n, out)) for n in (3, 7)]\n"
		      "[t.start() for t in ts]\n"
		      "print(subprocess.check_output([\"echo\", \"child\"]))\n"
		      "[t.join() for t in ts]\n"
		      "print(sorted(out.items()))\n"
		      "d = None\n"
		      "print(len(re.findall(\"1+\", text)))\n"
		      "'");
}

static void perl(void **state)
{
	(void)state;
	says_the_same("perl",
		      "perl -e '"
		      "my %h; $h{$_ * 7 % 65537} .= \"x\" x ($_ % 300) for 1 .. 60000;"
		      "my $s = join(\",\", map { \"$_=\" . length($h{$_}) } sort keys %h);"
		      "print length($s), \" \", unpack(\"%32C*\", $s), \"\\n\";"
		      "my $pid = fork(); if (!$pid) { %h = (); exit 0 } waitpid($pid, 0);"
		      "print scalar(keys %h), \"\\n\"'");
}

static void sqlite3(void **state)
{
	(void)state;
	says_the_same("sqlite3",
		      "sqlite3 :memory: '"
		      "create table t(a integer primary key, b text);"
		      "with recursive c(x) as (select 1 union all select x + 1 from c where x "
		      "< 40000)"
		      " insert into t select x, hex(x * 2654435761 % 4294967296) from c;"
		      "create index i on t(b);"
		      "select count(*), sum(length(b)), min(b), max(b) from t;"
		      "select substr(b, 1, 2) as p, count(*) from t group by p order by 2 desc "
		      "limit 9;"
		      "delete from t where a % 3 = 0; vacuum; pragma integrity_check;'");
}

static void sort(void **state)
{
	(void)state;
	says_the_same("sort", "seq 1 120000 | sort -r | sort -k1.2 -S 4M --parallel=2 | cksum;"
			      "seq 1 50000 | awk '{ a[$1 % 977] = a[$1 % 977] $1 } END "
			      "{ for (i = 0; i < 977; i++) n += length(a[i]); print n }'");
}

static void gcc(void **state)
{
	(void)state;
	says_the_same("gcc", "printf '#include <stdio.h>\\n#include <stdlib.h>\\n"
			     "int f(int n) { int s = 0; for (int i = 0; i < n; i++) "
			     "s += i * i %% 7; return s; }\\n"
			     "int main(void) { printf(\"%%d\", f(99)); }\\n' "
			     "| gcc -O2 -x c -S -o - - | cksum");
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(python3), cmocka_unit_test(perl), cmocka_unit_test(sqlite3),
	cmocka_unit_test(sort),	   cmocka_unit_test(gcc),
};
TEST_MAIN(tests)
