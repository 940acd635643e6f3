/* SPDX-License-Identifier: MIT */
#include "malloc/backend.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"

static bool fails(struct test_backend *backend, enum test_backend_op op)
{
	uint64_t nr = __atomic_add_fetch(&backend->nr_all, 1, __ATOMIC_RELAXED);

	__atomic_add_fetch(&backend->nr_calls[op], 1, __ATOMIC_RELAXED);
	return nr == backend->fail_at || (backend->fail_every && nr % backend->fail_every == 0);
}

static void account(struct test_backend *backend, uint64_t bytes)
{
	__atomic_add_fetch(&backend->mapped, bytes, __ATOMIC_RELAXED);
}

static void must(bool is_done)
{
	if (!is_done)
		abort();
}

vaddr_t test_backend_sbrk(struct test_backend *backend, int64_t delta)
{
	vaddr_t old = backend->brk, new = old + (uint64_t)delta;
	vaddr_t old_page = align_down(old + PAGE_SIZE - 1, PAGE_SIZE);
	vaddr_t new_page = align_down(new + PAGE_SIZE - 1, PAGE_SIZE);

	if (new_page > old_page)
		must(!mprotect((void *)old_page, new_page - old_page, PROT_READ | PROT_WRITE));
	if (new_page < old_page)
		must(mmap((void *)new_page, old_page - new_page, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
			  0) != MAP_FAILED);
	backend->brk = new;
	return old;
}

static int op_sbrk(void *arg, int64_t delta, vaddr_t *ret_old)
{
	struct test_backend *backend = arg;

	if (delta && fails(backend, TEST_SBRK))
		return -ENOMEM;
	if (backend->brk + (uint64_t)delta > backend->end)
		return -ENOMEM;
	*ret_old = test_backend_sbrk(backend, delta);
	return 0;
}

static int op_mmap(void *arg, uint64_t len, vaddr_t *ret_addr)
{
	struct test_backend *backend = arg;
	void *addr;

	if (fails(backend, TEST_MMAP))
		return -ENOMEM;
	addr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (addr == MAP_FAILED)
		return -ENOMEM;
	account(backend, len);
	*ret_addr = (vaddr_t)addr;
	return 0;
}

static int op_munmap(void *arg, vaddr_t addr, uint64_t len)
{
	struct test_backend *backend = arg;

	if (fails(backend, TEST_MUNMAP))
		return -ENOMEM;
	must(!munmap((void *)addr, len));
	account(backend, -len);
	return 0;
}

static int op_mremap(void *arg, vaddr_t addr, uint64_t old_len, uint64_t new_len,
		     vaddr_t *ret_addr)
{
	struct test_backend *backend = arg;
	void *moved;

	if (fails(backend, TEST_MREMAP))
		return -ENOMEM;
	moved = mremap((void *)addr, old_len, new_len, MREMAP_MAYMOVE);
	if (moved == MAP_FAILED)
		return -ENOMEM;
	account(backend, new_len - old_len);
	*ret_addr = (vaddr_t)moved;
	return 0;
}

static int op_dontneed(void *arg, vaddr_t addr, uint64_t len)
{
	struct test_backend *backend = arg;

	if (fails(backend, TEST_DONTNEED))
		return -EAGAIN;
	must(!madvise((void *)addr, len, MADV_DONTNEED));
	return 0;
}

void test_backend_create(struct test_backend *backend)
{
	void *start = mmap(NULL, TEST_BREAK_BYTES, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	must(start != MAP_FAILED);
	*backend = (struct test_backend){
		.ops = {backend, op_sbrk, op_mmap, op_munmap, op_mremap, op_dontneed},
		.start = (vaddr_t)start,
		.brk = (vaddr_t)start,
		.end = (vaddr_t)start + TEST_BREAK_BYTES,
	};
}

/* What was mapped beside the break stays: tests end soon. */
void test_backend_destroy(struct test_backend *backend)
{
	munmap((void *)backend->start, TEST_BREAK_BYTES);
}
