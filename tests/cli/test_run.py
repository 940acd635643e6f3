#!/usr/bin/env python3
"""`ration run` from outside: bad input, what a program inherits, signals, job control, leftovers.

    test_run.py RATION PRELOAD [STATIC]

RATION is the command, PRELOAD the runtime to load (the launcher's tests use a stub), STATIC a
statically linked program. Prints cmocka's lines; exit status 0, 1, or 77 if all was skipped.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

import cases  # noqa: E402

RATION, PRELOAD = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
STATIC = os.path.abspath(sys.argv[3]) if len(sys.argv) > 3 else None
IS_STUB = "stub" in os.path.basename(PRELOAD)
PYTHON = [os.path.realpath(sys.executable), "-S", "-E", "-c"]
MARK = f"RATION_TEST_RUN={os.getpid()}.{time.monotonic_ns()}"
PATIENCE = 20.0  # seconds that anything may take on a busy machine
TESTS = []


class Skipped(Exception):
    pass


def test(function):
    TESTS.append(function)
    return function


def environment(**more):
    name, value = MARK.split("=")
    env = {key: old for key, old in os.environ.items() if key not in ("LD_PRELOAD", "RATION_TEST")}
    return {**env, "RATION_PRELOAD": PRELOAD, name: value, "LC_ALL": "C",
            "ASAN_OPTIONS": "verify_asan_link_order=0", **more}


def command(*arguments):
    return [RATION, "run", "--ram", "64M", *arguments]


def run(*arguments, env=None, **options):
    """Runs `ration` with these arguments; its CompletedProcess."""
    return subprocess.run([RATION, *arguments], env=environment(**(env or {})), text=True,
                          capture_output=True, timeout=PATIENCE, check=False,
                          **{"stdin": subprocess.DEVNULL, **options})


def run_program(*program, **options):
    return run("run", "--ram", "64M", *program, **options)


@contextlib.contextmanager
def started(*arguments, env=None, **options):
    """A running launcher whose program has said `ready` on standard output."""
    with subprocess.Popen(command(*arguments), env=environment(**(env or {})), text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, **options) as launcher:
        try:
            line = launcher.stdout.readline()
            assert line == "ready\n", (line, launcher.stderr.read())
            yield launcher
        finally:
            launcher.kill()


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"still not: {what}"
        time.sleep(0.005)


def marked_processes():
    """Pids of processes that a test has started."""
    pids = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError):
                if MARK.encode() in pathlib.Path("/proc", entry, "environ").read_bytes():
                    pids.append(int(entry))
    return pids


def state_of(pid):
    """One letter, as ps prints it; None if the process is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


def child_of(pid):
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert len(children) == 1, children
    return int(children[0])


def expect(result, status, stderr, stdout=""):
    got = (result.returncode, result.stderr, result.stdout)
    assert got == (status, stderr, stdout), f"got {got}, wanted {(status, stderr, stdout)}"


def refused(result, status, line):
    """One line on standard error, that one, and nothing else."""
    expect(result, status, f"ration: {line}\n")


def is_free(path):
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def make_swap(path):
    """A swap file of the user's, by a run that was killed and left one."""
    with started("--swap", f"{path}:1M", "sh", "-c", "echo ready; exec sleep 60") as launcher:
        launcher.kill()
    wait_until(lambda: is_free(path), "the killed processes have let the file go")
    assert path.read_bytes()[4086:4096] == b"SWAPSPACE2"


# --- help and bad input -----------------------------------------------------------------------


@test
def help_and_version_go_to_standard_output():
    for arguments, start in ((["--help"], "Usage: ration COMMAND"),
                             (["run", "--help"], "Usage: ration run --ram SIZE"),
                             (["--version"], "ration 0.")):
        result = run(*arguments)
        assert result.returncode == 0 and result.stderr == "", result
        assert result.stdout.startswith(start), result.stdout
        assert all(len(line) <= 96 for line in result.stdout.splitlines())
    with open("/dev/full", "w", encoding="ascii") as full:
        result = subprocess.run([RATION, "--help"], stdout=full, stderr=subprocess.PIPE,
                                text=True, env=environment(), check=False)
    assert result.returncode == 125, result
    assert result.stderr == "ration: standard output: No space left on device\n"


