#!/usr/bin/env python3
"""With each privilege and each --fault: the right engine, or one line that says what to change.

    test_privilege.py RATION PRELOAD MEMORY

RATION is the command, PRELOAD the runtime, MEMORY tests/run/programs/memory.c. Each case gives up
rights, and leaves the machine as it is: a filter is its process's own, a device node lies in a
mount namespace of its own.
"""

import ctypes
import json
import os
import pathlib
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

import cases  # noqa: E402

FILES = [os.path.abspath(path) for path in sys.argv[1:]]
sys.argv[1:] = []
PATIENCE = 120.0  # seconds that anything may take on a busy machine
NOBODY = 65534
DEVICE = pathlib.Path("/dev/userfaultfd")
SYSCTL = pathlib.Path("/proc/sys/vm/unprivileged_userfaultfd")
CALLS = {"seccomp": 317, "memfd_create": 319, "userfaultfd": 323, "io_uring_setup": 425}


def refuse(*names):
    """From now on these calls answer EPERM, as a container's filter has it."""
    rules = [(0x20, 0, 0, 0)]  # the call's number
    for name in names:
        rules += [(0x15, 0, 1, CALLS[name]), (0x06, 0, 0, 0x50001)]
    rules += [(0x06, 0, 0, 0x7fff0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *rule) for rule in rules))
    program = struct.pack("@HxxxxxxP", len(rules), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


class Privilege(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="ration-test-")
        self.addCleanup(folder.cleanup)
        self.tmp = pathlib.Path(folder.name)
        os.chmod(self.tmp, 0o755)  # the build tree may lie where nobody may look
        self.ration, self.preload, self.memory = (shutil.copy(path, self.tmp) for path in FILES)
        self.want = subprocess.run([self.memory, "6", "1"], capture_output=True, check=True).stdout

    # --- who runs it ----------------------------------------------------------------------

    def run_as(self, fault, before=(), refused=(), nobody=True, ram="16M"):
        options = ["--fault", fault] if fault else []
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        return subprocess.run(
            [*before, self.ration, "run", "--ram", ram, "--stats=json", *options, "--",
             self.memory, "6", "1"], env=dict(os.environ, RATION_PRELOAD=self.preload),
            capture_output=True, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL,
            preexec_fn=(lambda: refuse(*refused)) if refused else None, **(who if nobody else {}))

    def serves(self, fault, engine, reason, **how):
        got = self.run_as(fault, **how)
        self.assertEqual((got.stdout, got.returncode), (self.want, 0), got)
        stats = json.loads(got.stderr)
        self.assertEqual((stats["fault_engine"], stats["fault_reason"]), (engine, reason))

    def is_told(self, fault, *words, **how):
        """One line of Ration's, and nothing runs."""
        got = self.run_as(fault, **how)
        said = got.stderr.decode()
        self.assertEqual((got.stdout, got.returncode, said.count("\n")), (b"", 125, 1), got)
        self.assertTrue(said.startswith("ration: "), said)
        for word in words:
            self.assertIn(word, said)

    def need_root(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to give up its rights")

    def need_no_right(self):
        """Nobody must not have the right to the kernel's own faults by another way."""
        self.need_root()
        if SYSCTL.exists() and SYSCTL.read_text(encoding="ascii").strip() == "1":
            self.skipTest("vm.unprivileged_userfaultfd is 1 here")
        if DEVICE.exists() and DEVICE.stat().st_mode & stat.S_IROTH:
            self.skipTest("anybody may open /dev/userfaultfd here")

    # --- cases ----------------------------------------------------------------------------

    def test_root(self):
        self.need_root()
        self.serves(None, "signal", "the default", nobody=False)
        self.serves("auto", "signal", "the default", nobody=False)
        for engine in ("signal", "thread", "segv"):
            with self.subTest(engine=engine):
                self.serves(engine, engine, f"--fault {engine}", nobody=False)

    def test_nobody(self):
        self.need_no_right()
        self.serves("auto", "signal", "the default")
        self.serves("signal", "signal", "--fault signal")
        self.serves("segv", "segv", "--fault segv")
        self.is_told("thread", "Operation not permitted", "root", "CAP_SYS_PTRACE",
                     "sysctl vm.unprivileged_userfaultfd=1", "access to /dev/userfaultfd",
                     "or leave out --fault")

    def test_root_of_a_user_namespace_is_nobody(self):
        self.need_no_right()
        before = ("unshare", "--user", "--map-root-user")
        if subprocess.run([*before, "true"], user=NOBODY, group=NOBODY, extra_groups=[],
                          capture_output=True, check=False).returncode:
            self.skipTest("needs user namespaces for everybody")
        self.serves("auto", "signal", "the default", before=before)
        self.is_told("thread", "or leave out --fault", before=before)

    def test_what_another_user_executes_is_not_managed(self):
        self.need_root()
        script = f"{self.memory} 6 1 && {self.memory} 6 1"
        got = subprocess.run(
            [self.ration, "run", "--ram", "16M", "--", "setpriv", "--reuid", str(NOBODY), "--regid",
             str(NOBODY), "--clear-groups", "sh", "-c", script], capture_output=True, check=False,
            env=dict(os.environ, RATION_PRELOAD=self.preload), timeout=PATIENCE)
        said = got.stderr.decode()
        self.assertEqual((got.stdout, got.returncode), (2 * self.want, 0), got)
        self.assertEqual(said.count("\n"), 1, said)
        self.assertIn("runs unmanaged", said)

    def test_a_device_that_anybody_may_open(self):
        self.need_root()
        if not DEVICE.exists():
            self.skipTest("needs /dev/userfaultfd")
        number = DEVICE.stat().st_rdev
        node = f"{self.tmp}/dev/userfaultfd"
        script = (f"mkdir -p {self.tmp}/dev && mount -t tmpfs -o dev none {self.tmp}/dev && "
                  f"mknod -m 666 {node} c {os.major(number)} {os.minor(number)} && "
                  f"mount --bind {node} {DEVICE} && "
                  f"exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups \"$@\"")
        before = ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh")
        if subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
            self.skipTest("needs a mount namespace")
        for fault, engine, reason in ((None, "signal", "the default"),
                                      ("thread", "thread", "--fault thread"),
                                      ("signal", "signal", "--fault signal"),
                                      ("segv", "segv", "--fault segv")):
            with self.subTest(fault=fault):
                self.serves(fault, engine, reason, before=before, nobody=False)

    def test_a_filter_without_userfaultfd_and_io_uring(self):
        self.need_no_right()
        how = {"refused": ("userfaultfd", "io_uring_setup")}
        self.serves("auto", "segv", "no userfaultfd", **how)
        self.serves("segv", "segv", "--fault segv", **how)
        self.is_told("signal", "userfaultfd is refused", "(seccomp)", "leave out --fault", **how)
        self.is_told("thread", "Operation not permitted", "or leave out --fault", **how)

    def test_a_filter_is_passed_by_root_through_the_device(self):
        self.need_root()
        if not DEVICE.exists():
            self.skipTest("needs /dev/userfaultfd")
        how = {"refused": ("userfaultfd", "io_uring_setup"), "nobody": False}
        self.serves("auto", "signal", "the default", **how)
        self.serves("thread", "thread", "--fault thread", **how)

    def test_a_filter_without_filters(self):
        self.need_no_right()
        how = {"refused": ("seccomp",)}
        self.is_told("auto", "no way", "seccomp filters Operation not permitted", "root", **how)
        self.is_told("signal", "seccomp filters cannot be had", "--fault thread", **how)
        self.is_told("segv", "seccomp filters cannot be had", **how)
        self.serves("auto", "thread", "no seccomp filter", nobody=False, **how)
        self.serves("signal", "thread", "no seccomp filter", nobody=False, **how)

    def test_a_filter_without_memory_files(self):
        """What the processes of a run share is one, too."""
        self.need_no_right()
        for fault in ("auto", "signal", "segv"):
            with self.subTest(fault=fault):
                self.is_told(fault, "memfd_create", "seccomp", refused=("memfd_create",))
        self.is_told("auto", "no way", "userfaultfd Operation not permitted", "memfd_create",
                     refused=("memfd_create", "userfaultfd"))


if __name__ == "__main__":
    cases.main()
