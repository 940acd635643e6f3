/* SPDX-License-Identifier: MIT */
/*
 * Finds the program as a shell would, and refuses one that would run unmanaged.
 *
 * The runtime comes into a program through the dynamic loader (LD_PRELOAD). It cannot where
 * there is no loader (static), where the loader does not listen (set-uid, set-gid, file
 * capabilities: ld.so(8), secure-execution mode), and where it is not glibc's or not of this
 * machine. A script is started by the kernel through its interpreter, so that one is looked at.
 *
 * The answers are for people: execve(2) is the judge, and nothing relies on the file's being
 * the same a moment later.
 */
#include "run/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "run/complain.h"

#define SCRIPT_DEPTH_MAX 5   /* the kernel's own bound (fs/exec.c) */
#define HEAD_BYTES	 256 /* of the file; the kernel's BINPRM_BUF_SIZE */
#define PHDRS_MAX	 512

#define UNMANAGED "it would run unmanaged; start it without ration"

#define NAME_SHOWN 120 /* of a path in a message: its end, so that the way out has room too */

/* Return: status, so that a check can end with it. */
__attribute__((format(printf, 4, 5))) static int refuse(struct program *program, int status,
							const char *name, const char *format,
							...)
{
	size_t len = strlen(name);
	bool is_long = len > NAME_SHOWN;
	va_list args;
	int at;

	at = snprintf(program->why, PROGRAM_WHY_MAX, "%s%s: ", is_long ? "..." : "",
		      is_long ? name + len - NAME_SHOWN : name);
	va_start(args, format);
	vsnprintf(program->why + at, PROGRAM_WHY_MAX - (size_t)at, format, args);
	va_end(args);
	return status;
}

static int exec_status(int err)
{
	return err == ENOENT || err == ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
}

/* Return: 0, or the errno of starting it. */
static int file_may_start(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return errno;
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	if (!S_ISREG(st.st_mode))
		return EACCES;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) ? errno : 0;
}

static int find_direct(const char *name, struct program *program)
{
	int err = file_may_start(name);

	if (!err && snprintf(program->path, PATH_MAX, "%s", name) >= PATH_MAX)
		err = ENAMETOOLONG;
	if (!err)
		return EXIT_OK;
	return refuse(program, exec_status(err), name, "%s", strerror(err));
}

/**
 * program_find() - where a program is.
 * @name: as typed; one with a '/' is a path.
 * @search: value of PATH; NULL: not set.
 *
 * Return: EXIT_OK and ->path; EXIT_NOT_FOUND or EXIT_CANNOT_EXECUTE, and ->why, as execvp(3)
 * decides it.
 */
int program_find(const char *name, const char *search, struct program *ret_program)
{
	bool is_denied = false;

	*ret_program = (struct program){.is_text = false};
	if (strchr(name, '/'))
		return find_direct(name, ret_program);
	for (const char *at = search ? search : "/bin:/usr/bin"; *name && at;) {
		size_t len = strcspn(at, ":");
		int err;

		/* an empty part is the working directory */
		if (snprintf(ret_program->path, PATH_MAX, "%.*s%s%s", (int)len, at,
			     len ? "/" : "./", name) < PATH_MAX) {
			err = file_may_start(ret_program->path);
			if (!err)
				return EXIT_OK;
			is_denied |= err == EACCES;
		}
		at = at[len] ? at + len + 1 : NULL;
	}
	if (is_denied)
		return refuse(ret_program, EXIT_CANNOT_EXECUTE, name, "%s", strerror(EACCES));
	return refuse(ret_program, EXIT_NOT_FOUND, name, "command not found");
}

/*
 * Whether the kernel would give the program other rights than ours, so that the loader runs in
 * secure-execution mode (fs/exec.c, bprm_fill_uid; security/commoncap.c).
 */
static const char *privilege_of(int fd)
{
	struct statvfs fs;
	struct stat st;
	char caps[64];

	if (fstatvfs(fd, &fs) == 0 && fs.f_flag & ST_NOSUID)
		return NULL;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 || fstat(fd, &st))
		return NULL;
	if (st.st_mode & S_ISUID && st.st_uid != getuid())
		return "set-uid";
	if (st.st_mode & S_ISGID && st.st_mode & S_IXGRP && st.st_gid != getgid())
		return "set-gid";
	if (getuid() != 0 && fgetxattr(fd, "security.capability", caps, sizeof(caps)) > 0)
		return "privileged by file capabilities";
	return NULL;
}

/* The interpreter's path. Return: 0; -ENOENT: static; -ENOEXEC: broken. */
static int elf_interp(int fd, const Elf64_Ehdr *ehdr, char ret_interp[PATH_MAX])
{
	Elf64_Phdr phdr;

	for (unsigned int i = 0; i < ehdr->e_phnum && i < PHDRS_MAX; i++) {
		off_t at = (off_t)(ehdr->e_phoff + i * sizeof(phdr));
		ssize_t len;

		if (pread(fd, &phdr, sizeof(phdr), at) != (ssize_t)sizeof(phdr))
			return -ENOEXEC;
		if (phdr.p_type != PT_INTERP)
			continue;
		if (phdr.p_filesz < 2 || phdr.p_filesz >= PATH_MAX)
			return -ENOEXEC;
		len = pread(fd, ret_interp, phdr.p_filesz, (off_t)phdr.p_offset);
		if (len != (ssize_t)phdr.p_filesz)
			return -ENOEXEC;
		ret_interp[len] = '\0';
		return 0;
	}
	return -ENOENT;
}

