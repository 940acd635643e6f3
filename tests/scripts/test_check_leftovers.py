#!/usr/bin/env python3
"""scripts/check-leftovers: a file and a process that stay are found, those that go are not."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import cases

SCRIPT = pathlib.Path(__file__).parent.parent.parent / "scripts" / "check-leftovers"


class CheckLeftovers(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.file = f"{self.folder.name}/there"
        self.tmpdir = f"{self.folder.name}/tmp"
        os.mkdir(self.tmpdir)
        subprocess.run([SCRIPT, "before", self.file, self.tmpdir], check=True)

    def left(self):
        """What of ours is left; the machine's other users may leave things, too."""
        done = subprocess.run([SCRIPT, "after", self.file, self.tmpdir, "1"],
                              stdout=subprocess.PIPE, text=True, check=False)
        lines = [line for line in done.stdout.splitlines()
                 if self.tmpdir in line or "process" in line]
        if lines:
            self.assertEqual(done.returncode, 1)
        return lines

    def sleep(self, seconds):
        child = subprocess.Popen(["sleep", str(seconds)],
                                 env={**os.environ, "RATION_CHECK": self.file})
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        return child

    def test_nothing(self):
        self.assertEqual(self.left(), [])

    def test_a_file_that_stays(self):
        pathlib.Path(self.tmpdir, "swap").touch()
        self.assertEqual(self.left(), [f"left behind: file: {self.tmpdir}/swap"])

    def test_a_process_that_stays(self):
        child = self.sleep(60)
        self.assertEqual(self.left(), [f"left behind: process: {child.pid} sleep 60 "])

    def test_a_process_that_is_about_to_go(self):
        self.sleep(0.3)
        self.assertEqual(self.left(), [])


if __name__ == "__main__":
    cases.main()
