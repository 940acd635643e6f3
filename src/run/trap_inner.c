/* SPDX-License-Identifier: MIT */
/*
 * ioctl(2) and setsockopt(2): a few of the structures that they take hold addresses
 * of more. What those point to is brought in before the call. It is not held, so the kernel may
 * still answer EFAULT; then the same is done again, where the call does not matter twice.
 *
 * Of an ioctl that is not known here, but says itself that the kernel only reads its structure,
 * each word of that may be such an address, if the kernel has answered EFAULT.
 */
#include <errno.h>
#include <linux/blkpg.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/usbdevice_fs.h>
#include <net/if.h>
#include <scsi/sg.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/checked.h"
#include "base/syscall.h"
#include "run/port.h"
#include "run/runtime.h"
#include "run/trap.h"

#define TRIES_MAX    8
#define BYTES_MAX    256 /* of a structure */
#define INNER_MAX    3
#define UNKNOWN_SIZE PAGE_SIZE

#define IOCTL_TERMINAL 'T' /* FIONREAD and FIONBIO, too */
#define IOCTL_SOCKET   0x89

/* An address in a structure, and where its length stands. */
struct inner {
	uint16_t at;
	uint16_t len_at;
	uint8_t len_bytes; /* 0: not known */
	uint8_t scale;
};

struct known {
	uint16_t nr;
	uint16_t bytes; /* of the structure */
	uint8_t arg;	/* where the structure is */
	uint8_t option; /* the argument that selects */
	bool is_once;	/* not to be tried again */
	uint32_t value; /* of that argument */
	struct inner inner[INNER_MAX];
};

#define LEN(type, field) offsetof(type, field), sizeof(((type *)0)->field), 1
#define CODE                                                                                   \
	{                                                                                      \
		{                                                                              \
			offsetof(struct sock_fprog, filter), offsetof(struct sock_fprog, len), \
				sizeof(unsigned short), 8                                      \
		}                                                                              \
	}
#define NO_LEN 0, 0, 0

static const struct known known[] = {
	{SYS_ioctl,
	 sizeof(struct ifconf),
	 2,
	 1,
	 false,
	 SIOCGIFCONF,
	 {{offsetof(struct ifconf, ifc_ifcu), LEN(struct ifconf, ifc_len)}}},
	{SYS_ioctl,
	 sizeof(struct ifreq),
	 2,
	 1,
	 false,
	 SIOCETHTOOL,
	 {{offsetof(struct ifreq, ifr_data), NO_LEN}}},
	{SYS_ioctl,
	 sizeof(sg_io_hdr_t),
	 2,
	 1,
	 true,
	 SG_IO,
	 {{offsetof(sg_io_hdr_t, dxferp), LEN(sg_io_hdr_t, dxfer_len)},
	  {offsetof(sg_io_hdr_t, cmdp), LEN(sg_io_hdr_t, cmd_len)},
	  {offsetof(sg_io_hdr_t, sbp), LEN(sg_io_hdr_t, mx_sb_len)}}},
	{SYS_ioctl,
	 sizeof(struct blkpg_ioctl_arg),
	 2,
	 1,
	 true,
	 BLKPG,
	 {{offsetof(struct blkpg_ioctl_arg, data), LEN(struct blkpg_ioctl_arg, datalen)}}},
	{SYS_ioctl,
	 sizeof(struct usbdevfs_ctrltransfer),
	 2,
	 1,
	 true,
	 USBDEVFS_CONTROL,
	 {{offsetof(struct usbdevfs_ctrltransfer, data),
	   LEN(struct usbdevfs_ctrltransfer, wLength)}}},
	{SYS_ioctl,
	 sizeof(struct usbdevfs_bulktransfer),
	 2,
	 1,
	 true,
	 USBDEVFS_BULK,
	 {{offsetof(struct usbdevfs_bulktransfer, data),
	   LEN(struct usbdevfs_bulktransfer, len)}}},
	{SYS_ioctl, sizeof(struct sock_fprog), 2, 1, false, TUNATTACHFILTER, CODE},
	{SYS_setsockopt, sizeof(struct sock_fprog), 3, 2, false, SO_ATTACH_FILTER, CODE},
	{SYS_setsockopt, sizeof(struct sock_fprog), 3, 2, false, SO_ATTACH_REUSEPORT_CBPF,
	 CODE},
};

