/* SPDX-License-Identifier: MIT */
/*
 * How much memory can be had here: what the kernel calls available (MemAvailable: free, and
 * what can be freed without swapping), and not more than the memory limits of our control
 * groups leave.
 *
 * A group's limit binds all groups below it, so each one from ours up to the root of the mount
 * is asked (cgroup v2: memory.max, memory.current; v1: memory.limit_in_bytes,
 * memory.usage_in_bytes). What a group uses counts without its inactive file pages, which the
 * kernel gives up first.
 *
 * In a container the mount may show only a part of the tree: the mount's root (field 4 of
 * /proc/self/mountinfo) is what must be cut off the group's path.
 */
#include "run/hostmem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"

#define TEXT_MAX 65536 /* of a file of /proc; a longer mountinfo is cut */

struct cgroup_names {
	const char *limit, *usage, *inactive_file;
};

static const struct cgroup_names names_v1 = {"memory.limit_in_bytes", "memory.usage_in_bytes",
					     "total_inactive_file"};
static const struct cgroup_names names_v2 = {"memory.max", "memory.current", "inactive_file"};

static int text_read(const char *root, const char *path, char *text, size_t size)
{
	char full[PATH_MAX];
	size_t len = 0;
	ssize_t got;
	int fd;

	if (snprintf(full, sizeof(full), "%s%s", root, path) >= (int)sizeof(full))
		return -ENAMETOOLONG;
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (len < size - 1 && (got = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)got;
	close(fd);
	text[len] = '\0';
	return 0;
}

/* The number after the line's first word, which is name. */
static int text_find(const char *text, const char *name, uint64_t *ret_value)
{
	size_t len = strlen(name);

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, name, len) && strchr(" :\t", line[len]) && line[len])
			return sscanf(line + len + 1, "%" SCNu64, ret_value) == 1 ? 0 : -EPROTO;
	}
	return -ENOENT;
}

static int group_file(const char *root, const char *group, const char *name,
		      uint64_t *ret_value)
{
	char path[PATH_MAX], text[64];
	int err;

	if (snprintf(path, sizeof(path), "%s/%s", group, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	err = text_read(root, path, text, sizeof(text));
	if (err)
		return err;
	return sscanf(text, "%" SCNu64, ret_value) == 1 ? 0 : -EPROTO; /* "max": no limit */
}

/* What the group's own limit leaves; the largest number where it has none. */
static uint64_t group_left(const char *root, const char *group,
			   const struct cgroup_names *names)
{
	char path[PATH_MAX], text[TEXT_MAX];
	uint64_t limit, usage, inactive;

	if (group_file(root, group, names->limit, &limit) ||
	    group_file(root, group, names->usage, &usage))
		return UINT64_MAX;
	snprintf(path, sizeof(path), "%.*s/memory.stat", PATH_MAX - 16, group);
	if (text_read(root, path, text, sizeof(text)) ||
	    text_find(text, names->inactive_file, &inactive))
		inactive = 0;
	usage -= min_u64(usage, inactive);
	return limit - min_u64(limit, usage);
}

/* From the group up to, and with, the mount point, whose length is top. */
static uint64_t groups_left(const char *root, char *group, size_t top,
			    const struct cgroup_names *names)
{
	uint64_t left = UINT64_MAX;

	for (;;) {
		char *slash;

		left = min_u64(left, group_left(root, group, names));
		slash = strrchr(group, '/');
		if (strlen(group) <= top || !slash || (size_t)(slash - group) < top)
			return left;
		*slash = '\0';
	}
}

/* "0::/path" (v2), or "n:...,memory,...:/path" (v1). */
static bool membership_find(const char *text, bool is_v2, char *ret_path, size_t size)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		char controllers[256] = ",";
		char path[PATH_MAX];

		line += *line == '\n';
		if (is_v2 && sscanf(line, "0::%4095[^\n]", path) == 1)
			return snprintf(ret_path, size, "%s", path) < (int)size;
		if (is_v2 ||
		    sscanf(line, "%*u:%250[^:\n]:%4095[^\n]", controllers + 1, path) != 2)
			continue;
		strcat(controllers, ",");
		if (strstr(controllers, ",memory,"))
			return snprintf(ret_path, size, "%s", path) < (int)size;
	}
	return false;
}

struct mount {
	char top[PATH_MAX];   /* the part of the tree that is mounted */
	char point[PATH_MAX]; /* where */
};

/* Octal escapes of blanks in paths are not undone: such a mount is not found, as if not there.
 */
static bool mount_parse(const char *line, bool is_v2, struct mount *ret_mount)
{
	char text[2 * PATH_MAX], type[32], options[PATH_MAX];
	const char *end = strchrnul(line, '\n');
	const char *dash;

	if ((size_t)(end - line) >= sizeof(text))
		return false;
	memcpy(text, line, (size_t)(end - line));
	text[end - line] = '\0';
	dash = strstr(text, " - ");
	if (!dash || sscanf(dash, " - %31s %*s %4095s", type, options) != 2)
		return false;
	if (strcmp(type, is_v2 ? "cgroup2" : "cgroup"))
		return false;
	if (!is_v2 && !strstr(options, "memory"))
		return false;
	return sscanf(text, "%*s %*s %*s %4095s %4095s", ret_mount->top, ret_mount->point) == 2;
}

static bool mount_find(const char *text, bool is_v2, struct mount *ret_mount)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (mount_parse(line, is_v2, ret_mount))
			return true;
	}
	return false;
}

/* The group's path below the mount point: without the mount's top where it begins with it. */
static const char *path_below(const char *path, const char *top)
{
	size_t len = strlen(top);

	if (!strcmp(path, "/") || !strcmp(path, top))
		return "";
	if (!strcmp(top, "/"))
		return path;
	return !strncmp(path, top, len) && path[len] == '/' ? path + len : "";
}

static uint64_t cgroup_left(const char *root, bool is_v2)
{
	char text[TEXT_MAX], path[PATH_MAX], group[PATH_MAX];
	struct mount mount;

	if (text_read(root, "/proc/self/cgroup", text, sizeof(text)) ||
	    !membership_find(text, is_v2, path, sizeof(path)))
		return UINT64_MAX;
	if (text_read(root, "/proc/self/mountinfo", text, sizeof(text)) ||
	    !mount_find(text, is_v2, &mount))
		return UINT64_MAX;
	if (snprintf(group, sizeof(group), "%s%s", mount.point, path_below(path, mount.top)) >=
	    (int)sizeof(group))
		return UINT64_MAX;
	return groups_left(root, group, strlen(mount.point), is_v2 ? &names_v2 : &names_v1);
}

/**
 * hostmem_available() - bytes that a program started now can have.
 * @root: put in front of each path: "" but in tests.
 *
 * Return: 0; -errno if /proc/meminfo cannot be read or does not say.
 */
int hostmem_available(const char *root, uint64_t *ret_bytes)
{
	char text[TEXT_MAX];
	uint64_t kib, left;
	int err = text_read(root, "/proc/meminfo", text, sizeof(text));

	if (err)
		return err;
	err = text_find(text, "MemAvailable", &kib);
	if (err)
		return err;
	left = min_u64(cgroup_left(root, false), cgroup_left(root, true));
	*ret_bytes = min_u64(kib * 1024, left);
	return 0;
}
