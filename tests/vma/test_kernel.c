/* SPDX-License-Identifier: MIT */
/*
 * The kernel is the referee: the same random calls, good and bad, on the manager and on the
 * kernel, in a window at the same addresses. Each call must have the same result, and the same
 * areas must come out of it, bound for bound.
 *
 * Where the manager chooses an address the kernel would choose one outside of the window; what
 * it did is then moved to where the manager has it. No page is touched: areas that the kernel
 * gave an anon_vma of their own do not merge any more, which is not part of the contract.
 */
#include "vma/space.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGES  64
#define STEPS  5000
#define WINDOW 0x310000000000ul

#define AREAS_MAX (PAGES + 1)

struct kernel {
	bool moves_several; /* mremap() of several areas, and its checks since Linux 6.17 */
	bool has_willneed;  /* MADV_WILLNEED of anonymous memory wants CONFIG_SWAP */
};

static struct kernel kernel;
static struct space space;
static struct rng rng;

/* The answer of a call: an address (0 where it has none to give), or -errno. */
static long answer(long ret)
{
	return ret == -1 ? -errno : ret;
}

static long kernel_mmap(vaddr_t addr, uint64_t len, int prot, int flags)
{
	return answer(syscall(SYS_mmap, addr, len, prot, flags, -1, 0));
}

static long kernel_mremap(vaddr_t addr, uint64_t old_len, uint64_t new_len, int flags,
			  vaddr_t new_addr)
{
	return answer(syscall(SYS_mremap, addr, old_len, new_len, flags, new_addr));
}

static long kernel_munmap(vaddr_t addr, uint64_t len)
{
	return answer(syscall(SYS_munmap, addr, len));
}

/* A page on either side that belongs to nobody, so that nothing grows out of the window. */
static void window_create(void)
{
	const int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	long below = kernel_mmap(WINDOW - PAGE_SIZE, PAGE_SIZE, PROT_NONE, flags);
	long above = kernel_mmap(WINDOW + PAGES * PAGE_SIZE, PAGE_SIZE, PROT_NONE, flags);

	assert_int_equal(below, WINDOW - PAGE_SIZE);
	assert_int_equal(above, WINDOW + PAGES * PAGE_SIZE);
}

static void window_destroy(void)
{
	kernel_munmap(WINDOW - PAGE_SIZE, (PAGES + 2) * PAGE_SIZE);
}

static void kernel_probe(void)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
	vaddr_t to = WINDOW + 4 * PAGE_SIZE;

	kernel_mmap(WINDOW, PAGE_SIZE, PROT_READ, flags);
	kernel_mmap(WINDOW + PAGE_SIZE, PAGE_SIZE, PROT_NONE, flags);
	kernel.moves_several = kernel_mremap(WINDOW, 2 * PAGE_SIZE, 2 * PAGE_SIZE,
					     MREMAP_MAYMOVE | MREMAP_FIXED, to) == (long)to;
	kernel_munmap(WINDOW, PAGES * PAGE_SIZE);
	kernel_mmap(WINDOW, PAGE_SIZE, PROT_READ, flags);
	kernel.has_willneed = madvise((void *)WINDOW, PAGE_SIZE, MADV_WILLNEED) == 0;
	kernel_munmap(WINDOW, PAGES * PAGE_SIZE);
}

/* Return: how many areas the kernel has in the window. */
static unsigned int kernel_areas(struct mm_area *areas)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned int nr = 0;
	char line[512], perms[5];
	vaddr_t start, end;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		assert_int_equal(sscanf(line, "%lx-%lx %4s", &start, &end, perms), 3);
		if (start < WINDOW || end > WINDOW + PAGES * PAGE_SIZE)
			continue;
		assert_true(nr < AREAS_MAX);
		areas[nr++] = (struct mm_area){
			.start = start,
			.end = end,
			.prot = (perms[0] == 'r' ? PROT_READ : 0) |
				(perms[1] == 'w' ? PROT_WRITE : 0) |
				(perms[2] == 'x' ? PROT_EXEC : 0),
		};
	}
	fclose(maps);
	return nr;
}

