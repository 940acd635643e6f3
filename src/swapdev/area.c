/* SPDX-License-Identifier: MIT */
/*
 * Opening a swap file or block device for a run: the launcher's part, before any process of the
 * run exists. It may allocate, wait and use errno.
 *
 * What the path names is looked at by stat(2) before it is opened, because opening some things
 * does something (a FIFO waits, a tape winds), and again afterwards, because it may have been
 * exchanged in between.
 *
 * Invariants:
 *  1. Nothing is ever written to what existed before: a header goes only into a file that this
 *     run created with O_EXCL.
 *  2. Two runs never have the same area open: each begins by flock(LOCK_EX), which fails while
 *     another run holds the area, exclusively or shared. The kernel and a run never do:
 *     /proc/swaps, ETXTBSY and O_EXCL (block devices) tell.
 *  3. A file is removed only if this run created it and the path still names it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/checked.h"
#include "swapdev/file.h"
#include "swapdev/header.h"

#define DEFAULT_FREE_PERCENT 90 /* of the file system's free space, where no size is given */
#define SIZE_TEXT_LEN	     32
#define SWAPS_LINES_MAX	     1024 /* the kernel has fewer areas */

struct opening {
	const struct swap_file_request *req;
	char *why;
	size_t why_len;
	int fd;
	struct stat st;
};

struct size_text {
	char bytes[SIZE_TEXT_LEN];
};

/* Says why and returns -err, so that a refusal is one statement. */
static int __attribute__((format(printf, 3, 4)))
refuse(const struct opening *o, int err, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(o->why, o->why_len, "--swap %s: %s", o->req->path, text);
	return -err;
}

/* For reading: "3.1 GiB", "40 KiB". */
static struct size_text size_text(uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	struct size_text text;
	double n = (double)bytes / 1024;
	unsigned int unit = 0;

	for (; n >= 1024 && unit < sizeof(units) - 2; unit++)
		n /= 1024;
	snprintf(text.bytes, sizeof(text.bytes),
		 n == (double)(uint64_t)n ? "%.0f %ciB" : "%.1f %ciB", n, units[unit]);
	return text;
}

/* For typing again: the whole of the largest unit that loses little, "3174M". */
static struct size_text size_option(uint64_t bytes)
{
	struct size_text text;

	if (bytes >= 16 * 1048576)
		snprintf(text.bytes, sizeof(text.bytes), "%lluM",
			 (unsigned long long)bytes >> 20);
	else
		snprintf(text.bytes, sizeof(text.bytes), "%lluK",
			 (unsigned long long)bytes >> 10);
	return text;
}

static const char *kind_text(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	case S_IFCHR:
		return "a character device";
	default:
		return NULL;
	}
}

static int check_kind(const struct opening *o)
{
	const char *kind = kind_text(o->st.st_mode);

	if (S_ISDIR(o->st.st_mode))
		return refuse(
			o, EISDIR, "is a directory; name a file in it, as in --swap %s%sswap",
			o->req->path, o->req->path[strlen(o->req->path) - 1] == '/' ? "" : "/");
	if (kind)
		return refuse(o, EINVAL, "is %s; name a file or a block device", kind);
	return 0;
}

