/* SPDX-License-Identifier: MIT */
/*
 * stacks: forks on stacks that lie in memory from malloc(): a coroutine's, and a signal
 * handler's. The children check what is on them.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define STACK_BYTES 262144

static ucontext_t outside, inside;

static void fork_and_check(const char *where)
{
	char ballast[20000];
	int status, wrong = 0;
	pid_t pid;

	memset(ballast, 7, sizeof(ballast));
	fflush(stdout);
	pid = fork();
	for (size_t i = 0; i < sizeof(ballast); i++)
		wrong += ballast[i] != 7;
	if (pid == 0) {
		printf("%s: in the child %d wrong\n", where, wrong);
		fflush(stdout);
		_exit(3);
	}
	if (waitpid(pid, &status, 0) != pid)
		status = -1;
	printf("%s: in the parent %d wrong, status %#x\n", where, wrong, status);
}

static void coroutine(void)
{
	fork_and_check("coroutine");
	fork_and_check("coroutine");
}

static void on_signal(int sig)
{
	(void)sig;
	fork_and_check("handler");
}

static void *idle(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void all(void)
{
	getcontext(&inside);
	inside.uc_stack = (stack_t){.ss_sp = malloc(STACK_BYTES), .ss_size = STACK_BYTES};
	inside.uc_link = &outside;
	makecontext(&inside, coroutine, 0);
	swapcontext(&outside, &inside);
	raise(SIGUSR1);
}

int main(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
	stack_t stack = {.ss_sp = malloc(STACK_BYTES), .ss_size = STACK_BYTES};
	pthread_t thread;

	sigaltstack(&stack, NULL);
	sigaction(SIGUSR1, &action, NULL);
	all();
	pthread_create(&thread, NULL, idle, NULL);
	puts("with a thread");
	all();
	return 0;
}
