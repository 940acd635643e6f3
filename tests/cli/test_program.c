/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/complain.h"
#include "run/program.h"
#include "tree.h"

#define GLIBC "/lib64/ld-linux-x86-64.so.2"
#define MUSL  "/lib/ld-musl-x86_64.so.1"

/* The beginning of an executable, as far as program_check() looks. */
struct image {
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdrs[2]; /* PT_LOAD, PT_INTERP */
	char interp[64];
};

static struct image image_make(const char *interp)
{
	struct image image = {
		.ehdr = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
				     ELFDATA2LSB, EV_CURRENT},
			 .e_type = ET_DYN,
			 .e_machine = EM_X86_64,
			 .e_version = EV_CURRENT,
			 .e_phoff = offsetof(struct image, phdrs),
			 .e_ehsize = sizeof(Elf64_Ehdr),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = interp ? 2 : 1},
		.phdrs = {{.p_type = PT_LOAD, .p_filesz = sizeof(struct image)},
			  {.p_type = PT_INTERP, .p_offset = offsetof(struct image, interp)}},
	};

	if (interp) {
		image.phdrs[1].p_filesz = strlen(interp) + 1;
		strcpy(image.interp, interp);
	}
	return image;
}

static int setup(void **state)
{
	(void)state;
	tree_make();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tree_remove();
	return 0;
}

static int check(const char *path, struct program *ret_program)
{
	int status = program_find(path, NULL, ret_program);

	return status ? status : program_check(ret_program);
}

static int check_image(const struct image *image, mode_t mode, struct program *ret_program)
{
	return check(tree_write("program", image, sizeof(*image), mode), ret_program);
}

static int check_text(const char *text, struct program *ret_program)
{
	return check(tree_write("script", text, strlen(text), 0755), ret_program);
}

/* What it says after the path, which is in the test's folder. */
static void assert_says(const struct program *program, const char *text)
{
	const char *at = strstr(program->why, ": ");

	assert_non_null(at);
	assert_string_equal(at + 2, text);
}

static void a_program_of_glibc_is_managed(void **state)
{
	struct image image = image_make(GLIBC);
	struct program program;

	(void)state;
	assert_int_equal(check_image(&image, 0755, &program), EXIT_OK);
	image = image_make("/nix/store/glibc/lib/ld-linux-x86-64.so.2");
	assert_int_equal(check_image(&image, 0755, &program), EXIT_OK);
	assert_int_equal(check("/bin/ls", &program), EXIT_OK);
	assert_false(program.is_text);
}

static void a_static_program_is_refused(void **state)
{
	struct image image = image_make(NULL);
	struct program program;

	(void)state;
	assert_int_equal(check_image(&image, 0755, &program), EXIT_USAGE);
	assert_says(&program, "is statically linked: it would run unmanaged; start it without "
			      "ration");
}

static void another_c_library_is_refused(void **state)
{
	struct image image = image_make(MUSL);
	struct program program;

	(void)state;
	assert_int_equal(check_image(&image, 0755, &program), EXIT_USAGE);
	assert_says(&program, "its loader is " MUSL ", not glibc's: it would run unmanaged; "
			      "start it without ration");
}

static void another_machine_is_refused(void **state)
{
	struct image image = image_make(GLIBC);
	struct program program;

	(void)state;
	image.ehdr.e_machine = EM_AARCH64;
	assert_int_equal(check_image(&image, 0755, &program), EXIT_USAGE);
	assert_says(&program, "is for another machine than x86-64: it would run unmanaged; "
			      "start it without ration");
	image.ehdr.e_machine = EM_386;
	image.ehdr.e_ident[EI_CLASS] = ELFCLASS32;
	assert_int_equal(check_image(&image, 0755, &program), EXIT_USAGE);
	assert_says(&program, "is a 32-bit program: it would run unmanaged; start it without "
			      "ration");
}