static bool is_same_area(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* /proc/swaps writes a blank, tab, newline or backslash in a name as \ooo. Decodes in place. */
static void decode_octal(char *name)
{
	char *out = name;
	unsigned int c;

	for (; *name != '\0'; out++) {
		if (name[0] == '\\' && sscanf(name + 1, "%3o", &c) == 1) {
			*out = (char)c;
			name += 4;
		} else {
			*out = *name++;
		}
	}
	*out = '\0';
}

static bool is_kernel_swap(const struct stat *st)
{
	FILE *swaps = fopen("/proc/swaps", "re");
	char line[8192], name[8192];
	struct stat other;
	bool found = false;

	if (!swaps)
		return false;
	for (int i = 0; i < SWAPS_LINES_MAX && !found && fgets(line, sizeof(line), swaps);
	     i++) {
		if (line[0] != '/' || sscanf(line, "%8191s", name) != 1)
			continue;
		decode_octal(name);
		found = stat(name, &other) == 0 && is_same_area(st, &other);
	}
	fclose(swaps);
	return found;
}

static int refuse_kernel_swap(const struct opening *o)
{
	return refuse(
		o, EBUSY,
		"is in use by the kernel as swap (see /proc/swaps); name another path, or "
		"run first: swapoff %s",
		o->req->path);
}

static int refuse_open(const struct opening *o, int err)
{
	switch (err) {
	case EACCES:
	case EPERM:
		return refuse(
			o, err,
			"you may not read and write it (%s); name another path, or change "
			"its owner or mode",
			strerror(err));
	case EROFS:
		return refuse(o, err, "is read-only; name a path that can be written");
	case EBUSY:
		return refuse(o, err,
			      "the device is mounted or otherwise in use; name another, or "
			      "unmount it first");
	case ETXTBSY:
		return refuse(o, err, "is a program that runs; name another path");
	case ENXIO:
	case ENODEV:
	case ENOMEDIUM:
		return refuse(o, err, "no such device (%s); name another path", strerror(err));
	default:
		return refuse(o, err, "cannot be opened (%s); name another path",
			      strerror(err));
	}
}

static int take_lock(const struct opening *o)
{
	if (flock(o->fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return refuse(o, EBUSY,
			      "is in use by another run; name another path, one for each run");
	return refuse(o, errno, "cannot be locked (%s); name a path on another file system",
		      strerror(errno));
}

/* Opens what exists, looks again at what it is, and takes it for this run. */
static int open_and_lock(struct opening *o)
{
	struct stat before = o->st;
	int flags = O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

	o->fd = open(o->req->path, S_ISBLK(before.st_mode) ? flags | O_EXCL : flags);
	if (o->fd < 0)
		return refuse_open(o, errno);
	if (fstat(o->fd, &o->st) != 0 || !is_same_area(&before, &o->st) ||
	    kind_text(o->st.st_mode))
		return refuse(o, EAGAIN, "was exchanged for another file just now; try again");
	/* A write of no bytes says whether the kernel swaps to the file, and does nothing. */
	if (S_ISREG(o->st.st_mode) && pwrite(o->fd, "", 0, 0) < 0 && errno == ETXTBSY)
		return refuse_kernel_swap(o);
	return take_lock(o);
}

static int area_bytes(const struct opening *o, uint64_t *ret_bytes)
{
	if (S_ISREG(o->st.st_mode)) {
		*ret_bytes = (uint64_t)o->st.st_size;
		return 0;
	}
	if (ioctl(o->fd, BLKGETSIZE64, ret_bytes) != 0)
		return refuse(o, errno, "does not tell its size (%s); name another path",
			      strerror(errno));
	return 0;
}

static int refuse_header(const struct opening *o, enum swap_header_state state,
			 uint32_t page_size)
{
	const char *path = o->req->path;

	switch (state) {
	case SWAP_HEADER_HIBERNATED:
		return refuse(
			o, EBUSY,
			"a hibernated system sleeps in it; name another path, or throw that "
			"system away with: mkswap %s",
			path);
	case SWAP_HEADER_PAGE_SIZE:
		return refuse(
			o, EINVAL,
			"its swap header is for pages of %s, here they are 4 KiB; make it "
			"anew with: mkswap -p 4096 %s",
			size_text(page_size).bytes, path);
	case SWAP_HEADER_BYTE_ORDER:
		return refuse(
			o, EINVAL,
			"its swap header is of a machine with the other byte order; make it "
			"anew with: mkswap %s",
			path);
	case SWAP_HEADER_OLD:
	case SWAP_HEADER_VERSION:
		return refuse(o, EINVAL,
			      "its swap header is of a version that is not known; make it anew "
			      "with: mkswap %s",
			      path);
	case SWAP_HEADER_DAMAGED:
		return refuse(
			o, EINVAL,
			"its swap header is damaged; if nothing else is in it, make it anew "
			"with: mkswap %s",
			path);
	default:
		return refuse(
			o, EEXIST,
			"exists and has no swap signature, so it may be somebody's data; "
			"name a path that does not exist, or if it is yours to lose: mkswap %s",
			path);
	}
}

static int read_header(const struct opening *o, struct swap_header *ret_header)
{
	enum swap_header_state state;
	int err;

	if (S_ISREG(o->st.st_mode) && o->st.st_size == 0)
		return refuse(
			o, EEXIST,
			"exists and is empty, and only swap files are written to; remove it "
			"(then it is made), or name another path");
	err = swap_header_read(o->fd, &state, ret_header);
	if (err)
		return refuse(o, -err, "cannot be read (%s); name another path",
			      strerror(-err));
	if (state != SWAP_HEADER_OK)
		return refuse_header(o, state, ret_header->page_size);
	return 0;
}

/* Return: 0 with the slots that may be used: the header's, or fewer if the user said so. */
static int fit_size(const struct opening *o, const struct swap_header *header,
		    uint64_t *ret_nr_slots)
{
	uint64_t have = header->nr_slots * PAGE_SIZE, want = o->req->size_bytes, bytes;
	int err = area_bytes(o, &bytes);

	if (err)
		return err;
	if (bytes < have)
		return refuse(o, EINVAL,
			      "its swap header says %s, but it has only %s; make it anew with: "
			      "mkswap %s",
			      size_text(have).bytes, size_text(bytes).bytes, o->req->path);
	if (want > have)
		return refuse(
			o, EINVAL,
			"size %s: the swap area in it has only %s; leave the size out, or "
			"make it larger with mkswap",
			size_text(want).bytes, size_text(have).bytes);
	if (header->nr_slots < SWAP_SLOTS_MIN ||
	    (want != 0 && want < SWAP_SLOTS_MIN * PAGE_SIZE))
		return refuse(o, EINVAL, "size %s is too small; the least is 40K",
			      size_text(want != 0 ? want : have).bytes);
	*ret_nr_slots = want == 0 ? header->nr_slots : want / PAGE_SIZE;
	return 0;
}

/* What is right to use but not to be silent about. */
static void warn(const struct opening *o)
{
	struct statfs fs;

	if (S_ISREG(o->st.st_mode) && fstatfs(o->fd, &fs) == 0 &&
	    (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC))
		refuse(o, 0, "lies in memory (tmpfs), so it saves none; name a path on a disk");
	else if (o->st.st_mode & (S_ISREG(o->st.st_mode) ? S_IRGRP | S_IROTH : S_IROTH))
		refuse(o, 0,
		       "others may read it (mode %04o), and with it the program's memory; run: "
		       "chmod 0600 %s",
		       (unsigned int)(o->st.st_mode & 07777), o->req->path);
}

static void fill_file(const struct opening *o, uint64_t nr_slots, bool is_made,
		      struct swap_file *ret_file)
{
	*ret_file = (struct swap_file){
		.path = o->req->path,
		.nr_slots = nr_slots,
		.dev = o->st.st_dev,
		.ino = o->st.st_ino,
		.fd = o->fd,
		.is_made = is_made,
	};
}

static int open_existing(struct opening *o, struct swap_file *ret_file)
{
	struct swap_header header;
	uint64_t nr_slots = 0;
	int err = check_kind(o);

	if (err)
		return err;
	if (is_kernel_swap(&o->st))
		return refuse_kernel_swap(o);
	err = open_and_lock(o);
	if (err)
		goto close_fd;
	err = read_header(o, &header);
	if (err)
		goto close_fd;
	err = fit_size(o, &header, &nr_slots);
	if (err)
		goto close_fd;
	warn(o);
	fill_file(o, nr_slots, false, ret_file);
	return 0;
close_fd:
	if (o->fd >= 0)
		close(o->fd);
	return err;
}

/* Return: 0 with how large the new file becomes, in whole pages. */
static int choose_size(const struct opening *o, uint64_t *ret_bytes)
{
	uint64_t want = o->req->size_bytes, free_bytes = UINT64_MAX, usable;
	struct rlimit limit = {.rlim_cur = RLIM_INFINITY};
	struct statvfs fs;

	if (fstatvfs(o->fd, &fs) == 0 && fs.f_blocks != 0)
		free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	usable = free_bytes / 100 * DEFAULT_FREE_PERCENT;
	getrlimit(RLIMIT_FSIZE, &limit);
	if (want == 0)
		want = min_u64(o->req->default_bytes, min_u64(usable, limit.rlim_cur));
	if (want > free_bytes)
		return refuse(o, ENOSPC,
			      "size %s: only %s is free there; try --swap %s:%s, or a path on "
			      "another file system",
			      size_text(want).bytes, size_text(free_bytes).bytes, o->req->path,
			      size_option(usable).bytes);
	if (want > limit.rlim_cur)
		return refuse(
			o, EFBIG,
			"size %s: files may not exceed %s here; raise that with ulimit -f, "
			"or try --swap %s:%s",
			size_text(want).bytes, size_text(limit.rlim_cur).bytes, o->req->path,
			size_option(limit.rlim_cur).bytes);
	if (want / PAGE_SIZE > SWAP_SLOTS_MAX)
		return refuse(o, EFBIG,
			      "size %s: a swap area has less than 16 TiB; name several",
			      size_text(want).bytes);
	if (want < SWAP_SLOTS_MIN * PAGE_SIZE)
		return refuse(o, o->req->size_bytes ? EINVAL : ENOSPC,
			      o->req->size_bytes ? "size %s is too small; the least is 40K"
						 : "only %s can be had there; name a path on "
						   "another file system",
			      size_text(want).bytes);
	*ret_bytes = want & PAGE_MASK;
	return 0;
}

static int lay_out(struct opening *o, uint64_t bytes)
{
	struct swap_header header = {.nr_slots = bytes / PAGE_SIZE, .label = "ration"};
	int err;

	/* RFC 9562, version 4. */
	if (getrandom(header.uuid, sizeof(header.uuid), 0) != (ssize_t)sizeof(header.uuid))
		memset(header.uuid, 0x52, sizeof(header.uuid));
	header.uuid[6] = (uint8_t)((header.uuid[6] & 0x0f) | 0x40);
	header.uuid[8] = (uint8_t)((header.uuid[8] & 0x3f) | 0x80);
	/* The umask may have taken from 0600, and the processes of the run open it anew. */
	if (fchmod(o->fd, 0600) != 0 || ftruncate(o->fd, (off_t)bytes) != 0)
		err = -errno;
	else
		err = swap_header_write(o->fd, &header);
	if (err)
		return refuse(o, -err, "cannot be made with %s (%s); name another path or size",
			      size_text(bytes).bytes, strerror(-err));
	return 0;
}

static int refuse_create(const struct opening *o, int err)
{
	switch (err) {
	case ENOENT:
		return refuse(o, err,
			      "the directory it should lie in does not exist; make it, or "
			      "name another path");
	case EEXIST:
		return refuse(o, err,
			      "is a symbolic link to nothing, or was made by another just "
			      "now; name another path");
	case EACCES:
	case EPERM:
		return refuse(o, err, "you may not make a file there; name another path");
	case EROFS:
		return refuse(o, err, "its file system is read-only; name another path");
	case ENOSPC:
	case EDQUOT:
		return refuse(o, err,
			      "no space is left there (%s); name a path on another file "
			      "system",
			      strerror(err));
	default:
		return refuse(o, err, "cannot be made (%s); name another path", strerror(err));
	}
}

/* A regular file among the devices would eat RAM, and is a typing error for sure. */
static bool is_device_path(const char *path)
{
	return strncmp(path, "/dev/", 5) == 0 && strncmp(path, "/dev/shm/", 9) != 0;
}

/* Unless the path names something else by now. */
static void remove_made(const char *path, uint64_t dev, uint64_t ino)
{
	struct stat st;

	if (lstat(path, &st) == 0 && st.st_dev == dev && st.st_ino == ino)
		unlink(path);
}

static int make_new(struct opening *o, struct swap_file *ret_file)
{
	uint64_t bytes = 0;
	int err;

	if (is_device_path(o->req->path))
		return refuse(o, ENOENT, "no such device; see lsblk for those there are");
	o->fd = open(o->req->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (o->fd < 0)
		return refuse_create(o, errno);
	if (fstat(o->fd, &o->st) != 0) {
		err = refuse_create(o, errno);
		goto close_fd;
	}
	err = take_lock(o);
	if (err)
		goto remove;
	err = choose_size(o, &bytes);
	if (err)
		goto remove;
	err = lay_out(o, bytes);
	if (err)
		goto remove;
	warn(o);
	fill_file(o, bytes / PAGE_SIZE, true, ret_file);
	return 0;
remove:
	remove_made(o->req->path, o->st.st_dev, o->st.st_ino);
close_fd:
	close(o->fd);
	return err;
}

/**
 * swap_file_open() - take a file or block device as swap for a run.
 * @req: what the user asked for. A path that does not exist is created: sparse, mode 0600,
 *	size_bytes or else default_bytes cut to 90% of what is free. One that exists must carry
 *	a swap header; a size_bytes below the header's uses only so much of it.
 * @ret_file: the open area; untouched on failure.
 * @why: on failure the reason and the way out, in one line without newline; on success a
 *	warning in the same form, or "".
 * @why_len: 256 and PATH_MAX twice is enough for every line; a longer one is cut.
 *
 * Return: 0, -EINVAL (path, size or header cannot be), -EEXIST (no swap header: never
 * overwritten), -EBUSY (in use by the kernel, by another run, mounted, hibernated), -ENOSPC,
 * -EFBIG, -EISDIR, -EAGAIN (exchanged while it was opened), and open(2)'s.
 * Context: the launcher; waits for the disk.
 */
int swap_file_open(const struct swap_file_request *req, struct swap_file *ret_file, char *why,
		   size_t why_len)
{
	struct opening o = {.req = req, .why = why, .why_len = why_len, .fd = -1};

	why[0] = '\0';
	if (req->path[0] == '\0')
		return refuse(&o, EINVAL, "the path is empty; name a file or a block device");
	if (stat(req->path, &o.st) == 0)
		return open_existing(&o, ret_file);
	if (errno == ENOENT)
		return make_new(&o, ret_file);
	return refuse(&o, errno, "cannot be reached (%s); name another path", strerror(errno));
}

/**
 * swap_file_close() - give the area back; the processes of the run have ended.
 * @file: from swap_file_open(). Removed if that made it and the path still names it.
 */
void swap_file_close(struct swap_file *file)
{
	if (file->is_made)
		remove_made(file->path, file->dev, file->ino);
	close(file->fd);
	file->fd = -1;
}
