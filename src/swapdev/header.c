/* SPDX-License-Identifier: MIT */
/*
 * The swap header: the first page of a swap area, in the byte order of its machine.
 *
 *	0     boot loader's, not looked at
 *	1024  version = 1, last_page, nr_badpages		three uint32_t
 *	1036  uuid[16], label[16]
 *	1068  padding, zero
 *	1536  badpages[637]					uint32_t, slot numbers
 *	4086  "SWAPSPACE2"					always the page's last ten bytes
 *
 * Other signatures in that place: "SWAP-SPACE" (version 0), and the marks that a hibernated
 * system leaves. A header for larger pages has its signature at the end of those.
 *
 * Sources: mkswap(8) and swaplabel(8) of util-linux, include/linux/swap.h (union swap_header),
 * kernel/power/swap.c; read_swap_header() in mm/swapfile.c for what is refused.
 *
 * It is read in the runtime's threads too: no errno, no allocation.
 */
#include "swapdev/header.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/syscall.h"

#define SIGNATURE_LEN	10
#define READ_TRIES_MAX	8
#define PAGE_SIZE_MAX	65536
#define BAD_PADDING	2
#define BOOT_BYTES	1024
#define PADDING_WORDS	117
#define VERSION		1u
#define VERSION_SWAPPED 0x01000000u

struct disk_header {
	uint8_t boot[BOOT_BYTES];
	uint32_t version;
	uint32_t last_page;
	uint32_t nr_badpages;
	uint8_t uuid[SWAP_HEADER_UUID_LEN];
	char label[SWAP_HEADER_LABEL_LEN];
	uint32_t padding[PADDING_WORDS];
	uint32_t badpages[SWAP_HEADER_BAD_MAX];
	uint8_t unused[BAD_PADDING];
	char signature[SIGNATURE_LEN];
};

_Static_assert(sizeof(struct disk_header) == PAGE_SIZE, "the header is one page");
_Static_assert(offsetof(struct disk_header, badpages) == 1536, "mkswap's layout");

static const struct {
	char bytes[SIGNATURE_LEN + 1];
	uint8_t len;
	uint8_t state; /* enum swap_header_state */
} signatures[] = {
	{"SWAPSPACE2", 10, SWAP_HEADER_OK},
	{"SWAP-SPACE", 10, SWAP_HEADER_OLD},
	{"S1SUSPEND", 9, SWAP_HEADER_HIBERNATED},
	{"S2SUSPEND", 9, SWAP_HEADER_HIBERNATED},
	{"ULSUSPEND", 9, SWAP_HEADER_HIBERNATED},
	{"LINHIB0001", 10, SWAP_HEADER_HIBERNATED},
	{"\xed\xc3\x02\xe9\x98\x56\xe5\x0c", 8, SWAP_HEADER_HIBERNATED}, /* TuxOnIce */
};

static enum swap_header_state signature_state(const char *signature)
{
	for (size_t i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++)
		if (memcmp(signature, signatures[i].bytes, signatures[i].len) == 0)
			return (enum swap_header_state)signatures[i].state;
	return SWAP_HEADER_NONE;
}

/* A file system that was made over an old swap area may leave the signature standing. */
static bool padding_is_zero(const struct disk_header *disk)
{
	for (unsigned int i = 0; i < PADDING_WORDS; i++)
		if (disk->padding[i] != 0)
			return false;
	return true;
}

static bool numbers_can_be(const struct disk_header *disk)
{
	if (disk->last_page == 0 || disk->last_page == UINT32_MAX ||
	    disk->nr_badpages > SWAP_HEADER_BAD_MAX || disk->nr_badpages >= disk->last_page)
		return false;
	for (uint32_t i = 0; i < disk->nr_badpages; i++)
		if (disk->badpages[i] == 0 || disk->badpages[i] > disk->last_page)
			return false;
	return padding_is_zero(disk);
}

/* mkswap writes them in order, but nothing says that it must. */
static void bad_insert(struct swap_header *header, uint32_t slot)
{
	uint32_t at = header->nr_bad++;

	for (; at > 0 && header->bad[at - 1] > slot; at--)
		header->bad[at] = header->bad[at - 1];
	header->bad[at] = slot;
}

/**
 * swap_header_parse() - read a header from the first page of a swap area.
 * @page: PAGE_SIZE bytes, aligned to 4.
 * @ret_header: filled on SWAP_HEADER_OK, else untouched.
 *
 * Return: what was found; never SWAP_HEADER_PAGE_SIZE, which one page cannot tell from NONE.
 */
enum swap_header_state swap_header_parse(const void *page, struct swap_header *ret_header)
{
	const struct disk_header *disk = page;
	enum swap_header_state state = signature_state(disk->signature);