@test
def bad_commands_and_options_are_named():
    for arguments, line in (
            ([], "COMMAND is missing; try ration --help"),
            (["wander"], "wander: no such command; try ration --help"),
            (["--walk"], "--walk: no such option; try ration --help"),
            (["-x"], "-x: no such option; try ration --help"),
            (["--help=1"], "--help=1: takes no value; try ration --help"),
            (["run"], "run: --ram is missing; try ration run --ram 256M PROGRAM"),
            (["run", "true"], "run: --ram is missing; try ration run --ram 256M PROGRAM"),
            (["run", "--ram"], "--ram: wants a value; try ration run --help"),
            (["run", "--swap"], "--swap: wants a value; try ration run --help"),
            (["run", "--walk", "true"], "--walk: no such option; try ration run --help"),
            (["run", "-r", "true"], "-r: no such option; try ration run --help"),
            (["run", "--ram", "64M"], "run: PROGRAM is missing; try ration run --ram 64M PROGRAM"),
            (["run", "--ram", "64M", "--"],
             "run: PROGRAM is missing; try ration run --ram 64M PROGRAM"),
            (["run", "--ram", "64M", "--zram", "huge", "true"],
             "--zram huge: not a size; write it as 50%, 128M, 50%,zstd or off"),
            (["run", "--ram", "64M", "--zram", "16M,gzip", "true"],
             "--zram 16M,gzip: after the comma there may be lz4 or zstd; "
             "write it as 50%, 128M, 50%,zstd or off"),
            (["run", "--ram", "64M", "--zram", "60M", "true"],
             "--zram 60M: more than 90% of --ram, which it is a part of; "
             "write it as 50%, 128M, 50%,zstd or off"),
            (["run", "--ram", "64M", "--zram", "8K", "true"],
             "--zram 8K: less than 256K, which holds nothing; "
             "write it as 50%, 128M, 50%,zstd or off"),
            (["run", "--ram", "64M", "--swappiness", "201", "true"],
             "--swappiness 201: wants a whole number from 0 to 200"),
            (["run", "--ram", "64M", "--swappiness", "-1", "true"],
             "--swappiness -1: wants a whole number from 0 to 200"),
            (["run", "--ram", "64M", "--swappiness", "", "true"],
             "--swappiness : wants a whole number from 0 to 200"),
            (["run", "--ram", "64M", "--swappiness", "9k", "true"],
             "--swappiness 9k: wants a whole number from 0 to 200"),
            (["run", "--ram", "64M", "--stats=xml", "true"],
             "--stats=xml: no such form; there are --stats and --stats=json"),
            (["run", "--ram", "64M", "--fault", "magic", "true"],
             "--fault magic: no such engine; there are --fault auto, --fault signal, "
             "--fault thread and --fault segv")):
        refused(run(*arguments), 2, line)
    refused(run_program("true", env={"RATION_TEST": "no-move,no-fun"}), 2,
            "RATION_TEST=no-fun: knows no-move, no-uring and no-direct")


@test
def bad_sizes_say_what_can_be_had():
    for size in ("", "abc", "-5M", "1.5", "1Q", "64 M", "0x10", "1e9"):
        refused(run("run", "--ram", size, "true"), 2,
                f"--ram {size}: not a size; write it as 256M, 1.5G or 25%")
    for size in ("0", "0%", "1", "1M", "4095k"):
        refused(run("run", "--ram", size, "true"), 2,
                f"--ram {size}: the manager needs 4.0 MiB at least; try --ram 4M")
    for size in ("9999T", "99999999999999999999999999", "1000%"):
        result = run("run", "--ram", size, "true")
        match = re.fullmatch(f"ration: --ram {size}: only [0-9.]+ [MG]iB can be had here; "
                             "try --ram ([0-9]+[MG])\n", result.stderr)
        assert result.returncode == 2 and match, result
        if can_run():  # the way out is one
            assert run("run", "--ram", match[1], "true").returncode == 0


@test
def control_characters_do_not_reach_the_terminal():
    refused(run("run", "--ram", "a\n\x1b[1mb", "true"), 2,
            "--ram a??[1mb: not a size; write it as 256M, 1.5G or 25%")


