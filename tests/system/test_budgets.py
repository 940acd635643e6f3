#!/usr/bin/env python3
"""The demo's job in a half, a quarter and an eighth of the RAM that its data needs.

Its output has to be the same byte for byte, and its peak RSS within the budget plus what a Python
without data has, plus 5%. Takes the path of ration from the environment: RATION.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

TESTS = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(TESTS / "support"))
import cases

RATION = os.environ.get("RATION", str(TESTS.parent / "build" / "src" / "cli" / "ration"))
JOB = TESTS.parent / "demo" / "job.py"
DATA_MIB = 64
MIB = 1 << 20


def job_output():
    return subprocess.run([sys.executable, JOB, str(DATA_MIB)], stdout=subprocess.PIPE,
                          check=True).stdout


def bare_rss():
    """Peak RSS, in bytes, of a Python that does nothing."""
    text = subprocess.run([sys.executable, "-c", "print(open('/proc/self/status').read())"],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    line = next(line for line in text.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def why_not():
    """Why programs cannot be managed on this machine; an empty string if they can."""
    done = subprocess.run([RATION, "run", "--ram", "16M", "true"], stderr=subprocess.PIPE,
                          text=True, check=False)
    return done.stderr.strip() if done.returncode == 125 and "userfaultfd" in done.stderr else ""


class Budgets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.why_not = why_not()
        if not cls.why_not:
            cls.output = job_output()
            cls.bare_rss = bare_rss()

    def run_job(self, ram_mib, without=""):
        """The job within a budget gives its output, stays in its RAM and really swaps."""
        if self.why_not:
            self.skipTest(self.why_not)
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [RATION, "run", "--ram", f"{ram_mib}M", "--swap", f"{folder}/swap:1G",
                 "--stats=json", "--", sys.executable, JOB, str(DATA_MIB)],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                env={**os.environ, "RATION_TEST": without})
            self.assertEqual(os.listdir(folder), [])
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertEqual(done.stdout, self.output)
        stats = json.loads(done.stderr.splitlines()[-1])
        self.assertLessEqual(stats["rss_peak_bytes"], 1.05 * (ram_mib * MIB + self.bare_rss))
        self.assertGreaterEqual(stats["touched_bytes"], DATA_MIB * MIB * 0.9)
        self.assertGreaterEqual(stats["pages_out"] * 4096, (DATA_MIB - ram_mib) * MIB * 0.9)
        self.assertGreater(stats["major_faults"], 0)
        return stats

    def test_half(self):
        self.run_job(DATA_MIB // 2)

    def test_quarter(self):
        self.run_job(DATA_MIB // 4)

    def test_eighth(self):
        self.run_job(DATA_MIB // 8)

    def test_quarter_on_a_kernel_before_6_8(self):
        stats = self.run_job(DATA_MIB // 4, without="no-move")
        self.assertIn("copy", stats["paths"])
        self.assertNotIn("move", stats["paths"])

    def test_quarter_without_io_uring(self):
        stats = self.run_job(DATA_MIB // 4, without="no-uring")
        self.assertIn("io_thread", stats["paths"])
        self.assertNotIn("io_uring", stats["paths"])


if __name__ == "__main__":
    cases.main()
