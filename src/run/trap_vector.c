/* SPDX-License-Identifier: MIT */
/*
 * System calls on vectors of buffers and on messages. The buffers are gathered in one outside
 * of the window, and what came is spread over them again. It lies in its page as the first of
 * them does, for O_DIRECT.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/checked.h"
#include "base/syscall.h"
#include "run/trap.h"

#define BYTES_MAX     ((size_t)16 << 20)
#define PROCESS_TRIES 8

/* One vector, and everything else that a call on it needs, in one mapping. */
struct gather {
	long at; /* the mapping */
	size_t bytes;
	struct iovec *iov; /* a copy */
	size_t nr;
	char *data; /* after it, in a page of its own */
	size_t len; /* of the data */
};

/* Return: 0; -EINVAL: too many; -EFAULT; -ENOMEM. extra: bytes wanted behind the data. */
static long gather_make(struct gather *g, long iov, size_t nr, size_t extra)
{
	struct iovec entry;
	uint64_t total = 0;

	if (nr > IOV_MAX)
		return -EINVAL;
	for (size_t i = 0; i < nr; i++) {
		if (trap_copy(&entry, (struct iovec *)iov + i, sizeof(entry)) != 0)
			return -EFAULT;
		if (entry.iov_len > SSIZE_MAX || total + entry.iov_len > SSIZE_MAX)
			return -EINVAL;
		total += entry.iov_len;
	}
	g->len = min_u64(total, BYTES_MAX);
	g->bytes = (nr * sizeof(entry) + g->len + extra + 4 * PAGE_SIZE) & PAGE_MASK;
	g->at = sys_call6(SYS_mmap, 0, (long)g->bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if ((unsigned long)g->at >= (unsigned long)-4095)
		return -ENOMEM;
	g->iov = (struct iovec *)g->at;
	g->nr = nr;
	if (trap_copy(g->iov, (void *)iov, nr * sizeof(entry)) != 0)
		g->nr = 0; /* it was there just now */
	g->data = (char *)(((uintptr_t)(g->iov + nr) & PAGE_MASK) + PAGE_SIZE);
	if (g->nr > 0)
		g->data += (uintptr_t)g->iov[0].iov_base & ~PAGE_MASK;
	return 0;
}

static void gather_free(struct gather *g)
{
	sys_call2(SYS_munmap, g->at, (long)g->bytes);
}

/* Copies between the buffers and the data, at most len bytes. Return: false: EFAULT. */
static bool gather_copy(struct gather *g, size_t len, bool is_out)
{
	size_t done = 0;

	for (size_t i = 0; i < g->nr && done < len; i++) {
		size_t part = min_u64(g->iov[i].iov_len, len - done);
		void *to = is_out ? g->iov[i].iov_base : g->data + done;
		void *from = is_out ? g->data + done : g->iov[i].iov_base;

		if (trap_copy(to, from, part) != 0)
			return false;
		done += part;
	}
	return true;
}

static long do_vector(long nr, const long *a, bool is_read)
{
	struct gather g;
	struct iovec one;
	long ret = gather_make(&g, a[1], (size_t)a[2], 0);

	if (ret)
		return ret;
	one = (struct iovec){g.data, g.len};
	if (!is_read && !gather_copy(&g, g.len, false))
		ret = -EFAULT;
	if (!ret)
		ret = TRAP_KERNEL(nr, a[0], (long)&one, 1, a[3], a[4], a[5]);
	if (is_read && ret > 0 && !gather_copy(&g, (size_t)ret, true))
		ret = -EFAULT;
	gather_free(&g);
	return ret;
}

/* -- Messages -- */

struct message {
	struct gather g;
	struct msghdr user, kernel;
	struct iovec one;
};

static long message_make(struct message *m, long msg)
{
	size_t name, control;
	long err;

	if (trap_copy(&m->user, (void *)msg, sizeof(m->user)) != 0)
		return -EFAULT;
	name = m->user.msg_name ? min_u64(m->user.msg_namelen, PAGE_SIZE) : 0;
	control = m->user.msg_control ? min_u64(m->user.msg_controllen, BYTES_MAX) : 0;
	err = gather_make(&m->g, (long)m->user.msg_iov, m->user.msg_iovlen,
			  name + control + 64);
	if (err)
		return err == -EINVAL ? -EMSGSIZE : err;
	m->kernel = m->user;
	m->one = (struct iovec){m->g.data, m->g.len};
	m->kernel.msg_iov = &m->one;
	m->kernel.msg_iovlen = 1;
	if (name)
		m->kernel.msg_name = m->g.data + m->g.len;
	if (control) {
		uintptr_t at = (uintptr_t)m->g.data + m->g.len + name;

		m->kernel.msg_control = (void *)((at + 15) & ~(uintptr_t)15);
		m->kernel.msg_controllen = control;
	}
	return 0;
}

static long do_sendmsg(int fd, long msg, long flags)
{
	struct message m;
	long ret = message_make(&m, msg);
	size_t name = min_u64(m.user.msg_namelen, PAGE_SIZE);

	if (ret)
		return ret;
	if (!gather_copy(&m.g, m.g.len, false) ||
	    (m.user.msg_name && trap_copy(m.kernel.msg_name, m.user.msg_name, name) != 0) ||
	    (m.user.msg_control &&
	     trap_copy(m.kernel.msg_control, m.user.msg_control, m.kernel.msg_controllen) != 0))
		ret = -EFAULT;
	else
		ret = TRAP_KERNEL(SYS_sendmsg, fd, (long)&m.kernel, flags);
	gather_free(&m.g);
	return ret;
}

/* What the kernel has written besides the data. */
static bool message_answer(struct message *m, long msg)
{
	struct msghdr *k = &m->kernel;
	size_t name = min_u64(k->msg_namelen, m->user.msg_namelen);

	if (m->user.msg_name && trap_copy(m->user.msg_name, k->msg_name, name) != 0)
		return false;
	if (m->user.msg_control &&
	    trap_copy(m->user.msg_control, k->msg_control, k->msg_controllen) != 0)
		return false;
	m->user.msg_namelen = k->msg_namelen;
	m->user.msg_controllen = k->msg_controllen;
	m->user.msg_flags = k->msg_flags;
	return trap_copy((void *)msg, &m->user, sizeof(m->user)) == 0;
}

static long do_recvmsg(int fd, long msg, long flags)
{
	struct message m;
	long ret = message_make(&m, msg);

	if (ret)
		return ret;
	ret = TRAP_KERNEL(SYS_recvmsg, fd, (long)&m.kernel, flags);
	if (ret >= 0 && (!gather_copy(&m.g, min_u64((uint64_t)ret, m.g.len), true) ||
			 !message_answer(&m, msg)))
		ret = -EFAULT;
	gather_free(&m.g);
	return ret;
}

/*
 * Several messages: one after the other, as the kernel does it. recvmmsg()'s time limit counts
 * between messages there, too, and only there; here it is not looked at after the first.
 */
static long do_messages(const long *a, bool is_read)
{
	struct mmsghdr *msgs = (struct mmsghdr *)a[1];
	long flags = a[3], ret = 0;
	long done;

	for (done = 0; done < a[2] && done < IOV_MAX; done++) {
		unsigned int len;

		ret = is_read ? do_recvmsg((int)a[0], (long)&msgs[done].msg_hdr,
					   flags & ~MSG_WAITFORONE)
			      : do_sendmsg((int)a[0], (long)&msgs[done].msg_hdr, flags);
		if (ret < 0)
			break;
		len = (unsigned int)ret;
		if (trap_copy(&msgs[done].msg_len, &len, sizeof(len)) != 0)
			return done > 0 ? done : -EFAULT;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
	}
	return done > 0 ? done : ret;
}

/* Memory of this process on one side, of any on the other, which it may not be ours to touch.
 */
static long do_process_vm(long nr, const long *a)
{
	struct iovec entry;
	long ret = -EFAULT;

	for (unsigned int n = 0; n < PROCESS_TRIES && ret == -EFAULT; n++) {
		for (long i = 0; i < a[2] && i < IOV_MAX; i++)
			if (trap_copy(&entry, (struct iovec *)a[1] + i, sizeof(entry)) == 0 &&
			    trap_is_inside(entry.iov_base))
				trap_touch((vaddr_t)entry.iov_base, entry.iov_len);
		trap_touch((vaddr_t)a[3], 1);
		ret = trap_kernel(nr, a);
	}
	return ret;
}

/**
 * trap_do_vector() - carry out a call on a vector or on messages.
 *
 * Return: false if it is none.
 * Context: as trap_do().
 */
bool trap_do_vector(long nr, const long *a, long *ret_ret)
{
	switch (nr) {
	case SYS_readv:
	case SYS_preadv:
	case SYS_preadv2:
		*ret_ret = do_vector(nr, a, true);
		return true;
	case SYS_writev:
	case SYS_pwritev:
	case SYS_pwritev2:
		*ret_ret = do_vector(nr, a, false);
		return true;
	case SYS_sendmsg:
		*ret_ret = do_sendmsg((int)a[0], a[1], a[2]);
		return true;
	case SYS_recvmsg:
		*ret_ret = do_recvmsg((int)a[0], a[1], a[2]);
		return true;
	case SYS_sendmmsg:
	case SYS_recvmmsg:
		*ret_ret = do_messages(a, nr == SYS_recvmmsg);
		return true;
	case SYS_process_vm_readv:
	case SYS_process_vm_writev:
		*ret_ret = do_process_vm(nr, a);
		return true;
	default:
		return false;
	}
}