@test
def bad_swap_is_refused_and_nothing_is_made(tmp):
    (tmp / "folder").mkdir()
    (tmp / "data").write_text("somebody's data\n")
    (tmp / "empty").touch()
    before = {path: path.read_bytes() for path in tmp.iterdir() if path.is_file()}
    for swap, line in (
            ("", "wants a file and a size above 0, as in --swap FILE:1G"),
            (":1G", "wants a file and a size above 0, as in --swap FILE:1G"),
            ("new:0", "wants a file and a size above 0, as in --swap FILE:1G"),
            ("new:25%", "a percentage of what? try a size, as in --swap FILE:1G"),
            ("new:99999999999999999999T", "no disk is that large; try --swap FILE:1G")):
        refused(run_program("--swap", swap, "true", cwd=tmp), 2, f"--swap {swap}: {line}")
    need_run()
    for swap, shown, line in (
            ("folder", "folder", "is a directory; "),
            ("data", "data", "exists and has no swap signature, so it may be somebody's data; "),
            ("empty", "empty", "exists and is empty, and only swap files are written to; "),
            ("none/new:64M", "none/new", "the directory it should lie in does not exist; "),
            ("new:4k", "new", "size 4 KiB is too small; "),
            ("/dev/null", "/dev/null", "is a character device; "),
            ("/proc/new:64M", "/proc/new", "the directory it should lie in does not exist; ")):
        result = run_program("--swap", swap, "true", cwd=tmp)
        assert result.returncode == 2 and result.stdout == "", (swap, result)
        assert result.stderr.startswith(f"ration: --swap {shown}: {line}"), (swap, result.stderr)
        assert result.stderr.count("\n") == 1, result.stderr
    refused(run_program("--swap", "new:64M", "--swap", "./new", "true", cwd=tmp), 2,
            "--swap ./new: is given twice; name each file once")
    after = {path: path.read_bytes() for path in tmp.iterdir() if path.is_file()}
    assert after == before, after.keys()


@test
def too_many_swap_areas_are_refused():
    swaps = [argument for i in range(33) for argument in ("--swap", f"new{i}:64M")]
    refused(run_program(*swaps, "true"), 2, "--swap: 32 areas are the most; join some")


@test
def programs_that_cannot_be_started_are_told_as_a_shell_does(tmp):
    (tmp / "data").write_text("echo\n")
    (tmp / "junk").write_bytes(b"\0\1\2\3")
    (tmp / "junk").chmod(0o755)
    (tmp / "script").write_text("#!/no/such/interpreter\n")
    (tmp / "script").chmod(0o755)
    for program, status, line in (
            ("no-such-program", 127, "no-such-program: command not found"),
            ("./none", 127, "./none: No such file or directory"),
            ("./data/none", 127, "./data/none: Not a directory"),
            ("./data", 126, "./data: Permission denied"),
            ("/etc", 126, "/etc: Is a directory"),
            ("./junk", 126, "./junk: Exec format error"),
            ("./script", 126, "./script: /no/such/interpreter: bad interpreter: "
                              "No such file or directory")):
        refused(run_program(program, cwd=tmp), status, line)


@test
def programs_that_would_run_unmanaged_are_refused(tmp):
    way_out = "it would run unmanaged; start it without ration"
    if STATIC:
        shown = STATIC if len(STATIC) <= 120 else "..." + STATIC[-120:]
        refused(run_program(STATIC), 2, f"{shown}: is statically linked: {way_out}")
    if os.geteuid() != 0:
        return
    copy = tmp / "copy"
    shutil.copy("/bin/true", copy)
    os.chown(copy, 65534, 65534)
    copy.chmod(0o4755)
    refused(run_program("./copy", cwd=tmp), 2, f"./copy: is set-uid: {way_out}")
    copy.chmod(0o2755)
    refused(run_program("./copy", cwd=tmp), 2, f"./copy: is set-gid: {way_out}")