static void print_areas(const struct mm_area *areas, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		printf("  %2lu-%2lu prot %d\n", (areas[i].start - WINDOW) >> PAGE_SHIFT,
		       (areas[i].end - WINDOW) >> PAGE_SHIFT, areas[i].prot);
}

static bool areas_are_equal(const struct mm_area *a, const struct mm_area *b, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		if (a[i].start != b[i].start || a[i].end != b[i].end || a[i].prot != b[i].prot)
			return false;
	return true;
}

static void compare_areas(const char *call)
{
	static struct mm_area before[AREAS_MAX];
	static unsigned int nr_before;
	struct mm_area ours[AREAS_MAX], theirs[AREAS_MAX];
	unsigned int nr_ours = 0, nr_theirs = kernel_areas(theirs);

	for (vaddr_t at = 0; mm_query(space.mm, at, &ours[nr_ours]) == 0; nr_ours++)
		at = ours[nr_ours].end;
	if (nr_ours == nr_theirs && areas_are_equal(ours, theirs, nr_ours)) {
		memcpy(before, ours, sizeof(ours));
		nr_before = nr_ours;
		return;
	}
	printf("after %s on\n", call);
	print_areas(before, nr_before);
	printf("the manager has\n");
	print_areas(ours, nr_ours);
	printf("and the kernel\n");
	print_areas(theirs, nr_theirs);
	fail();
}

/* What was called last, for a failure's message. */
static char call[256];

#define CALLED(...) snprintf(call, sizeof(call), __VA_ARGS__)

static void compare_answers(long ours, long theirs)
{
	if (ours != theirs)
		fail_msg("%s: the manager answers %ld, the kernel %ld", call, ours, theirs);
	compare_areas(call);
}

/* Mostly good: an address in the window, sometimes off by a bit. */
static vaddr_t random_addr(void)
{
	vaddr_t addr = WINDOW + rng_below(&rng, PAGES) * PAGE_SIZE;

	if (rng_chance(&rng, 4))
		addr += rng_between(&rng, 1, PAGE_SIZE - 1);
	return addr;
}

static uint64_t random_len(vaddr_t addr, const uint64_t *bad, size_t nr_bad)
{
	uint64_t max = (WINDOW + PAGES * PAGE_SIZE - addr) >> PAGE_SHIFT;
	uint64_t len = rng_between(&rng, max > 0, max < 12 ? max : 12) * PAGE_SIZE;

	if (nr_bad && rng_chance(&rng, 5))
		return bad[rng_below(&rng, nr_bad)];
	if (rng_chance(&rng, 10))
		len -= rng_below(&rng, PAGE_SIZE);
	return len;
}

static int random_prot(void)
{
	return (int)rng_below(&rng, 8);
}

/* The answer of the manager. */
static long our_map(vaddr_t hint, uint64_t len, int prot, int flags)
{
	vaddr_t addr;
	int err = mm_map(space.mm, hint, len, prot, flags, &addr);

	return err ? err : (long)addr;
}

