/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "machine/conformance.h"
#include "machine/soft.h"

#define FAULTS_MAX 4 /* of one access */
#define NR_CPUS	   3

struct soft_kind {
	uint32_t caps;
	const char *tlb; /* a preset, or NULL */
};

/* Each access from another processor than the last. */
static unsigned int next_cpu(void *arg)
{
	static unsigned int turn;

	(void)arg;
	return __atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED) % NR_CPUS;
}

static struct machine *soft_create(const struct conformance_env *env, vaddr_t *ret_start,
				   vaddr_t *ret_end)
{
	const struct soft_kind *kind = env->arg;
	const struct machine_soft_config cfg = {
		.nr_frames = CONFORMANCE_FRAMES,
		.caps = kind->caps,
		.tlb = kind->tlb ? tlb_preset_find(kind->tlb) : NULL,
		.nr_cpus = kind->tlb ? NR_CPUS : 0,
		.cpu = kind->tlb ? next_cpu : NULL,
		.harvest_invalidates = true, /* a use is seen at once, as the cases want it */
	};
	struct machine *m;

	assert_int_equal(machine_soft_create(&cfg, &m), 0);
	*ret_start = 0x200000000000 - 100 * PAGE_SIZE; /* across a PGD entry's end */
	*ret_end = 0x300000000000;
	return m;
}

static void soft_destroy(const struct conformance_env *env, struct machine *m)
{
	(void)env;
	machine_soft_destroy(m);
}

static void soft_access(const struct conformance_env *env, const struct conformance_access *a)
{
	struct machine_soft_fault fault;

	(void)env;
	for (int i = 0; i <= FAULTS_MAX; i++) {
		int err = a->load ? machine_soft_load(a->space, a->va, a->load, a->size, &fault)
				  : machine_soft_store(a->space, a->va, a->store, a->size,
						       &fault);

		if (!err)
			return;
		assert_int_equal(err, -EFAULT);
		a->on_fault(a->arg, fault.va, fault.access);
	}
	fail_msg("the access faults without end");
}

#define SOFT_ENV(n, ...)                                                     \
	&(const struct conformance_env)                                      \
	{                                                                    \
		.name = (n), .create = soft_create, .destroy = soft_destroy, \
		.access = soft_access, .arg = &(const struct soft_kind)      \
		{                                                            \
			__VA_ARGS__                                          \
		}                                                            \
	}

int main(void)
{
	const struct conformance_env *const envs[] = {
		SOFT_ENV("soft", MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY, NULL),
		SOFT_ENV("soft, no accessed bit", MACHINE_SETS_DIRTY, NULL),
		SOFT_ENV("soft, no dirty bit", MACHINE_SETS_ACCESSED, NULL),
		SOFT_ENV("soft, neither", 0, NULL),
		SOFT_ENV("soft, TLB", MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY, "skylake"),
		SOFT_ENV("soft, TLB, no bits", 0, "cortex-a76"),
	};

	return conformance_run(envs, sizeof(envs) / sizeof(*envs));
}