@test
def the_thread_engine_asks_for_the_right_to_userfaultfd():
    if os.geteuid() != 0:
        raise Skipped("needs root to give up its rights")
    unprivileged = pathlib.Path("/proc/sys/vm/unprivileged_userfaultfd")
    device = pathlib.Path("/dev/userfaultfd")
    if unprivileged.exists() and unprivileged.read_text().strip() == "1":
        raise Skipped("anybody may use userfaultfd here")
    if device.exists() and device.stat().st_mode & stat.S_IROTH:
        raise Skipped("anybody may open /dev/userfaultfd here")
    with tempfile.TemporaryDirectory() as folder:  # where nobody may look
        os.chmod(folder, 0o755)
        ration, preload = shutil.copy(RATION, folder), shutil.copy(PRELOAD, folder)
        env = environment(RATION_PRELOAD=preload)
        result = subprocess.run([ration, "run", "--ram", "64M", "--fault", "thread", "true"],
                                user=65534, group=65534, extra_groups=[], env=env,
                                capture_output=True, text=True, check=False)
    assert result.returncode == 125 and result.stderr.count("\n") == 1, result
    for way in ("userfaultfd", "root", "CAP_SYS_PTRACE", "sysctl vm.unprivileged_userfaultfd=1",
                "/dev/userfaultfd"):
        assert way in result.stderr, result.stderr


@test
def a_missing_runtime_is_our_own_failure():
    result = run_program("true", env={"RATION_PRELOAD": "/no/such.so"})
    refused(result, 125, "/no/such.so: No such file or directory; install Ration again")


# --- what the program is given, and gives back ------------------------------------------------


@test
def exit_statuses_are_the_programs_own():
    need_run()
    for status in (0, 1, 2, 125, 126, 127, 255):
        expect(run_program("sh", "-c", f"exit {status}"), status, "")


@test
def a_death_by_a_signal_is_the_launchers_too(tmp):
    need_run()
    limit = resource.getrlimit(resource.RLIMIT_CORE)[1]
    for sig in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGINT,
                signal.SIGPIPE, signal.SIGHUP, signal.SIGRTMIN + 3):
        result = run_program("sh", "-c", f"ulimit -c 0; kill -{int(sig)} $$", cwd=tmp,
                             preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE,
                                                                   (limit, limit)))
        expect(result, -sig, "")
    assert list(tmp.iterdir()) == [], "a core of the launcher"


REPORT = """
import json, os, sys
print(json.dumps({"argv": sys.argv, "cwd": os.getcwd(), "env": dict(os.environ),
                  "stdin": sys.stdin.read(), "umask": os.umask(0), "nice": os.nice(0),
                  "group": os.getpgrp(), "session": os.getsid(0)}))
"""


@test
def arguments_environment_input_and_folder_are_the_programs_own(tmp):
    need_run()
    arguments = ["--ram", "x y", "", "-z", "\N{SNOWMAN}"]
    result = run_program("--", *PYTHON, REPORT, *arguments, cwd=tmp, input="in\n", stdin=None,
                         env={"LD_PRELOAD": "", "SOME": "thing", "LC_ALL": "C.UTF-8"})
    assert result.returncode == 0 and result.stderr == "", result
    got = json.loads(result.stdout)
    assert got["argv"][1:] == arguments and got["cwd"] == str(tmp) and got["stdin"] == "in\n", got
    assert got["group"] == os.getpgrp() and got["session"] == os.getsid(0), got
    env = environment(LD_PRELOAD=PRELOAD, SOME="thing", LC_ALL="C.UTF-8")
    assert re.fullmatch("/proc/[0-9]+/fd/[0-9]+", got["env"].pop("RATION_RUN")), got
    assert got["env"] == env, set(got["env"].items()) ^ set(env.items())


@test
def an_older_preload_stays():
    need_run()
    result = run_program("sh", "-c", "echo $LD_PRELOAD", env={"LD_PRELOAD": "libm.so.6 libc.so.6"})
    expect(result, 0, "", f"{PRELOAD}:libm.so.6 libc.so.6\n")


STATE = """
import os
fields = dict(line.split(":") for line in open("/proc/self/status") if line[:3] in ("Sig", "Shd"))
print({name: value.strip() for name, value in fields.items() if name in ("SigBlk", "SigIgn")})
print([fd for fd in range(100) if os.path.exists(f"/proc/self/fd/{fd}")])
"""


