#!/usr/bin/env python3
"""scripts/test-summary: what counts as passed, failed and skipped."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import cases

SCRIPT = pathlib.Path(__file__).parent.parent.parent / "scripts" / "test-summary"

CMOCKA = """[==========] Running 4 test(s).
[ RUN      ] one
[       OK ] one
[ RUN      ] two
skipped: needs userfaultfd
[  SKIPPED ] two
[ RUN      ] three
[       OK ] three
%s[==========] 4 test(s) run.
"""
PASS = CMOCKA % ""
FAIL = CMOCKA % "[ RUN      ] four\n[  FAILED  ] four\n"


class TestSummary(unittest.TestCase):
    def summary(self, steps, tests):
        """The last line and the exit status, for steps and (result, stdout) of test programs."""
        with tempfile.TemporaryDirectory() as folder:
            steps_file, log = pathlib.Path(folder, "steps"), pathlib.Path(folder, "testlog.json")
            steps_file.write_text("".join(f"{step}\n" for step in steps), encoding="utf-8")
            log.write_text("".join(
                json.dumps({"name": "t", "result": result, "stdout": stdout}) + "\n"
                for result, stdout in tests), encoding="utf-8")
            done = subprocess.run([SCRIPT, steps_file, f"plain={log}", f"asan={folder}/none"],
                                  stdout=subprocess.PIPE, text=True, check=False)
        return done.stdout.splitlines()[-1], done.returncode

    def test_counts(self):
        for steps, tests, passed, failed, skipped in [
            (["OK format"], [], 1, 0, 0),
            (["OK format", "FAIL build asan"], [], 1, 1, 0),
            (["OK format"], [("OK", PASS)], 3, 0, 1),
            (["OK format"], [("OK", "a program that is not cmocka's")], 2, 0, 0),
            (["OK format"], [("OK", PASS), ("OK", PASS)], 5, 0, 2),
            ([], [("OK", ""), ("SKIP", "")], 1, 0, 1),
            ([], [("OK", ""), ("SKIP", CMOCKA.replace("      OK", " SKIPPED") % "")], 1, 0, 3),
            ([], [("FAIL", FAIL)], 2, 1, 1),
            ([], [("FAIL", "")], 0, 1, 0),
            ([], [("OK", ""), ("ERROR", "")], 1, 1, 0),
            ([], [("OK", ""), ("TIMEOUT", PASS)], 3, 1, 1),
            ([], [("OK", ""), ("UNEXPECTEDPASS", "")], 1, 1, 0),
            ([], [("EXPECTEDFAIL", "")], 1, 0, 0),
        ]:
            with self.subTest(steps=steps, tests=tests):
                self.assertEqual(
                    self.summary(steps, tests),
                    (f"{passed} passed, {failed} failed, {skipped} skipped", 1 if failed else 0))

    def test_nothing_at_all_is_no_success(self):
        self.assertEqual(self.summary([], []), ("0 passed, 0 failed, 0 skipped", 1))


if __name__ == "__main__":
    cases.main()