static void do_mmap(void)
{
	static const uint64_t bad_lens[] = {0, (uint64_t)-1, (uint64_t)-4095, 1ull << 47,
					    1ull << 63};
	static const int kinds[] = {0, MAP_FIXED, MAP_FIXED, MAP_FIXED_NOREPLACE,
				    MAP_FIXED | MAP_FIXED_NOREPLACE};
	static const int types[] = {0, MAP_SHARED_VALIDATE, 4};
	int flags = MAP_ANONYMOUS | kinds[rng_below(&rng, 5)], prot = random_prot();
	vaddr_t addr = random_addr();
	uint64_t len = random_len(addr, bad_lens, 5);
	long ours, theirs;

	flags |= rng_chance(&rng, 5) ? types[rng_below(&rng, 3)] : MAP_PRIVATE;
	if (rng_chance(&rng, 20))
		flags |= MAP_NORESERVE;
	if (rng_chance(&rng, 3))
		addr = 1ull << 62;
	CALLED("mmap(%#lx, %#lx, %d, %#x)", addr, len, prot, flags);
	ours = our_map(addr, len, prot, flags);
	theirs = kernel_mmap(addr, len, prot, flags);
	if (!(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) && theirs > 0 && theirs != ours) {
		/* It chose another place. */
		kernel_munmap((vaddr_t)theirs, len);
		if (ours == -ENOMEM)
			theirs = ours; /* the window is full */
		else
			theirs = kernel_mmap((vaddr_t)ours, len, prot,
					     flags | MAP_FIXED_NOREPLACE);
	}
	if (ours == -ENOMEM && theirs == -EINVAL && (flags & MAP_TYPE) != MAP_PRIVATE)
		theirs = ours; /* full, and wrong: which is told first is of no matter */
	compare_answers(ours, theirs);
}

static void do_munmap(void)
{
	static const uint64_t bad_lens[] = {0, (uint64_t)-1, 1ull << 47, 1ull << 63};
	vaddr_t addr = random_addr();
	uint64_t len = random_len(addr, bad_lens, 4);

	CALLED("munmap(%#lx, %#lx)", addr, len);
	compare_answers(mm_unmap(space.mm, addr, len), kernel_munmap(addr, len));
}

/* Only such bad lengths as do not reach what lies above the window. */
static void do_mprotect(void)
{
	static const uint64_t bad_lens[] = {0, (uint64_t)-1, (uint64_t)-4095, (uint64_t)-8192};
	static const int bad_prots[] = {0x10,
					-1,
					MM_PROT_GROWSDOWN,
					MM_PROT_GROWSUP,
					MM_PROT_GROWSDOWN | MM_PROT_GROWSUP,
					MM_PROT_SEM};
	vaddr_t addr = random_addr();
	uint64_t len = random_len(addr, bad_lens, 4);
	int prot = random_prot();
	long ours;

	if (rng_chance(&rng, 5))
		prot |= bad_prots[rng_below(&rng, 6)];
	CALLED("mprotect(%#lx, %#lx, %#x)", addr, len, prot);
	ours = mm_protect(space.mm, addr, len, prot);
	compare_answers(ours, answer(syscall(SYS_mprotect, addr, len, prot)));
}

static void do_madvise(void)
{
	static const uint64_t bad_lens[] = {0, (uint64_t)-1, (uint64_t)-4095, (uint64_t)-8192};
	static const int advices[] = {MADV_NORMAL,
				      MADV_RANDOM,
				      MADV_SEQUENTIAL,
				      MADV_DONTNEED,
				      MADV_FREE,
				      20 /* COLD */,
				      21 /* PAGEOUT */,
				      MADV_DOFORK,
				      MADV_KEEPONFORK,
				      MADV_DODUMP,
				      MADV_WILLNEED,
				      5,
				      99,
				      -1};
	vaddr_t addr = random_addr();
	uint64_t len = random_len(addr, bad_lens, 4);
	int advice = advices[rng_below(&rng, sizeof(advices) / sizeof(advices[0]))];
	long ours;

	if (advice == MADV_WILLNEED && !kernel.has_willneed)
		return;
	CALLED("madvise(%#lx, %#lx, %d)", addr, len, advice);
	ours = mm_advise(space.mm, addr, len, advice);
	compare_answers(ours, answer(syscall(SYS_madvise, addr, len, advice)));
}

static bool is_one_area(vaddr_t addr, uint64_t len)
{
	struct mm_area area;

	return mm_query(space.mm, addr, &area) == 0 && area.start <= addr &&
	       len <= area.end - addr;
}

/*
 * The kernel takes the account of what stays off the whole areas, which then merge no more. (It
 * is what vm.overcommit_memory counts; the manager does not.) So these areas go.
 */