@test
def signal_state_and_descriptors_are_inherited_as_they_were():
    need_run()
    keep, other = os.pipe()
    plain = [PYTHON[0], "-S", "-E", "-c", STATE]

    def prepare():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGRTMIN + 1])
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)

    got = [subprocess.run(start, preexec_fn=prepare, pass_fds=[keep], text=True,
                          env=environment(STUB_SILENT="1"), capture_output=True,
                          restore_signals=False, timeout=PATIENCE, stdin=subprocess.DEVNULL,
                          check=True)
           for start in (plain, command(*plain))]
    os.close(keep)
    os.close(other)
    assert got[0].stdout == got[1].stdout, (got[0].stdout, got[1].stdout)


@test
def closed_standard_streams_stay_closed():
    need_run()
    script = "test -e /proc/$$/fd/0 && echo in; test -e /proc/$$/fd/2 && echo err; echo done"
    result = subprocess.run(["sh", "-c", 'exec "$@" <&- 2>&-', "sh",
                             *command("--stats", "sh", "-c", script)],
                            env=environment(STUB_SILENT="1"), capture_output=True, text=True,
                            check=True)
    assert result.stdout == "done\n", result


@test
def what_is_said_does_not_go_into_a_file_of_ours(tmp):
    """Without standard error its number is free, and the next file would get it."""
    need_run()
    make_swap(tmp / "mine")
    before = (tmp / "mine").read_bytes()
    result = subprocess.run(["sh", "-c", 'exec "$@" 2>&-', "sh",
                             *command("--stats", "--swap", "mine", "echo", "hi")], cwd=tmp,
                            env=environment(), capture_output=True, text=True, check=True)
    assert result.stdout == "hi\n" and (tmp / "mine").read_bytes() == before, result


@test
def scripts_run_as_execvp_runs_them(tmp):
    need_run()
    for name, text in (("with", "#!/bin/sh\necho $0 $1\n"), ("without", "echo $0 $1\n")):
        (tmp / name).write_text(text)
        (tmp / name).chmod(0o755)
        expect(run_program(f"./{name}", "a", cwd=tmp), 0, "", f"./{name} a\n")
        result = run_program(name, "b", env={"PATH": f"/no/such:{tmp}"})
        expect(result, 0, "", f"{tmp}/{name} b\n")
    result = run_program("with", "c", cwd=tmp, env={"PATH": ""})
    expect(result, 0, "", "./with c\n")


# --- swap files -------------------------------------------------------------------------------


@test
def a_swap_file_that_is_made_is_removed(tmp):
    need_run()
    for end, status in (("exit 3", 3), ("kill -9 $$", -9), ("kill -TERM $$", -15)):
        result = run_program("--swap", "a:b:64M", "--swap", "second", "sh", "-c",
                             f"stat -c '%n %a %s' a:b; test -f second; {end}", cwd=tmp)
        expect(result, status, "", "a:b 600 67108864\n")
        assert list(tmp.iterdir()) == []
    result = run_program("--swap", "new:64M", "./none", cwd=tmp)
    assert result.returncode == 127 and list(tmp.iterdir()) == []


@test
def a_forwarded_signal_leaves_no_swap_file(tmp):
    need_run()
    for sig in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGALRM):
        with started("--swap", "new:64M", "sh", "-c", "echo ready; exec sleep 60",
                     cwd=tmp) as launcher:
            assert (tmp / "new").stat().st_blocks * 512 < 1 << 20  # sparse
            launcher.send_signal(sig)
            assert launcher.wait(PATIENCE) == -sig
        assert list(tmp.iterdir()) == []


@test
def a_swap_file_of_the_users_is_used_and_kept(tmp):
    need_run()
    with started("--swap", "mine:64M", "sh", "-c", "echo ready; exec sleep 60",
                 cwd=tmp) as launcher:
        refused(run_program("--swap", "mine", "true", cwd=tmp), 2,
                "--swap mine: is in use by another run; name another path, one for each run")
        launcher.terminate()
        launcher.wait(PATIENCE)
    make_swap(tmp / "mine")
    before = (tmp / "mine").read_bytes()
    expect(run_program("--swap", "mine", "echo", "hi", cwd=tmp), 0, "", "hi\n")
    assert (tmp / "mine").read_bytes()[:4096] == before[:4096]


