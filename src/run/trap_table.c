/* SPDX-License-Identifier: MIT */
/*
 * The system calls of x86-64, and which of their arguments are addresses.
 *
 * The sizes are the kernel's, of the structures as it knows them. A string, and what has a size
 * that only the kernel can tell, is TOUCH: it is made resident and the call is made on the
 * place itself, again if it answers EFAULT. That is right for what the kernel only reads, and
 * before it has done anything. What a call writes is given with its size, because a call that
 * has taken something from a queue and then cannot write it down has lost it.
 */
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>

#include "run/trap.h"

#define T                                 \
	{                                 \
		TRAP_TOUCH, TRAP_FIXED, 0 \
	}
#define TS(n)                               \
	{                                   \
		TRAP_TOUCH, TRAP_FIXED, (n) \
	}
#define _                                \
	{                                \
		TRAP_NONE, TRAP_FIXED, 0 \
	}
#define I(n)                             \
	{                                \
		TRAP_IN, TRAP_FIXED, (n) \
	}
#define O(n)                              \
	{                                 \
		TRAP_OUT, TRAP_FIXED, (n) \
	}
#define X(n)                                \
	{                                   \
		TRAP_INOUT, TRAP_FIXED, (n) \
	}
#define IN(arg, n)                  \
	{                           \
		TRAP_IN, (arg), (n) \
	}
#define OUT(arg, n)                  \
	{                            \
		TRAP_OUT, (arg), (n) \
	}
#define INOUT(arg, n)                  \
	{                              \
		TRAP_INOUT, (arg), (n) \
	}
#define OUTLEN(arg)                    \
	{                              \
		TRAP_OUT_LEN, (arg), 1 \
	}

#define STAT_BYTES    144
#define STATFS_BYTES  120
#define RUSAGE_BYTES  144
#define SIGINFO_BYTES 128
#define UTSNAME_BYTES 390
#define TIMEX_BYTES   208
#define SYSINFO_BYTES 112
#define STATX_BYTES   256

/* clang-format off: a line a call */

/* Ascending. Calls whose structures hold addresses are TOUCH: trap_special.c sees them first.
 */
