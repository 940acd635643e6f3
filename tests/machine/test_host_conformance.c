/* SPDX-License-Identifier: MIT */
/* This program is linked with --wrap=host_cpu. */
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "machine/conformance.h"
#include "machine/host_support.h"

#define WAIT_MS	   10000
#define FAULTS_MAX 4 /* of one access */

struct way {
	bool no_move, may_copy;
};

uint32_t __wrap_host_cpu(void);

static uint32_t nr_calls; /* atomic */

/* Each from another processor than the last, which counts where copies are allowed. */
uint32_t __wrap_host_cpu(void)
{
	return __atomic_fetch_add(&nr_calls, 1, __ATOMIC_RELAXED);
}

static struct machine *host_create(const struct conformance_env *env, vaddr_t *ret_start,
				   vaddr_t *ret_end)
{
	const struct way *way = env->arg;
	struct machine_host_config cfg;
	struct machine *m;

	host_skip_unless_possible(way->no_move);
	host_config(&cfg, CONFORMANCE_FRAMES);
	cfg.no_move = way->no_move;
	cfg.may_copy = way->may_copy;
	assert_int_equal(machine_host_create(&cfg, &m), 0);
	machine_host_window(m, ret_start, ret_end);
	return m;
}

static void host_destroy(const struct conformance_env *env, struct machine *m)
{
	(void)env;
	machine_host_destroy(m);
}

/* The access itself, made by a thread of its own: a program's thread sleeps in its fault. */
struct accessor {
	const struct conformance_access *a;
	int done_fd;
};

__attribute__((no_sanitize_thread)) static void *make_access(void *arg)
{
	const struct accessor *accessor = arg;
	const struct conformance_access *a = accessor->a;
	const uint64_t one = 1;

	if (a->load)
		memcpy(a->load, (const void *)a->va, a->size);
	else
		memcpy((void *)a->va, a->store, a->size);
	assert_int_equal(write(accessor->done_fd, &one, sizeof(one)), sizeof(one));
	return NULL;
}

static void answer_faults(const struct conformance_access *a, int done_fd)
{
	struct pollfd fds[2] = {
		{.fd = done_fd, .events = POLLIN},
		{.fd = machine_host_fd(a->m), .events = POLLIN},
	};
	struct machine_host_fault fault;
	int nr_faults = 0;

	for (;;) {
		if (poll(fds, 2, WAIT_MS) <= 0)
			fail_msg("the access at %#lx was not woken", a->va);
		if (fds[0].revents)
			return;
		if (machine_host_read_faults(a->m, &fault, 1) == 0)
			continue;
		assert_true(nr_faults++ < FAULTS_MAX);
		a->on_fault(a->arg, fault.va, fault.access);
	}
}

static void host_access(const struct conformance_env *env, const struct conformance_access *a)
{
	struct accessor accessor = {.a = a, .done_fd = eventfd(0, EFD_CLOEXEC)};
	pthread_t thread;

	(void)env;
	assert_true(accessor.done_fd >= 0);
	assert_int_equal(pthread_create(&thread, NULL, make_access, &accessor), 0);
	answer_faults(a, accessor.done_fd);
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(accessor.done_fd);
}

#define ENV(env_name, ...)                                                          \
	{                                                                           \
		.name = (env_name), .create = host_create, .destroy = host_destroy, \
		.access = host_access, .arg = &(const struct way){__VA_ARGS__},     \
	}

static const struct conformance_env move = ENV("host, move", .no_move = false);
static const struct conformance_env copy = ENV("host, copy", .no_move = true);
static const struct conformance_env spread = ENV("host, several processors", .may_copy = true);

int main(void)
{
	const struct conformance_env *const envs[] = {&move, &copy, &spread};

	return conformance_run(envs, sizeof(envs) / sizeof(*envs));
}