@test
def a_swap_file_that_others_may_read_is_used_with_a_warning(tmp):
    need_run()
    make_swap(tmp / "mine")
    (tmp / "mine").chmod(0o644)
    expect(run_program("--swap", "mine", "echo", "hi", cwd=tmp), 0,
           "ration: --swap mine: others may read it (mode 0644), and with it the program's memory;"
           " run: chmod 0600 mine\n", "hi\n")


@test
def a_daemon_keeps_what_it_has(tmp):
    """The name goes with the launcher, not the file under those who have it open."""
    need_run()
    script = "sleep 60 >&- 2>&- & echo $!"
    result = run_program("--swap", "new:64M", "sh", "-c", script, cwd=tmp)
    assert result.returncode == 0 and list(tmp.iterdir()) == [], result
    daemon = int(result.stdout)
    assert state_of(daemon) in ("R", "S"), state_of(daemon)
    os.kill(daemon, signal.SIGKILL)


# --- signals and job control ------------------------------------------------------------------

COUNTER = """
import signal, sys, time
got = []
for name in sys.argv[1].split(","):
    signal.signal(signal.Signals[name], lambda sig, frame: got.append(signal.Signals(sig).name))
print("ready", flush=True)
deadline = time.monotonic() + 20
while len(got) < int(sys.argv[2]) and time.monotonic() < deadline:
    time.sleep(0.002)
time.sleep(0.2)
print("got:", *got)
"""


@test
def signals_sent_to_the_launcher_reach_the_program_once():
    need_run()
    names = ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH",
             "SIGALRM", "SIGPIPE", "SIGABRT", "SIGRTMIN"]
    with started(*PYTHON, COUNTER, ",".join(names), str(len(names))) as launcher:
        for name in names:
            launcher.send_signal(signal.Signals[name])
        out, err = launcher.communicate(timeout=PATIENCE)
    assert sorted(out.split()) == sorted(["got:", *names]) and err == "", (out, err)
    assert launcher.returncode == 0


@test
def an_alarm_set_before_the_launcher_is_the_programs():
    need_run()
    start = time.monotonic()
    result = run_program("sleep", "60",
                         preexec_fn=lambda: signal.setitimer(signal.ITIMER_REAL, 0.3))
    expect(result, -signal.SIGALRM, "")
    assert time.monotonic() - start < PATIENCE / 2


class Terminal:
    """A session on a terminal of its own, with a launcher in the foreground: a shell's part."""

    def __init__(self, *arguments):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                self.shell(arguments)
            finally:
                os._exit(99)
        self.output = b""

    @staticmethod
    def shell(arguments):
        """Starts the launcher as a job and says what becomes of it, as waitpid() tells it."""
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        job = os.fork()
        if job == 0:
            os.setpgid(0, 0)
            os.tcsetpgrp(0, os.getpid())
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
            os.execve(RATION, command(*arguments), environment())
        while True:
            _, status = os.waitpid(job, os.WUNTRACED)
            os.tcsetpgrp(0, os.getpgrp())
            if not os.WIFSTOPPED(status):
                break
            print(f"[stopped {os.WSTOPSIG(status)} {job}]", flush=True)
            if input() != "fg":
                break
            os.tcsetpgrp(0, job)
            os.killpg(job, signal.SIGCONT)
        print(f"[ended {os.waitstatus_to_exitcode(status)}]", flush=True)
        os._exit(0)

    def type(self, text):
        os.write(self.fd, text)

    def expect(self, pattern):
        """Waits for it in what the terminal shows; the match."""
        deadline = time.monotonic() + PATIENCE
        os.set_blocking(self.fd, False)
        while not (match := re.search(pattern, self.output)):
            assert time.monotonic() < deadline, (pattern, self.output)
            try:
                self.output += os.read(self.fd, 4096)
            except BlockingIOError:
                time.sleep(0.005)
        self.output = self.output[match.end():]
        return match

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
        os.close(self.fd)
        os.waitpid(self.pid, 0)
        kill_marked()


