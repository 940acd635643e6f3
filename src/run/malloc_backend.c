/* SPDX-License-Identifier: MIT */
/*
 * Where malloc's memory comes from in a managed process: the manager's brk and mmap.
 */
#include "run/malloc_backend.h"

#include <sys/mman.h>

#include "malloc/malloc.h"
#include "run/service.h"

/* Return: 0 with the answer in *ret_value, or -errno. */
static int ask(const struct rt_request *request, vaddr_t *ret_value)
{
	long answer = rt_service_call(request);

	if ((unsigned long)answer >= (unsigned long)-4095)
		return (int)answer;
	*ret_value = (vaddr_t)answer;
	return 0;
}

static int backend_sbrk(void *arg, int64_t delta, vaddr_t *ret_old)
{
	(void)arg;
	return ask(&(struct rt_request){RT_OP_SBRK, {(uint64_t)delta}}, ret_old);
}

static int backend_mmap(void *arg, uint64_t len, vaddr_t *ret_addr)
{
	struct rt_request request = {
		RT_OP_MAP, {0, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS}};

	(void)arg;
	return ask(&request, ret_addr);
}

static int backend_munmap(void *arg, vaddr_t addr, uint64_t len)
{
	vaddr_t unused;

	(void)arg;
	return ask(&(struct rt_request){RT_OP_UNMAP, {addr, len}}, &unused);
}

static int backend_mremap(void *arg, vaddr_t addr, uint64_t old_len, uint64_t new_len,
			  vaddr_t *ret_addr)
{
	struct rt_request request = {RT_OP_REMAP, {addr, old_len, new_len, MREMAP_MAYMOVE}};

	(void)arg;
	return ask(&request, ret_addr);
}

static int backend_dontneed(void *arg, vaddr_t addr, uint64_t len)
{
	vaddr_t unused;

	(void)arg;
	return ask(&(struct rt_request){RT_OP_ADVISE, {addr, len, MADV_DONTNEED}}, &unused);
}

/**
 * rt_malloc_backend_set() - malloc takes managed memory from now on.
 */
void rt_malloc_backend_set(void)
{
	static const struct malloc_backend backend = {
		.sbrk = backend_sbrk,
		.mmap = backend_mmap,
		.munmap = backend_munmap,
		.mremap = backend_mremap,
		.dontneed = backend_dontneed,
	};

	malloc_set_backend(&backend);
}
