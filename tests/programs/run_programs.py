#!/usr/bin/env python3
"""Real programs under `ration run`: same output, same status, nothing added.

    run_programs.py RATION [--small] [--only NAME]... [--parts 2,4] [--fault ENGINE]...
                    [--user NAME] [--json FILE]

Each program of programs.py runs without Ration, which says how much memory it takes at its
peak, and then with 1/2 and 1/4 of that (never below its ram_min). Standard output, standard
error and exit status have to be the same. With --fault: under that engine, each of them if
there are more, but for those that cannot be had here; otherwise under the one that ration chooses.
With --small: the small round, at 1/2 only.

A line each: the memory it takes, its budget, the engine, seconds without and with Ration, their ratio,
what had to be read from swap, and the verdict.

Exit status 1 if anything differs, 77 if nothing could be run.
"""

import argparse
import atexit
import ctypes
import dataclasses
import itertools
import json
import os
import pathlib
import pwd
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from programs import PROGRAMS

HERE = pathlib.Path(__file__).resolve().parent
MIB = 1 << 20
TIME_MIN = 180  # seconds that a program may take, at least
TIME_FACTOR = 20  # as many times as it takes without Ration
SCAN_STEAL_MAX = 4.0  # more pages looked at for each that left is worth a remark


@dataclasses.dataclass
class Outcome:
    stdout: bytes
    stderr: bytes
    status: object  # the exit status, or why there is none
    seconds: float
    peak: int  # bytes
    stats: dict


def stop_group(process):
    """Ends what the case has started: its group is its own, made by start_new_session."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
        time.sleep(2)
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def take_stats(stderr):
    """--stats=json is the last line of standard error: the rest, and what it says."""
    at = stderr.rfind(b'{"ram_bytes"')
    if at < 0:
        return stderr, {}
    try:
        return stderr[:at], json.loads(stderr[at:])
    except ValueError:
        return stderr, {}


def wait_until(process, limit):
    """Return: the exit status, or why there is none."""
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        return f"not done after {limit:.0f} s"
    finally:
        if process.returncode is None:  # also where we are told to end
            stop_group(process)
            process.wait()


def run(command, folder, env, limit):
    """With time(1) around it: what wait4() tells of a child begins with our own peak."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, \
            tempfile.NamedTemporaryFile() as said:
        started = time.monotonic()
        process = subprocess.Popen(["/usr/bin/time", "-q", "-f", "%M", "-o", said.name, *command],
                                   cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=err, start_new_session=True)
        status = wait_until(process, limit)
        seconds = time.monotonic() - started
        out.seek(0)
        err.seek(0)
        stderr, stats = take_stats(err.read())
        peak = int(said.read() or 0) * 1024
        return Outcome(out.read(), stderr, status, seconds, peak, stats)


def scrubbed(program, text):
    return re.sub(program.scrub.encode(), b"", text) if program.scrub else text


def differences(program, plain, managed):
    """What is not as without Ration, a line each."""
    lines = []
    if managed.status != plain.status:
        lines.append(f"status {managed.status}, without Ration {plain.status}")
    for name in ("stdout", "stderr"):
        a, b = (scrubbed(program, getattr(o, name)) for o in (plain, managed))
        if a != b:
            lines.append(f"{name} differs ({len(a)} bytes without Ration, {len(b)} with): "
                         f"{b[-300:]!r}")
    return lines


def remarks(stats):
    vmstat = stats.get("vmstat", {})
    scans = sum(vmstat.get("pgscan_" + who, 0) for who in ("kswapd", "direct"))
    steals = sum(vmstat.get("pgsteal_" + who, 0) for who in ("kswapd", "direct"))
    if scans > 10000 and scans > SCAN_STEAL_MAX * steals:
        return f"scanned {scans}, stolen {steals}"
    return ""


def why_not(program):
    for need in program.needs:
        if not shutil.which(need):
            return f"no {need} here"
    if program.probe and subprocess.run(program.probe, shell=True, capture_output=True).returncode:
        return "cannot run here: " + program.probe
    return ""


class Case:
    """One program, in a folder of its own."""

    def __init__(self, program, ration, folder):
        self.program = program
        self.ration = ration
        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir()
        self.command = [self.fill(word) for word in program.command]
        self.env = dict(os.environ, LC_ALL="C", TMPDIR=str(folder), HOME=str(folder),
                        GIT_CONFIG_NOSYSTEM="1", PYTHONHASHSEED="0")
        self.env.pop("MAKEFLAGS", None)

    def fill(self, text):
        return text.replace("{dir}", str(self.work)).replace("{cases}", str(HERE / "cases"))

    def prepare(self):
        if self.program.prepare:
            subprocess.run(["bash", "-c", self.fill(self.program.prepare)], cwd=self.work,
                           env=self.env, check=True)

    def fresh(self):
        """The prepared folder again, as it was: some programs change what they work on."""
        copy = self.folder / "prepared"
        if not copy.exists():
            shutil.copytree(self.work, copy, symlinks=True)
            return
        shutil.rmtree(self.work)
        shutil.copytree(copy, self.work, symlinks=True)

    def plain(self):
        self.fresh()
        return run(self.command, self.work, self.env, 5 * TIME_MIN)

    def managed(self, ram, engine, plain):
        self.fresh()
        limit = max(TIME_MIN, TIME_FACTOR * plain.seconds)
        swap = f"{self.folder}/swap:4G"
        command = [self.ration, "run", "--ram", str(ram), "--swap", swap, "--stats=json",
                   *(["--fault", engine] if engine else []), "--", *self.command]
        return run(command, self.work, self.env, limit)