static const struct trap_call calls[] = {
	{SYS_read, TRAP_STREAM, {_, OUT(2, 1)}},
	{SYS_write, TRAP_STREAM, {_, IN(2, 1)}},
	{SYS_open, 0, {T}},
	{SYS_stat, 0, {T, O(STAT_BYTES)}},
	{SYS_fstat, 0, {_, O(STAT_BYTES)}},
	{SYS_lstat, 0, {T, O(STAT_BYTES)}},
	{SYS_poll, 0, {INOUT(1, 8)}},
	{SYS_mmap, 0, {T}},
	{SYS_mprotect, 0, {T}},
	{SYS_munmap, 0, {T}},
	{SYS_brk, 0, {T}},
	{SYS_rt_sigaction, 0, {_, I(32), O(32)}},
	{SYS_rt_sigprocmask, 0, {_, I(8), O(8)}},
	{SYS_ioctl, 0, {_, _, T}},
	{SYS_pread64, TRAP_STREAM | TRAP_OFFSET, {_, OUT(2, 1)}},
	{SYS_pwrite64, TRAP_STREAM | TRAP_OFFSET, {_, IN(2, 1)}},
	{SYS_readv, 0, {_, T}},
	{SYS_writev, 0, {_, T}},
	{SYS_access, 0, {T}},
	{SYS_pipe, 0, {O(8)}},
	{SYS_select, 0, {_, T, T, T, X(16)}},
	{SYS_mremap, 0, {T, _, _, _, T}},
	{SYS_msync, 0, {T}},
	{SYS_mincore, 0, {_, _, T}},
	{SYS_madvise, 0, {T}},
	{SYS_shmat, 0, {_, T}},
	{SYS_shmctl, 0, {_, _, T}},
	{SYS_nanosleep, 0, {I(16), O(16)}},
	{SYS_getitimer, 0, {_, O(32)}},
	{SYS_setitimer, 0, {_, I(32), O(32)}},
	{SYS_sendfile, 0, {_, _, X(8)}},
	{SYS_connect, 0, {_, IN(2, 1)}},
	{SYS_accept, 0, {_, OUTLEN(2), X(4)}},
	{SYS_sendto, TRAP_STREAM, {_, IN(2, 1), _, _, IN(5, 1)}},
	{SYS_recvfrom, TRAP_STREAM, {_, OUT(2, 1), _, _, OUTLEN(5), X(4)}},
	{SYS_sendmsg, 0, {_, T}},
	{SYS_recvmsg, 0, {_, T}},
	{SYS_bind, 0, {_, IN(2, 1)}},
	{SYS_getsockname, 0, {_, OUTLEN(2), X(4)}},
	{SYS_getpeername, 0, {_, OUTLEN(2), X(4)}},
	{SYS_socketpair, 0, {_, _, _, O(8)}},
	{SYS_setsockopt, 0, {_, _, _, IN(4, 1)}},
	{SYS_getsockopt, 0, {_, _, _, OUTLEN(4), X(4)}},
	{SYS_clone, 0, {_, T, T, T, T}},
	{SYS_execve, 0, {T, T, T}},
	{SYS_wait4, 0, {_, O(4), _, O(RUSAGE_BYTES)}},
	{SYS_uname, 0, {O(UTSNAME_BYTES)}},
	{SYS_semop, 0, {_, IN(2, 6)}},
	{SYS_semctl, 0, {_, _, _, T}},
	{SYS_shmdt, 0, {T}},
	{SYS_msgsnd, 0, {_, T}},
	{SYS_msgrcv, 0, {_, T}},
	{SYS_msgctl, 0, {_, _, T}},
	{SYS_fcntl, 0, {_, _, T}},
	{SYS_truncate, 0, {T}},
	{SYS_getdents, 0, {_, OUT(2, 1)}},
	{SYS_getcwd, 0, {OUT(1, 1)}},
	{SYS_chdir, 0, {T}},
	{SYS_rename, 0, {T, T}},
	{SYS_mkdir, 0, {T}},
	{SYS_rmdir, 0, {T}},
	{SYS_creat, 0, {T}},
	{SYS_link, 0, {T, T}},
	{SYS_unlink, 0, {T}},
	{SYS_symlink, 0, {T, T}},
	{SYS_readlink, 0, {T, OUT(2, 1)}},
	{SYS_chmod, 0, {T}},
	{SYS_chown, 0, {T}},
	{SYS_lchown, 0, {T}},
	{SYS_gettimeofday, 0, {O(16), O(8)}},
	{SYS_getrlimit, 0, {_, O(16)}},
	{SYS_getrusage, 0, {_, O(RUSAGE_BYTES)}},
	{SYS_sysinfo, 0, {O(SYSINFO_BYTES)}},
	{SYS_times, 0, {O(32)}},
	{SYS_ptrace, 0, {_, _, T, T}},
	{SYS_syslog, 0, {_, OUT(2, 1)}},
	{SYS_getgroups, 0, {_, OUT(0, 4)}},
	{SYS_setgroups, 0, {_, IN(0, 4)}},
	{SYS_getresuid, 0, {O(4), O(4), O(4)}},
	{SYS_getresgid, 0, {O(4), O(4), O(4)}},
	{SYS_rt_sigpending, 0, {O(8)}},
	{SYS_rt_sigtimedwait, 0, {I(8), O(SIGINFO_BYTES), I(16)}},
	{SYS_rt_sigqueueinfo, 0, {_, _, I(SIGINFO_BYTES)}},
	{SYS_rt_sigsuspend, 0, {I(8)}},
	{SYS_sigaltstack, 0, {I(24), O(24)}},
	{SYS_utime, 0, {T, I(16)}},
	{SYS_mknod, 0, {T}},
	{SYS_statfs, 0, {T, O(STATFS_BYTES)}},
	{SYS_fstatfs, 0, {_, O(STATFS_BYTES)}},
	{SYS_sched_setparam, 0, {_, I(4)}},
	{SYS_sched_getparam, 0, {_, O(4)}},
	{SYS_sched_setscheduler, 0, {_, _, I(4)}},
	{SYS_sched_rr_get_interval, 0, {_, O(16)}},
	{SYS_mlock, 0, {T}},
	{SYS_munlock, 0, {T}},
	{SYS_pivot_root, 0, {T, T}},
	{SYS_prctl, 0, {_, T, T, T, T}},
	{SYS_arch_prctl, 0, {_, T}},
	{SYS_adjtimex, 0, {X(TIMEX_BYTES)}},
	{SYS_setrlimit, 0, {_, I(16)}},
	{SYS_chroot, 0, {T}},
	{SYS_settimeofday, 0, {I(16), I(8)}},
	{SYS_mount, 0, {T, T, T, _, T}},
	{SYS_umount2, 0, {T}},
	{SYS_sethostname, 0, {IN(1, 1)}},
	{SYS_setxattr, 0, {T, T, IN(3, 1)}},
	{SYS_lsetxattr, 0, {T, T, IN(3, 1)}},
	{SYS_fsetxattr, 0, {_, T, IN(3, 1)}},
	{SYS_getxattr, 0, {T, T, OUT(3, 1)}},
	{SYS_lgetxattr, 0, {T, T, OUT(3, 1)}},
	{SYS_fgetxattr, 0, {_, T, OUT(3, 1)}},
	{SYS_listxattr, 0, {T, OUT(2, 1)}},
	{SYS_llistxattr, 0, {T, OUT(2, 1)}},
	{SYS_flistxattr, 0, {_, OUT(2, 1)}},
	{SYS_time, 0, {O(8)}},
	{SYS_futex, 0, {TS(4), _, _, TS(16), TS(4)}},
	{SYS_sched_setaffinity, 0, {_, _, IN(1, 1)}},
	{SYS_sched_getaffinity, 0, {_, _, OUT(1, 1)}},
	{SYS_io_setup, 0, {_, X(8)}},
	{SYS_io_getevents, 0, {_, _, _, OUT(2, 32), I(16)}},
	{SYS_io_submit, 0, {_, _, T}},
	{SYS_io_cancel, 0, {_, T, O(32)}},
	{SYS_getdents64, 0, {_, OUT(2, 1)}},
	{SYS_set_tid_address, 0, {T}},
	{SYS_semtimedop, 0, {_, IN(2, 6), _, I(16)}},
	{SYS_timer_create, 0, {_, I(64), O(4)}},
	{SYS_timer_settime, 0, {_, _, I(32), O(32)}},
	{SYS_timer_gettime, 0, {_, O(32)}},
	{SYS_clock_settime, 0, {_, I(16)}},
	{SYS_clock_gettime, 0, {_, O(16)}},
	{SYS_clock_getres, 0, {_, O(16)}},
	{SYS_clock_nanosleep, 0, {_, _, I(16), O(16)}},
	{SYS_epoll_wait, 0, {_, OUT(2, 12)}},
	{SYS_epoll_ctl, 0, {_, _, _, I(12)}},
	{SYS_utimes, 0, {T, I(32)}},
	{SYS_mbind, 0, {T, _, _, T}},
	{SYS_mq_open, 0, {T, _, _, T}},
	{SYS_mq_unlink, 0, {T}},
	{SYS_mq_timedsend, 0, {_, IN(2, 1), _, _, I(16)}},
	{SYS_mq_timedreceive, 0, {_, OUT(2, 1), _, O(4), I(16)}},
	{SYS_mq_getsetattr, 0, {_, I(64), O(64)}},
	{SYS_waitid, 0, {_, _, O(SIGINFO_BYTES), _, O(RUSAGE_BYTES)}},
	{SYS_inotify_add_watch, 0, {_, T}},
	{SYS_openat, 0, {_, T}},
	{SYS_mkdirat, 0, {_, T}},
	{SYS_mknodat, 0, {_, T}},
	{SYS_fchownat, 0, {_, T}},
	{SYS_futimesat, 0, {_, T, I(32)}},
	{SYS_newfstatat, 0, {_, T, O(STAT_BYTES)}},
	{SYS_unlinkat, 0, {_, T}},
	{SYS_renameat, 0, {_, T, _, T}},
	{SYS_linkat, 0, {_, T, _, T}},
	{SYS_symlinkat, 0, {T, _, T}},
	{SYS_readlinkat, 0, {_, T, OUT(3, 1)}},
	{SYS_fchmodat, 0, {_, T}},
	{SYS_faccessat, 0, {_, T}},
	{SYS_pselect6, 0, {_, T, T, T, X(16), T}},
	{SYS_ppoll, 0, {INOUT(1, 8), _, X(16), I(8)}},
	{SYS_set_robust_list, 0, {T}},
	{SYS_get_robust_list, 0, {_, O(8), O(8)}},
	{SYS_splice, 0, {_, X(8), _, X(8)}},
	{SYS_vmsplice, 0, {_, T}},
	{SYS_utimensat, 0, {_, T, I(32)}},
	{SYS_epoll_pwait, 0, {_, OUT(2, 12), _, _, I(8)}},
	{SYS_signalfd, 0, {_, I(8)}},
	{SYS_timerfd_settime, 0, {_, _, I(32), O(32)}},
	{SYS_timerfd_gettime, 0, {_, O(32)}},
	{SYS_accept4, 0, {_, OUTLEN(2), X(4)}},
	{SYS_signalfd4, 0, {_, I(8)}},
	{SYS_pipe2, 0, {O(8)}},
	{SYS_preadv, 0, {_, T}},
	{SYS_pwritev, 0, {_, T}},
	{SYS_rt_tgsigqueueinfo, 0, {_, _, _, I(SIGINFO_BYTES)}},
	{SYS_perf_event_open, 0, {T}},
	{SYS_recvmmsg, 0, {_, T, _, _, X(16)}},
	{SYS_prlimit64, 0, {_, _, I(16), O(16)}},
	{SYS_sendmmsg, 0, {_, T}},
	{SYS_getcpu, 0, {O(4), O(4)}},
	{SYS_process_vm_readv, 0, {_, T, _, T}},
	{SYS_process_vm_writev, 0, {_, T, _, T}},
	{SYS_renameat2, 0, {_, T, _, T}},
	{SYS_seccomp, 0, {_, _, T}},
	{SYS_getrandom, 0, {OUT(1, 1)}},
	{SYS_memfd_create, 0, {T}},
	{SYS_bpf, 0, {_, T}},
	{SYS_execveat, 0, {_, T, T, T}},
	{SYS_mlock2, 0, {T}},
	{SYS_copy_file_range, 0, {_, X(8), _, X(8)}},
	{SYS_preadv2, 0, {_, T}},
	{SYS_pwritev2, 0, {_, T}},
	{SYS_pkey_mprotect, 0, {T}},
	{SYS_statx, 0, {_, T, _, _, O(STATX_BYTES)}},
	{SYS_rseq, 0, {T}},
	{SYS_clone3, 0, {T}},
	{SYS_faccessat2, 0, {_, T}},
	{SYS_process_madvise, 0, {_, T}},
	{SYS_epoll_pwait2, 0, {_, OUT(2, 12), _, I(16), I(8)}},
};