#define NR_KNOWN (sizeof(known) / sizeof(known[0]))

static const struct known *find(long nr, const long *args)
{
	if (nr == SYS_setsockopt && args[1] != SOL_SOCKET)
		return NULL;
	for (size_t i = 0; i < NR_KNOWN; i++)
		if (known[i].nr == nr && (uint32_t)args[known[i].option] == known[i].value)
			return &known[i];
	return NULL;
}

static uint64_t word_at(const char *structure, unsigned int at, unsigned int bytes)
{
	uint64_t word = 0;

	memcpy(&word, structure + at, bytes);
	return word;
}

static bool bring_in(vaddr_t va, uint64_t len)
{
	return trap_is_inside((void *)va) && len > 0 && trap_touch(va, len);
}

/* Return: false: nothing was to be brought in. */
static bool bring_in_known(const struct known *k, const long *args)
{
	char structure[BYTES_MAX];
	bool any = false;

	if (!args[k->arg] || trap_copy(structure, (void *)args[k->arg], k->bytes) != 0)
		return false;
	for (unsigned int i = 0; i < INNER_MAX; i++) {
		const struct inner *inner = &k->inner[i];
		uint64_t len = UNKNOWN_SIZE;

		if (inner->at == 0)
			break;
		if (inner->len_bytes)
			len = word_at(structure, inner->len_at, inner->len_bytes) *
			      inner->scale;
		any |= bring_in(word_at(structure, inner->at, sizeof(vaddr_t)), len);
	}
	return any;
}

/* An ioctl's number says how large its structure is, and who reads it. */
static bool bring_in_unknown(long nr, const long *args)
{
	unsigned int bytes = nr == SYS_ioctl ? _IOC_SIZE((unsigned long)args[1]) : 0;
	char structure[BYTES_MAX];
	bool any = false;

	if (bytes > sizeof(structure) || _IOC_DIR((unsigned long)args[1]) != _IOC_WRITE ||
	    trap_copy(structure, (void *)args[2], bytes) != 0)
		return false;
	for (unsigned int at = 0; at + sizeof(vaddr_t) <= bytes; at += sizeof(vaddr_t))
		any |= bring_in(word_at(structure, at, sizeof(vaddr_t)), UNKNOWN_SIZE);
	return any;
}

/* Terminals and sockets write no memory after they have answered. */
static bool is_for_device(long nr, const long *args)
{
	unsigned int type = _IOC_TYPE((unsigned long)args[1]);

	if (nr == SYS_ioctl)
		return type != IOCTL_TERMINAL && type != IOCTL_SOCKET;
	return nr == SYS_setsockopt && args[1] == SOL_XDP;
}

static long do_once(long nr, const long *args)
{
	return trap_do_as(trap_lookup(nr), nr, args);
}

/**
 * trap_do_inner() - carry out a call whose structure may hold addresses.
 *
 * Return: false if it is none.
 * Context: as trap_do().
 */
bool trap_do_inner(long nr, const long *args, long *ret_ret)
{
	const struct known *k;
	bool is_again;

	if (nr != SYS_ioctl && nr != SYS_setsockopt)
		return false;
	k = find(nr, args);
	if (is_for_device(nr, args))
		rt_port_note_device(&rt_runtime);
	if (k)
		bring_in_known(k, args);
	*ret_ret = do_once(nr, args);
	for (unsigned int i = 0; i < TRIES_MAX && *ret_ret == -EFAULT; i++) {
		is_again =
			k ? !k->is_once && bring_in_known(k, args) : bring_in_unknown(nr, args);
		if (!is_again)
			break;
		*ret_ret = do_once(nr, args);
	}
	return true;
}
