#!/usr/bin/env python3
"""Programs under `ration run` say what they say without it, byte for byte.

    test_runtime.py ENGINE RATION PRELOAD PROGRAMS...

ENGINE is what --fault takes, RATION the command, PRELOAD the runtime, PROGRAMS the test programs
of tests/run/programs.
"""

import json
import os
import pathlib
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

import cases  # noqa: E402

ENGINE = sys.argv.pop(1)
RATION, PRELOAD, *PROGRAMS = [os.path.abspath(path) for path in sys.argv[1:]]
PROGRAM = {os.path.basename(path).removeprefix("run_"): path for path in PROGRAMS}
PATIENCE = 120.0  # seconds that anything may take on a busy machine
PYTHON = os.path.realpath(sys.executable)
MIB = 1 << 20


def environment(switches=""):
    env = {key: old for key, old in os.environ.items()
           if key not in ("LD_PRELOAD", "RATION_TEST", "RATION_RUN")}
    env.update(RATION_PRELOAD=PRELOAD, LC_ALL="C")
    if switches:
        env["RATION_TEST"] = switches
    return env


def plain(*program, **options):
    return subprocess.run(program, env=environment(), capture_output=True, timeout=PATIENCE,
                          check=False, stdin=subprocess.DEVNULL, **options)


def segments(core):
    """What an ELF core says of memory: {address: (offset in the file, bytes there)}."""
    phoff, = struct.unpack_from("<Q", core, 32)
    size, number = struct.unpack_from("<HH", core, 54)
    found = {}
    for at in range(phoff, phoff + size * number, size):
        kind, _, offset, start, _, in_file = struct.unpack_from("<IIQQQQ", core, at)
        if kind == 1:  # PT_LOAD
            found[start] = (offset, in_file)
    return found


def pages_missing(core, start, pages):
    """Of the pattern of tests/run/programs/dumps.c."""
    parts, missing = segments(core), 0
    for i in range(pages):
        va = start + i * 4096
        base = max((at for at in parts if at <= va), default=None)
        offset, in_file = parts.get(base, (0, 0))
        if base is None or va - base + 4096 > in_file:
            missing += 1
        elif struct.unpack_from("<QQQ", core, offset + va - base) != (va, i, i ^ (1 << 64) - 1):
            missing += 1
    return missing