@test
def what_is_typed_reaches_the_program_once():
    need_run()
    with Terminal(*PYTHON, COUNTER, "SIGINT,SIGQUIT", "2") as terminal:
        terminal.expect(rb"ready\r\n")
        terminal.type(b"\x03")
        terminal.expect(rb"\^C")
        time.sleep(0.1)
        terminal.type(b"\x1c")
        terminal.expect(rb"got: SIGINT SIGQUIT\r\n")
        terminal.expect(rb"\[ended 0\]")
    with Terminal("sleep", "60") as terminal:
        wait_until(lambda: len(marked_processes()) == 2, "the program is started")
        time.sleep(0.1)
        terminal.type(b"\x03")
        terminal.expect(rb"\[ended -2\]")


@test
def a_job_is_stopped_and_continued():
    need_run()
    with Terminal(*PYTHON, "import os\nprint('ready', os.getpid(), flush=True)\n"
                           "print('read', input(), flush=True)") as terminal:
        program = int(terminal.expect(rb"ready ([0-9]+)\r\n")[1])
        for _ in range(3):
            terminal.type(b"\x1a")
            stopped = terminal.expect(rb"\[stopped ([0-9]+) ([0-9]+)\]")
            assert int(stopped[1]) == signal.SIGTSTP
            assert state_of(program) == "T" and state_of(int(stopped[2])) == "T"
            terminal.type(b"fg\n")
            wait_until(lambda: state_of(program) in ("S", "R"), "it runs again")
            wait_until(lambda: state_of(int(stopped[2])) in ("S", "R"), "the launcher, too")
        terminal.type(b"text\n")
        terminal.expect(rb"read text\r\n")
        terminal.expect(rb"\[ended 0\]")


@test
def a_program_that_stops_itself_stops_the_launcher():
    need_run()
    with started("sh", "-c", "echo ready; kill -STOP $$; exit 5") as launcher:
        wait_until(lambda: state_of(launcher.pid) == "T", "the launcher is stopped")
        assert state_of(child_of(launcher.pid)) == "T"
        launcher.send_signal(signal.SIGCONT)
        assert launcher.wait(PATIENCE) == 5


@test
def a_launcher_killed_hard_takes_the_program_with_it(tmp):
    need_run()
    with started("--swap", "new:64M", "sh", "-c", "echo ready; exec sleep 60",
                 cwd=tmp) as launcher:
        program = child_of(launcher.pid)
        launcher.kill()
        launcher.wait(PATIENCE)
        wait_until(lambda: state_of(program) in (None, "Z"), "the program is gone")
    wait_until(lambda: is_free(tmp / "new"), "and with it all who had the file")
    # what is left is a whole swap file, as the help says: the next run can use it
    expect(run_program("--swap", "new", "echo", "hi", cwd=tmp), 0, "", "hi\n")


@test
def a_hangup_of_the_sessions_leader_reaches_the_program():
    """The launcher leads the session, as with `ssh -t host ration run ...`."""
    need_run()
    read, write = os.pipe()
    pid, terminal = pty.fork()
    if pid == 0:
        os.set_inheritable(write, True)
        script = (f"trap 'echo hangup >&{write}; exit' HUP; echo ready >&{write}; "
                  "while :; do sleep 0.01; done")
        os.execve(RATION, command("sh", "-c", script), environment())
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.readline() == "ready\n"
        os.close(terminal)
        assert pipe.readline() == "hangup\n"
        assert pipe.readline() == "", "once"
    os.waitpid(pid, 0)


# --- what is told at the end ------------------------------------------------------------------


@test
def the_table_comes_on_standard_error():
    need_run()
    tier = ["compressed tier", "RAM at the end", "data in it", "compressed to", "same-filled",
            "pages put in", "pages read", "incompressible", "no room for", "written back",
            "compaction moves"]
    for option, lines in (("off", []), ("50%", tier)):
        result = run_program("--stats", "--zram", option, "echo", "hi")
        assert result.returncode == 0 and result.stdout == "hi\n", result
        names = [line[2:21].strip() for line in result.stderr.splitlines()[1:]]
        assert names == ["RAM given", "data touched", "peak RSS", "minor faults", "major faults",
                         "pages swapped out", "pages swapped in", *lines, "wall time",
                         "user CPU", "system CPU", "processes managed", "faults resolved by",
                         "because", "paths taken"], result.stderr