static void another_users_rights_are_refused(void **state)
{
	struct image image = image_make(GLIBC);
	struct program program;
	const char *path;

	(void)state;
	/* set-uid and set-gid to what we are gives no rights, and is no reason */
	assert_int_equal(check_image(&image, 06755, &program), EXIT_OK);
	if (getuid() != 0)
		test_skip("needs root to own a file as somebody else");
	path = tree_write("program", &image, sizeof(image), 0755);
	assert_int_equal(chown(path, 65534, 65534), 0);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(check(path, &program), EXIT_OK);
	assert_int_equal(chmod(path, 04755), 0);
	assert_int_equal(check(path, &program), EXIT_USAGE);
	assert_says(&program, "is set-uid: it would run unmanaged; start it without ration");
	assert_int_equal(chmod(path, 02755), 0);
	assert_int_equal(check(path, &program), EXIT_USAGE);
	assert_says(&program, "is set-gid: it would run unmanaged; start it without ration");
	assert_int_equal(chmod(path, 02745), 0); /* locking of old, not rights */
	assert_int_equal(check(path, &program), EXIT_OK);
}

static void a_broken_program_cannot_be_executed(void **state)
{
	struct image image = image_make(GLIBC);
	struct program program;
	char long_name[2 * PATH_MAX];
	const char *path;

	(void)state;
	image.phdrs[1].p_filesz = 5000;
	assert_int_equal(check_image(&image, 0755, &program), EXIT_CANNOT_EXECUTE);
	assert_says(&program, "Exec format error");
	image.phdrs[1].p_filesz = sizeof(long_name);
	image.phdrs[1].p_offset = 0;
	memset(long_name, 'x', sizeof(long_name));
	memcpy(long_name, &image, sizeof(image));
	path = tree_write("program", long_name, sizeof(long_name), 0755);
	assert_int_equal(check(path, &program), EXIT_CANNOT_EXECUTE);
	image = image_make(GLIBC);
	image.ehdr.e_phoff = (uint64_t)1 << 62;
	assert_int_equal(check_image(&image, 0755, &program), EXIT_CANNOT_EXECUTE);
	image = image_make(GLIBC);
	image.ehdr.e_phentsize = 1;
	assert_int_equal(check_image(&image, 0755, &program), EXIT_CANNOT_EXECUTE);
	assert_int_equal(check(tree_write("junk", "\x01\0\x02", 3, 0755), &program),
			 EXIT_CANNOT_EXECUTE);
	assert_says(&program, "Exec format error");
}

static void a_script_is_judged_by_its_interpreter(void **state)
{
	struct image image = image_make(NULL);
	struct program program;
	char text[512];
	const char *path;

	(void)state;
	assert_int_equal(check_text("#!/bin/sh\necho\n", &program), EXIT_OK);
	assert_int_equal(check_text("#! \t/bin/sh -e\n", &program), EXIT_OK);
	assert_false(program.is_text);
	assert_int_equal(check_text("#!/bin/sh", &program), EXIT_OK);
	assert_int_equal(check_text("#!/no/such\n", &program), EXIT_CANNOT_EXECUTE);
	assert_says(&program, "/no/such: bad interpreter: No such file or directory");
	assert_int_equal(check_text("#!/etc\n", &program), EXIT_CANNOT_EXECUTE);

	path = tree_write("static", &image, sizeof(image), 0755);
	snprintf(text, sizeof(text), "#!%s\n", path);
	assert_int_equal(check_text(text, &program), EXIT_USAGE);
	assert_says(&program, "is statically linked: it would run unmanaged; start it without "
			      "ration");
}

static void a_script_without_an_interpreter_is_for_the_shell(void **state)
{
	struct program program;

	(void)state;
	assert_int_equal(check_text("echo\n", &program), EXIT_OK);
	assert_true(program.is_text);
	assert_int_equal(check_text("", &program), EXIT_OK);
	assert_true(program.is_text);
	assert_int_equal(check_text("#!/bin/sh\n", &program), EXIT_OK);
	assert_false(program.is_text);
}