static bool interp_is_glibc(const char *interp)
{
	const char *slash = strrchr(interp, '/');

	return !strcmp(slash ? slash + 1 : interp, "ld-linux-x86-64.so.2");
}

static int check_loader(int fd, const Elf64_Ehdr *ehdr, struct program *program,
			const char *path)
{
	char interp[PATH_MAX];
	int err = -ENOEXEC;

	if (ehdr->e_phentsize == sizeof(Elf64_Phdr))
		err = elf_interp(fd, ehdr, interp);
	if (err == -ENOEXEC)
		return refuse(program, EXIT_CANNOT_EXECUTE, path, "%s", strerror(ENOEXEC));
	if (err == -ENOENT)
		return refuse(program, EXIT_USAGE, path, "is statically linked: " UNMANAGED);
	if (!interp_is_glibc(interp))
		return refuse(program, EXIT_USAGE, path,
			      "its loader is %s, not glibc's: " UNMANAGED, interp);
	return EXIT_OK;
}

static int check_elf(int fd, const unsigned char *head, struct program *program,
		     const char *path)
{
	const char *privilege;
	Elf64_Ehdr ehdr;

	memcpy(&ehdr, head, sizeof(ehdr)); /* e_machine lies alike in both classes */
	if (ehdr.e_ident[EI_CLASS] == ELFCLASS32)
		return refuse(program, EXIT_USAGE, path, "is a 32-bit program: " UNMANAGED);
	if (ehdr.e_machine != EM_X86_64)
		return refuse(program, EXIT_USAGE, path,
			      "is for another machine than x86-64: " UNMANAGED);
	privilege = privilege_of(fd);
	if (privilege)
		return refuse(program, EXIT_USAGE, path, "is %s: " UNMANAGED, privilege);
	return check_loader(fd, &ehdr, program, path);
}

/* The interpreter named after "#!". Return: false if there is none. */
static bool script_interp(const char *head, char ret_interp[HEAD_BYTES])
{
	const char *at = head + 2;
	size_t len;

	at += strspn(at, " \t");
	len = strcspn(at, " \t\n");
	memcpy(ret_interp, at, len);
	ret_interp[len] = '\0';
	return len > 0;
}

/* As bash decides it: a first line without a NUL byte. */
static bool head_is_text(const char *head, size_t len)
{
	const char *end = memchr(head, '\n', len);

	return !memchr(head, '\0', end ? (size_t)(end - head) : len);
}

/* Looks at one file. Return: an exit status; or -1, and ret_next is to be looked at instead. */
static int check_file(struct program *program, const char *path, int fd,
		      char ret_next[HEAD_BYTES])
{
	char head[HEAD_BYTES + 1] = {0};
	ssize_t len = pread(fd, head, HEAD_BYTES - 1, 0);

	if (len >= (ssize_t)sizeof(Elf64_Ehdr) && !memcmp(head, ELFMAG, SELFMAG))
		return check_elf(fd, (unsigned char *)head, program, path);
	if (len >= 2 && head[0] == '#' && head[1] == '!' && script_interp(head, ret_next))
		return -1;
	if (len < 0 || !head_is_text(head, (size_t)len))
		return refuse(program, EXIT_CANNOT_EXECUTE, path, "%s",
			      strerror(len < 0 ? EIO : ENOEXEC));
	if (!strcmp(path, program->path))
		program->is_text = true;
	strcpy(ret_next, "/bin/sh");
	return -1;
}

/**
 * program_check() - would the runtime come into this program?
 * @program: as program_find() found it.
 *
 * Return: EXIT_OK, and ->is_text is set; EXIT_USAGE if it is refused; EXIT_CANNOT_EXECUTE if
 * the kernel would refuse it; with ->why.
 */
int program_check(struct program *program)
{
	char path[PATH_MAX], next[HEAD_BYTES];

	strcpy(path, program->path);
	for (unsigned int depth = 0; depth <= SCRIPT_DEPTH_MAX; depth++) {
		int err = depth ? file_may_start(path) : 0;
		int fd, status;

		if (err)
			return refuse(program, EXIT_CANNOT_EXECUTE, program->path,
				      "%s: bad interpreter: %s", path, strerror(err));
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return refuse(program, EXIT_USAGE, path,
				      "cannot be read, so not checked (%s): " UNMANAGED,
				      strerror(errno));
		status = check_file(program, path, fd, next);
		close(fd);
		if (status >= 0)
			return status;
		strcpy(path, next);
	}
	return refuse(program, EXIT_CANNOT_EXECUTE, program->path, "%s", strerror(ELOOP));
}