static void undo_dontunmap(vaddr_t addr, uint64_t len)
{
	vaddr_t end = addr + len;
	struct mm_area area;

	while (mm_query(space.mm, addr, &area) == 0 && area.start < end) {
		addr = area.end;
		assert_int_equal(mm_unmap(space.mm, area.start, addr - area.start), 0);
		assert_int_equal(kernel_munmap(area.start, addr - area.start), 0);
	}
}

/*
 * The kernel would choose a place outside of the window, where the area may merge with others.
 * So it is asked whether it would move the area at all, and then told where to.
 */
static long kernel_mremap_like(vaddr_t addr, uint64_t old_len, uint64_t new_len, int flags,
			       vaddr_t to, long ours)
{
	bool moves = ours == -ENOMEM || (ours > 0 && ours != (long)addr);
	long theirs;

	if (flags & MREMAP_FIXED || !moves)
		return kernel_mremap(addr, old_len, new_len, flags, to);
	if (!(flags & MM_MREMAP_DONTUNMAP)) {
		theirs = kernel_mremap(addr, old_len, new_len, flags & ~MREMAP_MAYMOVE, 0);
		if (theirs != -ENOMEM || !(flags & MREMAP_MAYMOVE))
			return theirs;
	}
	if (ours == -ENOMEM)
		return ours; /* the window is full */
	return kernel_mremap(addr, old_len, new_len, flags | MREMAP_FIXED, (vaddr_t)ours);
}

static void do_mremap(void)
{
	static const uint64_t bad_lens[] = {0, (uint64_t)-1, 1ull << 47, 1ull << 63};
	vaddr_t addr = random_addr(), to = random_addr(), moved = 0;
	uint64_t old_len = random_len(addr, bad_lens, 4), new_len = random_len(to, bad_lens, 4);
	int flags = rng_chance(&rng, 85) ? MREMAP_MAYMOVE : 0;
	long ours, theirs;

	flags |= rng_chance(&rng, 40) ? MREMAP_FIXED : 0;
	flags |= rng_chance(&rng, 15) ? MM_MREMAP_DONTUNMAP : 0;
	flags |= rng_chance(&rng, 2) ? 8 : 0;
	if (rng_chance(&rng, 40))
		new_len = old_len;
	if (!kernel.moves_several && !is_one_area(addr, old_len))
		return;
	if (flags & MREMAP_FIXED && !(new_len & ~0xfffffful) &&
	    to + new_len > WINDOW + PAGES * PAGE_SIZE)
		return;
	if (flags & MREMAP_FIXED && old_len > 1ul << 40)
		return; /* -EINVAL, but the kernel has unmapped the target by then */
	CALLED("mremap(%#lx, %#lx, %#lx, %#x, %#lx)", addr, old_len, new_len, flags, to);
	ours = mm_remap(space.mm, addr, old_len, new_len, flags, to, &moved);
	if (!ours)
		ours = (long)moved;
	theirs = kernel_mremap_like(addr, old_len, new_len, flags, to, ours);
	if (flags & MM_MREMAP_DONTUNMAP && ours > 0 && ours == theirs)
		undo_dontunmap(addr, old_len);
	compare_answers(ours, theirs);
}

static void answers_and_areas_are_the_kernels(void **state)
{
	static void (*const ops[])(void) = {do_mmap,	 do_mmap,     do_mmap,	  do_munmap,
					    do_mprotect, do_mprotect, do_madvise, do_madvise,
					    do_mremap,	 do_mremap,   do_mremap};
	const struct space_config cfg = {.window = WINDOW, .nr_pages = PAGES, .nr_frames = 512};

	(void)state;
	rng = rng_make(test_seed());
	window_create();
	kernel_probe();
	space_create(&space, &cfg);
	for (int step = 0; step < STEPS; step++) {
		ops[rng_below(&rng, sizeof(ops) / sizeof(ops[0]))]();
		assert_int_equal(mm_check(space.sys), 0);
	}
	window_destroy();
	space_destroy(&space);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(answers_and_areas_are_the_kernels),
};
TEST_MAIN(tests)