static void scripts_of_scripts_end(void **state)
{
	struct program program;
	char text[512];
	const char *path;

	(void)state;
	path = tree_write("loop", "", 0, 0755);
	snprintf(text, sizeof(text), "#!%s\n", path);
	path = tree_write("loop", text, strlen(text), 0755);
	assert_int_equal(check(path, &program), EXIT_CANNOT_EXECUTE);
	assert_says(&program, "Too many levels of symbolic links");
}

static void the_search_path_is_searched_as_a_shell_does(void **state)
{
	char search[512], folder[256], here[4096], expected[512];
	struct program program;
	const char *path;

	(void)state;
	path = tree_write("bin/tool", "#!/bin/sh\n", 10, 0755);
	snprintf(folder, sizeof(folder), "%.*s", (int)(strlen(path) - strlen("/tool")), path);
	snprintf(expected, sizeof(expected), "%s/tool", folder);
	snprintf(search, sizeof(search), "/no/such:%s:/bin", folder);

	assert_int_equal(program_find("tool", search, &program), EXIT_OK);
	assert_string_equal(program.path, expected);
	assert_int_equal(program_find("sh", search, &program), EXIT_OK);
	assert_string_equal(program.path, "/bin/sh");
	assert_int_equal(program_find("sh", NULL, &program), EXIT_OK);
	assert_int_equal(program_find("no-such-tool", search, &program), EXIT_NOT_FOUND);
	assert_string_equal(program.why, "no-such-tool: command not found");
	assert_int_equal(program_find("", search, &program), EXIT_NOT_FOUND);

	/* an empty part is the working directory */
	assert_non_null(getcwd(here, sizeof(here)));
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(program_find("tool", "/no/such:", &program), EXIT_OK);
	assert_string_equal(program.path, "./tool");
	assert_int_equal(program_find("tool", ":/bin", &program), EXIT_OK);
	assert_int_equal(program_find("tool", "/bin", &program), EXIT_NOT_FOUND);
	assert_int_equal(chdir(here), 0);
}

static void what_cannot_be_started_says_why(void **state)
{
	struct program program;
	char folder[256];
	const char *path;

	(void)state;
	path = tree_write("data", "#!/bin/sh\n", 10, 0644);
	snprintf(folder, sizeof(folder), "%.*s", (int)(strlen(path) - strlen("/data")), path);
	assert_int_equal(program_find(path, NULL, &program), EXIT_CANNOT_EXECUTE);
	assert_says(&program, "Permission denied");
	assert_int_equal(program_find("data", folder, &program), EXIT_CANNOT_EXECUTE);
	assert_string_equal(program.why, "data: Permission denied");
	assert_int_equal(program_find(folder, NULL, &program), EXIT_CANNOT_EXECUTE);
	assert_says(&program, "Is a directory");
	assert_int_equal(program_find("./no/such", NULL, &program), EXIT_NOT_FOUND);
	assert_says(&program, "No such file or directory");
}

static void a_long_path_leaves_room_for_the_reason(void **state)
{
	struct program program;
	char path[1024] = "./";

	(void)state;
	memset(path + 2, 'x', 900);
	assert_int_equal(program_find(path, NULL, &program), EXIT_CANNOT_EXECUTE);
	assert_non_null(strstr(program.why, "xxx: File name too long"));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_program_of_glibc_is_managed),
	cmocka_unit_test(a_static_program_is_refused),
	cmocka_unit_test(another_c_library_is_refused),
	cmocka_unit_test(another_machine_is_refused),
	cmocka_unit_test(another_users_rights_are_refused),
	cmocka_unit_test(a_broken_program_cannot_be_executed),
	cmocka_unit_test(a_script_is_judged_by_its_interpreter),
	cmocka_unit_test(a_script_without_an_interpreter_is_for_the_shell),
	cmocka_unit_test(scripts_of_scripts_end),
	cmocka_unit_test(the_search_path_is_searched_as_a_shell_does),
	cmocka_unit_test(what_cannot_be_started_says_why),
	cmocka_unit_test(a_long_path_leaves_room_for_the_reason),
};
TEST_MAIN_WITH(tests, setup, teardown)