class Runtime(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="ration-test-")
        self.addCleanup(folder.cleanup)
        self.tmp = pathlib.Path(folder.name)
        probe = self.run_managed("true", ram="16M", swap="")
        if probe.returncode and b"userfaultfd" in probe.stderr:
            self.skipTest("needs userfaultfd")

    def run_managed(self, *program, ram="64M", swap="256M", switches="", options=(), **more):
        area = ["--swap", f"{self.tmp}/swap:{swap}"] if swap else []
        return subprocess.run([RATION, "run", "--ram", ram, *area, "--fault", ENGINE, *options,
                               "--", *program], env=environment(switches), capture_output=True, timeout=PATIENCE,
                              check=False, stdin=subprocess.DEVNULL, **more)

    def check_same(self, *program, **options):
        """The same output and status as without; nothing on standard error that was not there."""
        want, got = plain(*program), self.run_managed(*program, **options)
        self.assertEqual((got.stdout, got.returncode, got.stderr),
                         (want.stdout, want.returncode, want.stderr))
        return got

    def stats(self, *program, **options):
        got = self.run_managed(*program, options=["--stats=json"], **options)
        self.assertEqual(got.returncode, 0, got)
        return got.stdout, json.loads(got.stderr.splitlines()[-1])

    # --- calls and memory -----------------------------------------------------------------

    def test_calls_answer_as_the_kernel_does(self):
        for switches in ("", "no-move"):
            with self.subTest(switches=switches):
                self.check_same(PROGRAM["calls"], ram="16M", switches=switches)

    def test_what_does_not_fit_comes_back(self):
        for ram, switches in (("24M", ""), ("12M", ""), ("6M", ""), ("12M", "no-move"),
                              ("12M", "no-uring"), ("12M", "no-direct")):
            with self.subTest(ram=ram, switches=switches):
                self.check_same(PROGRAM["memory"], "24", "1", ram=ram, switches=switches)

    def test_threads_share_it(self):
        for ram, switches in (("16M", ""), ("8M", ""), ("8M", "no-move,no-uring")):
            with self.subTest(ram=ram, switches=switches):
                self.check_same(PROGRAM["memory"], "24", "8", ram=ram, switches=switches)

    def test_no_write_of_threads_is_lost(self):
        for tier, switches in (("50%", ""), ("off", ""), ("50%", "no-move")):
            with self.subTest(tier=tier, switches=switches):
                self.check_same(PROGRAM["sums"], "3072", "2", "10000", ram="6M",
                                switches=switches, options=["--zram", tier])

    def test_it_did_swap_and_kept_its_budget(self):
        want = plain(PROGRAM["memory"], "32", "2").stdout
        idle = self.stats("true", ram="16M")[1]
        stdout, stats = self.stats(PROGRAM["memory"], "32", "2", ram="16M")
        self.assertEqual(stdout, want)
        self.assertGreater(stats["vmstat"]["pswpout"], 1000)
        self.assertGreater(stats["vmstat"]["pswpin"], 1000)
        self.assertGreater(stats["vmstat"]["pgmajfault"], 100)
        # 1 MiB: the kernel counts RSS by processor, and adds up in batches of 32 pages.
        budget = 16 * MIB * 1.05 + idle["rss_peak_bytes"] + MIB
        self.assertLess(stats["rss_peak_bytes"], budget)

    def test_signals_interrupt_nothing(self):
        self.check_same(PROGRAM["storm"], "1", ram="16M")

    def test_corners(self):
        for switches in ("", "no-move"):
            with self.subTest(switches=switches):
                self.check_same(PROGRAM["corners"], ram="16M", switches=switches)

    def test_edges(self):
        cases_ = ["early", "raw_threads", "blocked", "actions", "pending", "structures",
                  "direct", "inner", "descriptors"]
        if ENGINE != "thread":  # docs/limits.md
            cases_ += ["robust", "tid_address", "splices", "behind"]
        for switches in ("", "no-move"):
            with self.subTest(switches=switches):
                self.check_same(PROGRAM["edges"], *cases_, ram="16M", switches=switches)

    def test_sandboxes(self):
        if ENGINE != "thread":
            self.check_same(PROGRAM["sandbox"], ram="16M")
            self.check_same(PROGRAM["sandbox"], "threads", ram="6M", options=["--zram", "off"])
            return
        for case in ("tight", "refusing", "trapping", "wrong", "killing"):  # docs/limits.md
            with self.subTest(case=case):
                self.check_same(PROGRAM["sandbox"], case, ram="16M")

    def test_what_keeps_the_pages_themselves_is_refused(self):
        got = self.run_managed(PROGRAM["edges"], "refused", ram="16M")
        if ENGINE == "thread":
            self.assertIn(b"SO_ZEROCOPY EOPNOTSUPP", got.stdout)
            return
        self.assertEqual((got.stdout, got.stderr, got.returncode), (
            b"io_setup ENOSYS, raw ENOSYS, io_uring_setup ENOSYS, SO_ZEROCOPY EOPNOTSUPP, "
            b"raw EOPNOTSUPP, rseq ENOSYS, process_madvise EINVAL, 120\n", b"", 0))

    def test_descriptors_are_closed_and_replaced(self):
        """No byte comes from a file that has the number of a swap area's."""
        for how in ("closed", "replaced", "all"):
            for zram in ("off", "25%"):
                with self.subTest(how=how, zram=zram):
                    self.check_same(PROGRAM["numbers"], "12", how, ram="8M", options=["--zram", zram])

    def test_a_program_reads_swap_by_itself(self):
        """Its descriptor of the area outlives close(), is there after exec, and in no small table."""
        has = 0 if ENGINE == "thread" else 1
        for how, most, files in (("kept", 1024, has), ("executed", 1024, has), ("kept", 64, 0),
                                 ("kept", 16, 0)):
            with self.subTest(how=how, most=most):
                got = self.run_managed(
                    PROGRAM["numbers"], "12", how, ram="8M", options=["--zram", "off"],
                    preexec_fn=lambda most=most: resource.setrlimit(resource.RLIMIT_NOFILE,
                                                                    (most, most)))
                self.assertEqual((got.stdout, got.returncode, got.stderr),
                                 (f"files: {files}\ndone\n".encode(), 0, b""))

    def test_past_the_c_library(self):
        """Also behind the filter of a program that the signal engine serves."""
        self.check_same(PROGRAM["past"], ram="16M")
        self.check_same("sh", "-c", '"$0"; "$0"', PROGRAM["past"], ram="16M")
        stats = self.stats(PROGRAM["past"], ram="16M")[1]
        self.assertIn("thread", stats["fault_engine"])

    def test_the_engine_is_the_one_asked_for(self):
        stats = self.stats("sh", "-c", "echo $(echo a child)", ram="16M")[1]
        self.assertEqual((stats["fault_engine"], stats["fault_reason"]),
                         (ENGINE, f"--fault {ENGINE}"))

    def test_the_signal_engine_is_the_default(self):
        if ENGINE != "signal":
            self.skipTest("once is enough")
        got = subprocess.run([RATION, "run", "--ram", "16M", "--stats=json", "true"],
                             capture_output=True, timeout=PATIENCE, check=True,
                             env=environment())
        stats = json.loads(got.stderr)
        self.assertEqual((stats["fault_engine"], stats["fault_reason"]),
                         ("signal", "the default"))

    def test_nobody_is_managed_too(self):
        """By the signal engine, if not by that of a memory file: both need no right."""
        if os.geteuid() != 0:
            self.skipTest("needs root to give up its rights")
        unprivileged = pathlib.Path("/proc/sys/vm/unprivileged_userfaultfd")
        if unprivileged.exists() and unprivileged.read_text(encoding="ascii").strip() == "1":
            self.skipTest("anybody may use the thread engine here")
        os.chmod(self.tmp, 0o777)
        ration, preload, memory = (shutil.copy(path, self.tmp)
                                   for path in (RATION, PRELOAD, PROGRAM["memory"]))
        options = ["--fault", "signal"] if ENGINE == "signal" else []
        got = subprocess.run([ration, "run", "--ram", "12M", "--swap", f"{self.tmp}/swap:128M",
                              "--stats=json", *options, memory, "24", "2"], user=65534,
                             group=65534, extra_groups=[], capture_output=True, check=False,
                             env={**environment(), "RATION_PRELOAD": preload}, timeout=PATIENCE)
        self.assertEqual((got.stdout, got.returncode), (plain(memory, "24", "2").stdout, 0), got)
        stats = json.loads(got.stderr.splitlines()[-1])
        self.assertEqual(stats["fault_engine"], "signal")
        self.assertGreater(stats["vmstat"]["pswpin"], 500)

    # --- processes ------------------------------------------------------------------------

    def test_a_fork_keeps_every_byte(self):
        for ram, switches in (("32M", ""), ("6M", ""), ("6M", "no-move"), ("6M", "no-uring")):
            with self.subTest(ram=ram, switches=switches):
                self.check_same(PROGRAM["forks"], "12", "1", ram=ram, switches=switches)

    def test_a_fork_among_threads_keeps_every_byte(self):
        for ram in ("64M", "8M"):
            with self.subTest(ram=ram):
                self.check_same(PROGRAM["forks"], "12", "2", "3", ram=ram)

    def test_a_clone_keeps_every_byte(self):
        ways = ["clone", "handlers", "elsewhere", "number", "clone3", "SYS_fork", "namespaces"]
        for way in ways:
            for ram in ("32M", "6M"):
                with self.subTest(way=way, ram=ram):
                    got = self.check_same(PROGRAM["forks"], "12", "1", "0", way, ram=ram)
                    self.assertEqual(got.returncode, 0, got)

    def test_who_counts_threads_counts_the_programs(self):
        script = ("import os, threading\n"
                  "proc = os.open('/proc/self', os.O_RDONLY)\n"
                  "count = lambda: print(os.stat('/proc/self/task/').st_nlink,\n"
                  "                      os.stat('task', dir_fd=proc).st_nlink)\n"
                  "count()\n"
                  "thread = threading.Thread(target=count)\n"
                  "thread.start(), thread.join()\n")
        self.check_same(PYTHON, "-c", script, ram="64M")

    def test_a_child_has_the_memory_of_the_moment_of_its_fork(self):
        seed = os.environ.get("RATION_TEST_SEED") or str(random.randrange(1 << 32))
        for switches, tier in (("", "off"), ("no-uring", "off")):
            with self.subTest(switches=switches, tier=tier, seed=seed):
                self.check_same(PROGRAM["moments"], "1280", "2", "3", seed, ram="4M",
                                switches=switches, options=["--zram", tier])

    def test_what_the_forking_thread_still_touches_is_of_the_same_moment(self):
        for ram, tier in (("8M", "50%"), ("4M", "50%"), ("4M", "off")):
            with self.subTest(ram=ram, tier=tier):
                self.check_same(PROGRAM["late"], "12", "3", ram=ram, options=["--zram", tier])

    def test_a_fork_on_managed_memory(self):
        self.check_same(PROGRAM["stacks"], ram="16M")

    def test_the_65th_process_is_refused(self):
        got = self.run_managed(PROGRAM["crowd"], "100", ram="8M", swap="")
        self.assertEqual((got.stdout, got.returncode), (b"63 and then EAGAIN\n", 0), got)

    def test_children_of_all_kinds(self):
        script = self.tmp / "script"
        script.write_text("""
            set -e
            for i in 1 2 3; do echo $(echo $i | sed s/1/one/); done
            seq 1 30000 | sort -r | sort -n | cksum
            (exec sh -c 'exec echo exec')
            sh -c 'exit 3' || echo $?
            sh -c 'kill -9 $$' || echo $?
            x=$(sh -c 'sleep 0.1 >&- 2>&- & echo out'); echo $x
        """, encoding="ascii")
        self.check_same("sh", str(script), ram="16M")

    def test_what_is_not_managed_is_left_alone(self):
        """Programs that the runtime does not get into, started from one that it is in."""
        script = f"{PROGRAM['static_program']}; echo $?; env -i /bin/sh -c 'echo | cat; ls /'"
        self.check_same("sh", "-c", script, ram="16M")

    def test_python_and_its_children(self):
        self.check_same(PYTHON, "-c", """
import os, subprocess, sys, multiprocessing, threading
data = bytearray(range(256)) * 4096 * 8
print(subprocess.check_output(["echo", "sub"]))
print(os.popen("echo pop").read(), os.system("exit 3"))
thread = threading.Thread(target=lambda: threading.Event().wait(2), daemon=True)
thread.start()
child = os.fork()
if child == 0:
    print(sum(data), flush=True)
    os._exit(5)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(len, [data, b"x" * 1000000]))
read, write = os.pipe()
os.close(write)
print(os.read(read, 1))
""", ram="32M")

    def test_a_daemon_goes_on_after_the_launcher(self):
        note = self.tmp / "note"
        got = self.run_managed(PYTHON, "-c", f"""
import os, sys, time
data = bytearray(range(256)) * 4096 * 24
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.closerange(0, 1000)
launcher = os.environ["RATION_RUN"]
while os.path.exists(launcher):
    time.sleep(0.01)
ok = data == bytearray(range(256)) * 4096 * 24
if os.fork() == 0:
    ok = ok and data == bytearray(range(256)) * 4096 * 24
    os._exit(0 if ok else 1)
status = os.wait()[1]
status += os.system("exit 3") >> 8
with open("{note}.new", "w") as file:
    file.write(f"{{ok}} {{status}}")
os.rename("{note}.new", "{note}")
""", ram="16M")
        self.assertEqual((got.returncode, got.stderr), (0, b""))
        for _ in range(6000):
            if note.exists():
                break
            subprocess.run(["sleep", "0.01"], check=True)
        self.assertEqual(note.read_text(encoding="ascii"), "True 3")

    def test_a_small_address_space(self):
        if ENGINE == "segv":
            self.skipTest("the shell's own memory could not be mapped any more (docs/limits.md)")
        script = "ulimit -v 4000000; exec $0 16 2"
        self.check_same("sh", "-c", script, PROGRAM["memory"], ram="8M")

    def test_hardly_a_descriptor(self):
        """With few descriptors left a program runs, or one line says why not."""
        want = plain(PROGRAM["memory"], "12", "1").stdout
        for left in range(1, 7):
            taken = " ".join(f"{fd}</dev/null" for fd in range(3, 9))
            script = f'ulimit -n {9 + left}; exec {taken}; exec "$0" 12 1'
            with self.subTest(left=left):
                got = self.run_managed("sh", "-c", script, PROGRAM["memory"], ram="6M")
                if got.returncode == 0:
                    self.assertEqual((got.stdout, got.stderr), (want, b""))
                    continue
                self.assertEqual((got.returncode, got.stdout), (125, b""), got)
                self.assertRegex(got.stderr, b"^ration: cannot .*: Too many open files\n$")

    # --- the end of memory ----------------------------------------------------------------

    def test_out_of_memory_is_a_kill_and_a_line(self):
        for swap, advice in (("", "no swap; killed; raise --ram or add --swap\n"),
                             ("8M", " MiB of swap; killed; raise --ram or --swap\n")):
            with self.subTest(swap=swap):
                got = self.run_managed(PROGRAM["memory"], "64", "1", ram="16M", swap=swap)
                self.assertEqual(got.returncode, -signal.SIGKILL, got)
                self.assertRegex(got.stderr.decode(), "^ration: out of memory: process [0-9]+ "
                                 "has touched [0-9]+ MiB, has 16 MiB of RAM and ")
                self.assertTrue(got.stderr.decode().endswith(advice), got.stderr)

    def test_out_of_memory_of_one_is_not_the_others(self):
        got = self.run_managed("sh", "-c", '"$0" 64 1; echo $?', PROGRAM["memory"], ram="16M",
                               swap="")
        self.assertEqual((got.stdout, got.returncode), (b"137\n", 0), got)
        self.assertIn(b"ration: out of memory: process ", got.stderr)

    def test_swap_that_cannot_be_read_is_a_bus_error(self):
        got = self.run_managed(PROGRAM["lost"], f"{self.tmp}/swap", ram="8M",
                               options=["--zram", "off"])
        self.assertEqual((got.stdout, got.returncode), (b"SIGBUS, then the rest\n", 0), got)
        self.assertRegex(got.stderr.decode(), "^ration: swap could not be read: SIGBUS to ")

    # --- core dumps -----------------------------------------------------------------------

    def need_cores(self):
        pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text(encoding="ascii")
        if ENGINE != "signal":
            self.skipTest("dumps have holes with the other engines (docs/limits.md)")
        if pattern[0] in "|/" or resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
            self.skipTest("needs core files in the working directory")

    def dumped(self, how):
        got = self.run_managed(PROGRAM["dumps"], how, ram="6M", cwd=self.tmp, preexec_fn=lambda:
                               resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2))
        cores = list(self.tmp.glob("core*"))
        self.assertEqual(len(cores), 1, got)
        start, pages, _ = got.stdout.split()
        core = cores[0].read_bytes()
        cores[0].unlink()
        (self.tmp / "swap").unlink(missing_ok=True)
        return got, pages_missing(core, int(start, 16), int(pages))

    def test_a_core_dump_holds_what_is_out(self):
        self.need_cores()
        for how, sig in (("abort", signal.SIGABRT), ("segv", signal.SIGSEGV),
                         ("fpe", signal.SIGFPE), ("quit", signal.SIGQUIT),
                         ("sent", signal.SIGXCPU)):
            with self.subTest(how=how):
                got, missing = self.dumped(how)
                self.assertEqual((got.returncode, missing), (-sig, 0), got)

    def test_a_core_dump_of_the_child_of_a_fork(self):
        self.need_cores()
        got, missing = self.dumped("child")
        self.assertEqual((got.returncode, missing), (int(signal.SIGABRT), 0), got)

    def test_gdb_reads_what_is_out(self):
        if ENGINE != "signal":
            self.skipTest("the others have no signals that gdb must let through")
        self.need("gdb")
        out, script = self.tmp / "out", self.tmp / "script.gdb"
        script.write_text(f"""
break abort
run run --ram 6M --swap {self.tmp}/swap:64M -- {PROGRAM["dumps"]} alone > {out}
python
import struct
start, missing = int(open("{out}").read().split()[0], 16), 0
for i in range(0, 2048, 61):
    va = start + i * 4096
    try:
        gdb.selected_inferior().read_memory(va, 24)
    except gdb.MemoryError:
        missing += 1
    gdb.execute(f"ration-in {{va}} 4096", to_string=True)
    words = struct.unpack("<QQQ", gdb.selected_inferior().read_memory(va, 24))
    print("right" if words == (va, i, i ^ (1 << 64) - 1) else "wrong")
print("missing" if missing else "all was there")
end
kill
""", encoding="ascii")
        helper = pathlib.Path(__file__).parents[2] / "examples/ration.gdb"
        got = plain("gdb", "-q", "-batch", "-nx", "-x", helper, "-x", script, RATION)
        words = got.stdout.decode().split()
        self.assertEqual((words.count("right"), words.count("wrong"), words.count("missing")),
                         (34, 0, 1), got)

    # --- other people's programs ----------------------------------------------------------

    def need(self, name):
        path = shutil.which(name)
        if not path:
            self.skipTest(f"needs {name}")
        return path

    def test_sqlite(self):
        self.check_same(self.need("sqlite3"), ":memory:", """
create table t(a, b);
with recursive c(x) as (select 1 union all select x + 1 from c where x < 60000)
insert into t select x, (x * 7919) % 60000 from c;
create index i on t(b);
select count(*), sum(a), sum(b), max(a) from t where b > 1000;
""", ram="8M")

    def test_a_compiler(self):
        source = self.tmp / "hello.c"
        source.write_text('#include <stdio.h>\nint main(void) { return puts("hello") < 0; }\n',
                          encoding="ascii")
        script = f'"$0" -O2 -o {self.tmp}/hello {source} && {self.tmp}/hello'
        self.check_same("sh", "-c", script, self.need("cc"), ram="24M")

    def test_sort(self):
        script = f"seq 1 200000 | {self.need('sort')} -r -S 64M | {self.need('sort')} -n | cksum"
        self.check_same("sh", "-c", script, ram="12M")


if __name__ == "__main__":
    cases.main()