def budget_of(program, plain, part):
    return max(plain.peak // part, program.ram_min * MIB) & -4096


def report(rows, name, plain, ram, outcome, wrong):
    result = "ok" if not wrong else "FAILED"
    row = {"program": name, "peak": plain.peak, "ram": ram, "plain_s": round(plain.seconds, 2),
           "s": round(outcome.seconds, 2), "result": result, "wrong": wrong,
           "remark": remarks(outcome.stats),
           "engine": outcome.stats.get("fault_engine"),
           "major": outcome.stats.get("major_faults"), "vmstat": outcome.stats.get("vmstat")}
    rows.append(row)
    ratio = outcome.seconds / max(plain.seconds, 0.01)
    print(f"{name:24} {plain.peak / MIB:7.1f} {ram / MIB:7.1f}  {row['engine'] or '':6} "
          f"{plain.seconds:7.1f} {outcome.seconds:7.1f} {ratio:6.1f} {row['major'] or 0:9}  "
          f"{result} {row['remark']}".rstrip(), flush=True)
    for line in wrong:
        print("    " + line, flush=True)


def run_program(program, options, rows):
    reason = why_not(program)
    if reason:
        print(f"{program.name:24} skipped: {reason}", flush=True)
        return
    with tempfile.TemporaryDirectory(prefix="ration-program-") as folder:
        case = Case(program, options.ration, pathlib.Path(folder))
        case.prepare()
        plain = case.plain()
        if plain.status != program.status:
            report(rows, program.name, plain, 0, plain,
                   [f"without Ration: status {plain.status}, {plain.stderr[-300:]!r}"])
            return
        budgets = sorted({budget_of(program, plain, p) for p in options.parts}, reverse=True)
        for ram, engine in itertools.product(budgets, options.fault):
            outcome = case.managed(ram, engine, plain)
            report(rows, program.name, plain, ram, outcome,
                   differences(program, plain, outcome))


def chosen(options):
    if options.only:
        return [p for p in PROGRAMS if p.name in options.only]
    return [p for p in PROGRAMS if p.small or not options.small]


def without_huge_pages():
    """For us and what we start: where the machine gives them freely, they are in the peak."""
    pr_set_thp_disable = 41
    ctypes.CDLL(None).prctl(pr_set_thp_disable, 1, 0, 0, 0)


def become(user, options):
    """For good, and on copies of what that user may not be allowed to look at: the tree's."""
    global HERE
    entry = pwd.getpwnam(user)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ration-program-"))
    given = os.environ.get("RATION_PRELOAD")
    preload = given or pathlib.Path(options.ration).parent / "../run/libration-preload.so"
    os.environ["RATION_PRELOAD"] = shutil.copy(preload, folder)
    options.ration = shutil.copy(options.ration, folder)
    for part in ("tests/programs", "demo"):
        shutil.copytree(HERE.parents[1] / part, folder / part)
    HERE = folder / "tests/programs"
    for path in (folder, *folder.rglob("*")):
        os.chown(path, entry.pw_uid, entry.pw_gid)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("ration")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--only", action="append")
    parser.add_argument("--parts", default="")
    parser.add_argument("--fault", action="append")
    parser.add_argument("--user")
    parser.add_argument("--json", type=argparse.FileType("w", encoding="utf-8"))
    options = parser.parse_args()
    options.ration = os.path.abspath(options.ration)
    options.parts = [int(p) for p in (options.parts or ("2" if options.small else "2,4")).split(",")]
    return options


def can_run(ration, engine):
    """The engine, or for "" the one that is chosen."""
    with tempfile.TemporaryDirectory(prefix="ration-program-") as folder:
        probe = subprocess.run([ration, "run", "--ram", "16M",
                                *(["--fault", engine] if engine else []), "--", "true"],
                               cwd=folder, capture_output=True)
    if probe.returncode == 125 and b"userfaultfd" in probe.stderr:
        print(probe.stderr.decode(errors="replace").strip())
        return False
    return True


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    without_huge_pages()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not os.access("/usr/bin/time", os.X_OK):
        print("needs /usr/bin/time")
        return 77
    if options.user:
        become(options.user, options)
    options.fault = [e for e in options.fault or [""] if can_run(options.ration, e)]
    if not options.fault:
        return 77
    print(f"{'program':24} {'MiB':>7} {'budget':>7}  {'engine':6} {'plain s':>7} {'s':>7} "
          f"{'ratio':>6} {'major':>9}")
    started = time.monotonic()
    rows = []
    for program in chosen(options):
        run_program(program, options, rows)
    if options.json:
        json.dump(rows, options.json, indent=1)
    failed = sum(row["result"] != "ok" for row in rows)
    under = sum(row["s"] for row in rows)
    print(f"{len(rows) - failed} of {len(rows)} as without Ration, {under:.0f} s under it, "
          f"{time.monotonic() - started:.0f} s in all")
    return 1 if failed else (0 if rows else 77)


if __name__ == "__main__":
    sys.exit(main())