@test
def json_counts_all_processes_of_the_run():
    need_run()
    result = run_program("--stats=json", "--fault", "thread", "--swappiness", "0",
                         "sh", "-c", "/bin/true; /bin/true; exit 4")
    assert result.returncode == 4 and result.stderr.count("\n") == 1, result
    got = json.loads(result.stderr)
    assert got["ram_bytes"] == 64 << 20 and got["exit_status"] == 4, got
    assert got["zram_bytes"] == 32 << 20, got
    assert got["processes"] >= 3 and got["wall_ns"] > 0 and got["rss_peak_bytes"] > 0, got
    if IS_STUB:  # each process says the same
        nr = got["processes"]
        assert got["minor_faults"] == 7 * nr and got["major_faults"] == 3 * nr, got
        assert got["touched_bytes"] == 512 * 4096 and got["paths"] == ["move", "io_thread"], got
    result = run_program("--stats=json", "sh", "-c", "kill -9 $$")
    assert json.loads(result.stderr)["exit_signal"] == 9, result


@test
def a_share_of_the_machine_is_given():
    need_run()
    result = run("run", "--ram", "1%", "--stats=json", "true")
    got = json.loads(result.stderr)["ram_bytes"]
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE")
    assert 4 << 20 <= got <= total / 100 and got % 4096 == 0, got


@test
def last_words_are_printed_whole():
    if not IS_STUB:
        raise Skipped("the stub says them")
    need_run()
    result = run_program("sh", "-c", "echo last >&2", env={"STUB_WORDS": "out of memory: try more"})
    expect(result, 0, "last\nration: out of memory: try more\n")


@test
def a_program_that_ran_unmanaged_is_told():
    if not IS_STUB:
        raise Skipped("the stub can be silent")
    need_run()
    result = run_program("sh", "-c", "exit 6", env={"STUB_SILENT": "1"})
    expect(result, 6, f"ration: sh: ran unmanaged: the loader did not take {PRELOAD} into it\n")
    expect(run_program("sh", "-c", "exit 125", env={"STUB_SILENT": "1"}), 125, "")


# --- the runner -------------------------------------------------------------------------------

CAN_RUN = []
TEST_SECONDS_MAX = 60


def can_run():
    if not CAN_RUN:
        CAN_RUN.append(run_program("true"))
    return CAN_RUN[0].returncode != 125


def need_run():
    if not can_run():
        raise Skipped(CAN_RUN[0].stderr.strip())


def too_long(_signal, _frame):
    raise TimeoutError(f"more than {TEST_SECONDS_MAX} s")


def run_test(function):
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(TEST_SECONDS_MAX)
    with tempfile.TemporaryDirectory(prefix="ration-test-run-") as folder:
        tmp = pathlib.Path(folder)
        tmp.chmod(0o755)
        if function.__code__.co_argcount:
            function(tmp)
        else:
            function()
    wait_until(lambda: not marked_processes(), "no process is left")
    signal.alarm(0)


def kill_marked():
    for pid in marked_processes():
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def main():
    failed, skipped = [], 0
    cases.default_signals()
    print(f"[==========] Running {len(TESTS)} test(s).", flush=True)
    for function in TESTS:
        name = function.__name__
        print(f"[ RUN      ] {name}", flush=True)
        try:
            run_test(function)
            print(f"[       OK ] {name}", flush=True)
        except Skipped as why:
            skipped += 1
            print(f"skipped: {why}\n[  SKIPPED ] {name}", flush=True)
        except Exception:  # pylint: disable=broad-except # a test's own report
            failed.append(name)
            kill_marked()
            traceback.print_exc(file=sys.stdout)
            print(f"[  FAILED  ] {name}", flush=True)
    print(f"[==========] {len(TESTS)} test(s) run, failed: {', '.join(failed) or 'none'}.")
    if failed:
        return 1
    return 77 if skipped == len(TESTS) else 0


if __name__ == "__main__":
    sys.exit(main())
