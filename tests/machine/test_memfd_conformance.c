/* SPDX-License-Identifier: MIT */
#include "machine/conformance.h"
#include "machine/memfd_support.h"

#define FAULTS_MAX 4 /* of one access */

static struct machine *memfd_create_machine(const struct conformance_env *env,
					    vaddr_t *ret_start, vaddr_t *ret_end)
{
	struct machine_memfd_config cfg;
	struct machine *m;

	memfd_config(&cfg, CONFORMANCE_FRAMES);
	cfg.no_move = *(const bool *)env->arg;
	assert_int_equal(machine_memfd_create(&cfg, &m), 0);
	*ret_start = cfg.window_start;
	*ret_end = cfg.window_end;
	return m;
}

static void memfd_destroy(const struct conformance_env *env, struct machine *m)
{
	(void)env;
	machine_memfd_destroy(m);
}

static void memfd_access(const struct conformance_env *env, const struct conformance_access *a)
{
	struct segv_resolver r = {
		.on_fault = a->on_fault, .arg = a->arg, .nr_left = FAULTS_MAX};

	(void)env;
	if (a->load)
		segv_copy(&r, a->load, (const void *)a->va, a->size);
	else
		segv_copy(&r, (void *)a->va, a->store, a->size);
}

#define ENV(env_name, no_move)                                                                \
	{                                                                                     \
		.name = (env_name), .create = memfd_create_machine, .destroy = memfd_destroy, \
		.access = memfd_access, .arg = &(const bool){no_move},                        \
	}

static const struct conformance_env moved = ENV("memfd, move", false);
static const struct conformance_env mapped = ENV("memfd, map", true);

int main(void)
{
	const struct conformance_env *const envs[] = {&moved, &mapped};

	return conformance_run(envs, sizeof(envs) / sizeof(*envs));
}
