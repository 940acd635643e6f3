/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <string.h>

#include "run/report.h"

static struct report report_make(void)
{
	struct report report = {
		.ram_bytes = (uint64_t)256 << 20,
		.zram_bytes = (uint64_t)128 << 20,
		.engine_reason = "the default",
		.totals = {.nr_processes = 2,
			   .paths = RUN_PATH_MOVE | RUN_PATH_URING | RUN_PATH_FAULT_THREAD},
		.usage = {.ru_maxrss = 270000,
			  .ru_utime = {.tv_sec = 12, .tv_usec = 340000},
			  .ru_stime = {.tv_sec = 3, .tv_usec = 5000}},
		.wall_ns = 17005000000,
		.exit_status = 3 << 8,
	};
	uint64_t *vmstat = report.totals.vmstat;

	vmstat[MM_VMSTAT_nr_touched_peak] = 262144;
	vmstat[MM_VMSTAT_pgfault] = 1000000;
	vmstat[MM_VMSTAT_nr_zspages] = 100 * 256;
	vmstat[MM_VMSTAT_nr_zswapped] = 250 * 256;
	vmstat[MM_VMSTAT_zswap_bytes] = 96 << 20;
	vmstat[MM_VMSTAT_nr_zsame] = 2;
	vmstat[MM_VMSTAT_zswpout] = 4001;
	vmstat[MM_VMSTAT_zswpin] = 4002;
	vmstat[MM_VMSTAT_zswp_poor] = 4003;
	vmstat[MM_VMSTAT_zswp_full] = 4004;
	vmstat[MM_VMSTAT_zswpwb] = 4005;
	vmstat[MM_VMSTAT_zswp_moved] = 4006;
	vmstat[MM_VMSTAT_pgmajfault] = 1234;
	vmstat[MM_VMSTAT_pswpout] = 300000;
	vmstat[MM_VMSTAT_pswpin] = 200000;
	return report;
}

static void the_table_is_for_people(void **state)
{
	struct report report = report_make();
	char text[REPORT_TEXT_MAX];

	(void)state;
	report_render(&report, REPORT_TABLE, text);
	assert_string_equal(text, "ration: what the run took\n"
				  "  RAM given               256.0 MiB\n"
				  "  data touched              1.0 GiB\n"
				  "  peak RSS                263.6 MiB\n"
				  "  minor faults               998766\n"
				  "  major faults                 1234\n"
				  "  pages swapped out          300000\n"
				  "  pages swapped in           200000\n"
				  "  compressed tier         128.0 MiB\n"
				  "    RAM at the end        100.0 MiB\n"
				  "    data in it            250.0 MiB\n"
				  "      compressed to        96.0 MiB\n"
				  "      same-filled           8.0 KiB\n"
				  "    pages put in               4001\n"
				  "    pages read                 4002\n"
				  "    incompressible             4003\n"
				  "    no room for                4004\n"
				  "    written back               4005\n"
				  "    compaction moves           4006\n"
				  "  wall time                 17.00 s\n"
				  "  user CPU                  12.34 s\n"
				  "  system CPU                 3.00 s\n"
				  "  processes managed               2\n"
				  "  faults resolved by         thread\n"
				  "  because               the default\n"
				  "  paths taken        move, io_uring\n");
}

static void json_is_one_line(void **state)
{
	static const char beginning[] =
		"{\"ram_bytes\": 268435456, \"zram_bytes\": 134217728, \"touched_bytes\": "
		"1073741824, "
		"\"rss_peak_bytes\": 276480000, \"minor_faults\": 998766, "
		"\"major_faults\": 1234, \"pages_out\": 300000, \"pages_in\": 200000, "
		"\"wall_ns\": 17005000000, \"user_s\": 12.340000, \"system_s\": 3.005000, "
		"\"processes\": 2, \"fault_engine\": \"thread\", "
		"\"fault_reason\": \"the default\", "
		"\"paths\": [\"move\", \"io_uring\"], \"exit_status\": 3, "
		"\"vmstat\": {\"nr_free_pages\": 0, ";
	struct report report = report_make();
	char text[REPORT_TEXT_MAX];

	(void)state;
	report_render(&report, REPORT_JSON, text);
	assert_memory_equal(text, beginning, sizeof(beginning) - 1);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	assert_non_null(strstr(text, "\"oom_kill\": 0}}\n"));

	report.exit_status = 9;
	report_render(&report, REPORT_JSON, text);
	assert_non_null(strstr(text, "\"exit_signal\": 9, "));
}

static void the_engine_and_why(void **state)
{
	static const struct {
		uint32_t paths;
		const char *says;
	} table[] = {
		{RUN_PATH_FAULT_SIGNAL,
		 "by         signal\n  because               the default\n"},
		{RUN_PATH_FAULT_SIGNAL | RUN_PATH_FAULT_THREAD,
		 "by signal, thread\n  because               the default\n"},
		{RUN_PATH_FAULT_THREAD | RUN_PATH_REFUSED << RUN_REFUSED_USERFAULTFD,
		 "by         thread\n  because            no userfaultfd by signals\n"},
		{RUN_PATH_FAULT_THREAD | RUN_PATH_REFUSED << RUN_REFUSED_FILTER,
		 "by         thread\n  because            no seccomp filter\n"},
		{RUN_PATH_FAULT_THREAD | RUN_PATH_REFUSED << RUN_REFUSED_WINDOW,
		 "by         thread\n  because            addresses taken\n"},
	};
	char text[REPORT_TEXT_MAX];

	(void)state;
	for (unsigned int i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct report report = report_make();

		report.totals.paths = table[i].paths;
		report_render(&report, REPORT_TABLE, text);
		assert_non_null(strstr(text, table[i].says));
	}
}

static void the_largest_numbers_fit(void **state)
{
	struct report report;
	char text[REPORT_TEXT_MAX];

	(void)state;
	memset(&report, 0xff, sizeof(report));
	report_render(&report, REPORT_JSON, text);
	assert_ptr_equal(strstr(text, "}}\n"), text + strlen(text) - 3);
	report_render(&report, REPORT_TABLE, text);
	assert_int_equal(text[strlen(text) - 1], '\n');
	report_render(&report, REPORT_NONE, text);
	assert_string_equal(text, "");
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_table_is_for_people),
	cmocka_unit_test(json_is_one_line),
	cmocka_unit_test(the_engine_and_why),
	cmocka_unit_test(the_largest_numbers_fit),
};
TEST_MAIN(tests)
