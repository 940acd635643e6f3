/* SPDX-License-Identifier: MIT */
/*
 * Accesses of the software machine: the walk that each makes.
 */
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "machine/soft_internal.h"
#include "ration/mm.h"

struct access {
	struct machine_space *space;
	vaddr_t va;
	char *load;	   /* or NULL */
	const char *store; /* or NULL */
	size_t size;	   /* bytes left */
	unsigned int kind; /* MM_ACCESS_* */
};

static bool entry_allows(pte_t entry, unsigned int kind)
{
	if (!pte_is_present(entry))
		return false;
	if (kind == MM_ACCESS_WRITE)
		return (entry & PTE_WRITE) != 0;
	return kind != MM_ACCESS_EXEC || !(entry & PTE_NX);
}

static pte_t bits_set(const struct machine_soft *soft, unsigned int kind)
{
	pte_t bits = 0;

	if (soft->ops.caps & MACHINE_SETS_ACCESSED)
		bits |= PTE_ACCESSED;
	if ((soft->ops.caps & MACHINE_SETS_DIRTY) && kind == MM_ACCESS_WRITE)
		bits |= PTE_DIRTY;
	return bits;
}

/* As an MMU would put it. Context: the page's stripe held. */
static uint32_t error_code(const struct access *a, const pte_t *entry)
{
	uint32_t code = MMU_PF_USER;

	code |= entry && pte_is_present(*entry) ? MMU_PF_PRESENT : 0;
	code |= a->kind == MM_ACCESS_WRITE ? MMU_PF_WRITE : 0;
	code |= a->kind == MM_ACCESS_EXEC ? MMU_PF_INSTR : 0;
	return code;
}

/* Context: the page's stripe held. */
static bool access_page_locked(const struct access *a, pte_t *entry, unsigned int level,
			       size_t len)
{
	char *at;

	if (!entry || !entry_allows(*entry, a->kind))
		return false;
	if (level > 0) /* lookups of other pages read it without the stripe */
		__atomic_fetch_or(entry, bits_set(a->space->soft, a->kind), __ATOMIC_RELAXED);
	else
		*entry |= bits_set(a->space->soft, a->kind);
	at = a->space->soft->machine.ram + pte_pfn(*entry) * PAGE_SIZE +
	     (a->va & (soft_span(level) - 1));
	if (a->load)
		memcpy(a->load, at, len);
	if (a->store)
		memcpy(at, a->store, len);
	return true;
}

/*
 * The entry of the page with its stripe held; NULL, with nothing held: there is none. Pages may
 * become one, or no longer be one, between the look and the lock.
 */
static pte_t *lock_leaf(const struct access *a, unsigned int *ret_level,
			struct mm_lock **ret_stripe)
{
	unsigned int level;
	pte_t *entry = NULL;

	if (a->va < PGTABLE_VA_MAX)
		entry = soft_leaf_lookup(a->space, a->va, ret_level);
	while (entry) {
		struct mm_lock *stripe = soft_stripe(a->space, a->va, *ret_level);

		mm_lock_acquire(stripe);
		entry = soft_leaf_lookup(a->space, a->va, &level);
		*ret_stripe = stripe;
		if (entry && level == *ret_level)
			return entry;
		mm_lock_release(stripe);
		*ret_level = level;
	}
	return NULL;
}

static bool access_page(const struct access *a, size_t len, uint32_t *ret_error_code)
{
	struct mm_lock *stripe;
	unsigned int level = 0;
	bool is_done;
	pte_t *entry;

	if (a->space->soft->nr_cpus)
		return soft_cpu_access(&(const struct soft_cpu_access){a->space, a->va, a->load,
								       a->store, len, a->kind},
				       ret_error_code);
	entry = lock_leaf(a, &level, &stripe);
	is_done = access_page_locked(a, entry, level, len);
	if (!is_done)
		*ret_error_code = error_code(a, entry);
	if (entry)
		mm_lock_release(stripe);
	return is_done;
}

/* Goes on from where it is to the end, or to a fault. */
static int access_run(struct access *a, struct machine_soft_fault *ret_fault)
{
	while (a->size > 0) {
		size_t len = min_u64(a->size, PAGE_SIZE - (a->va & ~PAGE_MASK));
		uint32_t code = 0;

		if (!access_page(a, len, &code)) {
			*ret_fault = (struct machine_soft_fault){a->va, a->kind, code};
			return -EFAULT;
		}
		a->load += a->load ? len : 0;
		a->store += a->store ? len : 0;
		a->va += len;
		a->size -= len;
	}
	return 0;
}

/**
 * machine_soft_load() - read memory as a program does.
 * @ret_fault: set on -EFAULT.
 *
 * Return: 0, or -EFAULT at the first page whose translation does not allow it; the bytes before
 * it were read.
 * Context: any thread.
 */
int machine_soft_load(struct machine_space *space, vaddr_t va, void *buf, size_t size,
		      struct machine_soft_fault *ret_fault)
{
	struct access a = {.space = space, .va = va, .load = buf, .size = size};

	return access_run(&a, ret_fault);
}

/**
 * machine_soft_store() - write memory as a program does; see machine_soft_load().
 */
int machine_soft_store(struct machine_space *space, vaddr_t va, const void *buf, size_t size,
		       struct machine_soft_fault *ret_fault)
{
	struct access a = {
		.space = space, .va = va, .store = buf, .size = size, .kind = MM_ACCESS_WRITE};

	return access_run(&a, ret_fault);
}

/**
 * machine_soft_fetch() - execute the byte at @va; see machine_soft_load().
 */
int machine_soft_fetch(struct machine_space *space, vaddr_t va,
		       struct machine_soft_fault *ret_fault)
{
	struct access a = {.space = space, .va = va, .size = 1, .kind = MM_ACCESS_EXEC};

	return access_run(&a, ret_fault);
}
