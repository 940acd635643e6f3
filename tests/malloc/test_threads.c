/* SPDX-License-Identifier: MIT */
/*
 * Two threads in one arena: each with objects of its own, objects that one takes and the other
 * gives back, and forks in between.
 */
#include "malloc/malloc.h"

#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/syscall.h"
#include "malloc/backend.h"
#include "malloc/model.h"
#include "malloc/process.h"
#include "support/test.h"

#define NR_STEPS 4000
#define NR_SLOTS 64
#define NR_FORKS 20

static struct test_backend backend;

static void *run_model(void *arg)
{
	struct model *model = arg;

	for (int i = 0; i < NR_STEPS; i++)
		model_step(model);
	model_free_all(model);
	return NULL;
}

/* Runs fn in another thread and in this one. */
static void run_two(void *(*fn)(void *arg), void *first, void *second)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, fn, first), 0);
	fn(second);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(malloc_check(), 0);
}

static void each_keeps_its_bytes(void **state)
{
	static struct model models[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		model_init(&models[i], &malloc_process_arena, test_seed() + (uint64_t)i);
	run_two(run_model, &models[0], &models[1]);
}

/* An object's first word is its size, its last byte the size's lowest. */
static void *slots[NR_SLOTS];

static void put_back(unsigned char *object)
{
	uint64_t size;

	if (!object)
		return;
	memcpy(&size, object, sizeof(size));
	assert_int_equal(object[size - 1], size & 0xff);
	assert_int_equal(arena_free(&malloc_process_arena, object), 0);
}

static void *run_exchange(void *arg)
{
	struct rng rng = rng_make(*(uint64_t *)arg);
	unsigned char *object;
	uint64_t size;

	for (int i = 0; i < NR_STEPS; i++) {
		size = rng_below(&rng, 40) ? rng_between(&rng, 9, 2000) : 150000;
		object = arena_alloc(&malloc_process_arena, size);
		assert_non_null(object);
		object[size - 1] = (unsigned char)size;
		memcpy(object, &size, sizeof(size));
		put_back(__atomic_exchange_n(&slots[rng_below(&rng, NR_SLOTS)], object,
					     __ATOMIC_ACQ_REL));
	}
	return NULL;
}

static void one_gives_back_what_the_other_took(void **state)
{
	uint64_t seeds[] = {test_seed() + 2, test_seed() + 3};

	(void)state;
	run_two(run_exchange, &seeds[0], &seeds[1]);
	for (int i = 0; i < NR_SLOTS; i++)
		put_back(slots[i]);
	memset(slots, 0, sizeof(slots));
}

/* In the child: what this thread had is there, the arena is whole, and goes on. */
static bool child_is_well(struct model *model)
{
	model_verify(model);
	for (int i = 0; i < 200; i++)
		model_step(model);
	model_free_all(model);
	return malloc_check() == 0;
}

static void fork_once(struct model *model)
{
	int status;
	pid_t pid;

	malloc_fork_prepare();
	pid = fork();
	if (pid == 0) {
		malloc_fork_child();
		/* Not _exit(): ThreadSanitizer would miss the parent's other thread here. */
		sys_call2(SYS_exit_group, !child_is_well(model), 0);
	}
	malloc_fork_parent();
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void forks_happen_between_calls(void **state)
{
	static struct model models[2];
	pthread_t thread;

	(void)state;
	for (int i = 0; i < 2; i++)
		model_init(&models[i], &malloc_process_arena, test_seed() + 4 + (uint64_t)i);
	assert_int_equal(pthread_create(&thread, NULL, run_model, &models[0]), 0);
	for (int i = 0; i < NR_FORKS; i++) {
		for (int step = 0; step < 50; step++)
			model_step(&models[1]);
		fork_once(&models[1]);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	model_free_all(&models[1]);
	assert_int_equal(malloc_check(), 0);
}

static int setup(void **state)
{
	(void)state;
	test_backend_create(&backend);
	return malloc_set_backend(&backend.ops);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(each_keeps_its_bytes),
	cmocka_unit_test(one_gives_back_what_the_other_took),
	cmocka_unit_test(forks_happen_between_calls),
};
TEST_MAIN_WITH(tests, setup, NULL)