/* clang-format on */

/* Their arguments are numbers only. What the filter finds first costs the kernel nothing. */
static const uint16_t innocent[] = {
	SYS_close,
	SYS_lseek,
	SYS_rt_sigreturn,
	SYS_sched_yield,
	SYS_dup,
	SYS_dup2,
	SYS_pause,
	SYS_alarm,
	SYS_getpid,
	SYS_socket,
	SYS_shutdown,
	SYS_listen,
	SYS_fork,
	SYS_vfork,
	SYS_exit,
	SYS_kill,
	SYS_flock,
	SYS_fsync,
	SYS_fdatasync,
	SYS_ftruncate,
	SYS_fchdir,
	SYS_fchmod,
	SYS_fchown,
	SYS_umask,
	SYS_getuid,
	SYS_getgid,
	SYS_setuid,
	SYS_setgid,
	SYS_geteuid,
	SYS_getegid,
	SYS_setpgid,
	SYS_getppid,
	SYS_getpgrp,
	SYS_setsid,
	SYS_getpgid,
	SYS_getsid,
	SYS_getpriority,
	SYS_setpriority,
	SYS_munlockall,
	SYS_mlockall,
	SYS_gettid,
	SYS_tkill,
	SYS_epoll_create,
	SYS_restart_syscall,
	SYS_fadvise64,
	SYS_exit_group,
	SYS_tgkill,
	SYS_inotify_init,
	SYS_inotify_rm_watch,
	SYS_unshare,
	SYS_tee,
	SYS_timerfd_create,
	SYS_eventfd,
	SYS_fallocate,
	SYS_eventfd2,
	SYS_epoll_create1,
	SYS_dup3,
	SYS_inotify_init1,
	SYS_syncfs,
	SYS_setns,
	SYS_membarrier,
	SYS_pidfd_open,
	SYS_close_range,
	SYS_pidfd_getfd,
	SYS_timer_delete,
	SYS_timer_getoverrun,
	SYS_readahead,
	SYS_sync_file_range,
};

#define NR_CALLS    (sizeof(calls) / sizeof(calls[0]))
#define NR_INNOCENT (sizeof(innocent) / sizeof(innocent[0]))

/**
 * trap_lookup() - what is known of a system call.
 *
 * Return: NULL: nothing.
 */
const struct trap_call *trap_lookup(long nr)
{
	size_t low = 0, high = NR_CALLS;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (calls[mid].nr == nr)
			return &calls[mid];
		if (calls[mid].nr < nr)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

bool trap_is_innocent(long nr)
{
	for (size_t i = 0; i < NR_INNOCENT; i++)
		if (innocent[i] == nr)
			return true;
	return false;
}