	if (state != SWAP_HEADER_OK)
		return state;
	if (disk->version == VERSION_SWAPPED)
		return SWAP_HEADER_BYTE_ORDER;
	if (disk->version != VERSION)
		return SWAP_HEADER_VERSION;
	if (!numbers_can_be(disk))
		return SWAP_HEADER_DAMAGED;
	memset(ret_header, 0, sizeof(*ret_header));
	ret_header->nr_slots = (uint64_t)disk->last_page + 1;
	ret_header->page_size = PAGE_SIZE;
	memcpy(ret_header->uuid, disk->uuid, sizeof(disk->uuid));
	memcpy(ret_header->label, disk->label, sizeof(disk->label));
	for (uint32_t i = 0; i < disk->nr_badpages; i++)
		bad_insert(ret_header, disk->badpages[i]);
	return SWAP_HEADER_OK;
}

/**
 * swap_header_format() - lay out the first page of a swap area.
 * @header: nr_slots in [2, SWAP_SLOTS_MAX]; bad slots inside them.
 * @page: PAGE_SIZE bytes, aligned to 4; all are written, the boot loader's with zeros.
 */
void swap_header_format(const struct swap_header *header, void *page)
{
	struct disk_header *disk = page;

	memset(disk, 0, sizeof(*disk));
	disk->version = VERSION;
	disk->last_page = (uint32_t)(header->nr_slots - 1);
	disk->nr_badpages = header->nr_bad;
	memcpy(disk->uuid, header->uuid, sizeof(disk->uuid));
	memcpy(disk->label, header->label, sizeof(disk->label));
	memcpy(disk->badpages, header->bad, header->nr_bad * sizeof(header->bad[0]));
	memcpy(disk->signature, signatures[0].bytes, SIGNATURE_LEN);
}

/* Return: bytes moved, fewer only at the end of the file; or -errno. */
static long read_all(int fd, void *buf, size_t len, uint64_t offset)
{
	size_t done = 0;
	long n = 0;

	for (int i = 0; i < READ_TRIES_MAX && done < len; i++) {
		n = sys_call4(SYS_pread64, fd, (long)((char *)buf + done), (long)(len - done),
			      (long)(offset + done));
		if (n == 0)
			break;
		if (n > 0)
			done += (size_t)n;
		else if (n != -EINTR)
			return n;
	}
	return n == -EINTR ? n : (long)done;
}

/* Return: the page size whose last bytes are a signature, 0 for none, or -errno. */
static int larger_page_size(int fd)
{
	char signature[SIGNATURE_LEN];

	for (uint32_t size = 2 * PAGE_SIZE; size <= PAGE_SIZE_MAX; size *= 2) {
		long n = read_all(fd, signature, sizeof(signature), size - SIGNATURE_LEN);

		if (n < 0)
			return (int)n;
		if (n == SIGNATURE_LEN && signature_state(signature) == SWAP_HEADER_OK)
			return (int)size;
	}
	return 0;
}

/**
 * swap_header_read() - read the header of an open file or block device.
 * @fd: readable, without O_DIRECT.
 * @ret_state: what was found.
 * @ret_header: filled on SWAP_HEADER_OK; its page_size on SWAP_HEADER_PAGE_SIZE; else
 * untouched.
 *
 * Return: 0 with *ret_state, or pread(2)'s -errno.
 * Context: no errno, no allocation; waits for the disk.
 */
int swap_header_read(int fd, enum swap_header_state *ret_state, struct swap_header *ret_header)
{
	_Alignas(uint32_t) uint8_t page[PAGE_SIZE];
	enum swap_header_state state = SWAP_HEADER_NONE;
	long n = read_all(fd, page, sizeof(page), 0);
	int larger;

	if (n < 0)
		return (int)n;
	if (n == (long)sizeof(page))
		state = swap_header_parse(page, ret_header);
	if (state == SWAP_HEADER_NONE) {
		larger = larger_page_size(fd);
		if (larger < 0)
			return larger;
		if (larger > 0) {
			state = SWAP_HEADER_PAGE_SIZE;
			ret_header->page_size = (uint32_t)larger;
		}
	}
	*ret_state = state;
	return 0;
}

/**
 * swap_header_write() - make an open file a swap area.
 * @fd: writable, without O_DIRECT.
 * @header: as for swap_header_format().
 *
 * Return: 0, or pwrite(2)'s -errno; -EIO for a short write.
 */
int swap_header_write(int fd, const struct swap_header *header)
{
	_Alignas(uint32_t) uint8_t page[PAGE_SIZE];
	long n = -EINTR;

	swap_header_format(header, page);
	for (int i = 0; i < READ_TRIES_MAX && n == -EINTR; i++)
		n = sys_call4(SYS_pwrite64, fd, (long)page, sizeof(page), 0);
	if (n < 0)
		return (int)n;
	return n == (long)sizeof(page) ? 0 : -EIO;
}
