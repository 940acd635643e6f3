#!/usr/bin/env python3
"""What `make install` puts in place works from there: RATION_BUILD is the build that is installed."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import cases

BUILD = os.environ["RATION_BUILD"]
PLACES = [r"bin/ration", r"lib.*/ration/libration-preload\.so", r"share/man/man1/ration\.1",
          r"share/man/man1/ration-run\.1"]


class Install(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet",
                        "--destdir", self.folder.name], check=True, stdout=subprocess.DEVNULL)
        (self.prefix,) = (path.parent.parent for path in
                          pathlib.Path(self.folder.name).rglob("bin/ration"))

    def test_everything_lies_where_it_should(self):
        found = sorted(str(path.relative_to(self.prefix))
                       for path in self.prefix.rglob("*") if path.is_file())
        for place in PLACES:
            self.assertEqual(sum(bool(re.fullmatch(place, path)) for path in found), 1, place)
        for path in found:
            self.assertRegex(path, r"^(bin/ration$|lib.*/ration/|share/(man|doc/ration)/)")

    def test_the_launcher_finds_its_library(self):
        done = subprocess.run([self.prefix / "bin" / "ration", "run", "--ram", "16M", "echo", "ran"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode == 125 and "userfaultfd" in done.stderr:
            self.skipTest(done.stderr.strip())
        self.assertEqual((done.stdout, done.stderr, done.returncode), ("ran\n", "", 0))


if __name__ == "__main__":
    cases.main()
