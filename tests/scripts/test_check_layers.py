#!/usr/bin/env python3
"""scripts/check-layers on small trees, each with one fault."""

import importlib.machinery
import importlib.util
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import cases

SCRIPT = pathlib.Path(__file__).parent.parent.parent / "scripts" / "check-layers"
BODY = "int f(void)\n{\n%s\treturn 0;\n}\n"

sys.dont_write_bytecode = True
LOADER = importlib.machinery.SourceFileLoader("check_layers", str(SCRIPT))
check_layers = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_layers", LOADER))
LOADER.exec_module(check_layers)


def findings(path, text):
    """What it finds in a tree of that one file."""
    with tempfile.TemporaryDirectory() as root:
        file = pathlib.Path(root, path)
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding="utf-8")
        return list(check_layers.findings(pathlib.Path(root)))


class CheckLayers(unittest.TestCase):
    def accepts(self, path, text):
        self.assertEqual(findings(path, text), [])

    def rejects(self, path, text, line, what):
        found = findings(path, text)
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(f"{path}:{line}: "), found)
        self.assertIn(what, found[0])

    def test_exit_status(self):
        with tempfile.TemporaryDirectory() as root:
            self.assertEqual(self.run_script(root), ("", 0))
            bad = pathlib.Path(root, "src", "mm", "page.c")
            bad.parent.mkdir(parents=True)
            bad.write_text("#include <stdlib.h>\n", encoding="utf-8")
            output, status = self.run_script(root)
        self.assertIn("src/mm/page.c:1: ", output)
        self.assertEqual(status, 1)

    def run_script(self, root):
        done = subprocess.run([SCRIPT, root], stdout=subprocess.PIPE, text=True, check=False)
        return done.stdout, done.returncode

    def test_includes_that_point_down(self):
        for path, header in [
            ("src/base/lock.c", "base/lock.h"),
            ("src/mm/fault.c", "base/list.h"),
            ("src/mm/fault.c", "ration/mm.h"),
            ("src/policy/two_lists.c", "mm/policy.h"),
            ("src/machine/soft.c", "mm/machine.h"),
            ("src/swapdev/file.c", "mm/swapdev.h"),
            ("src/malloc/malloc.c", "base/lock.h"),
            ("src/run/runtime.c", "mm/system.h"),
            ("src/cli/main.c", "run/launch.h"),
            ("include/ration/mm.h", "ration/types.h"),
            ("tests/mm/test_fault.c", "mm/system.h"),
        ]:
            with self.subTest(path=path, header=header):
                self.accepts(path, f'#include "{header}"\n')

    def test_includes_that_point_up_or_aside(self):
        for path, header in [
            ("src/base/lock.c", "mm/page.h"),
            ("src/base/lock.c", "ration/mm.h"),
            ("src/mm/fault.c", "machine/soft.h"),
            ("src/mm/fault.c", "policy/two_lists.h"),
            ("src/policy/two_lists.c", "mm/system.h"),
            ("src/machine/soft.c", "mm/system.h"),
            ("src/swapdev/file.c", "mm/swap.h"),
            ("src/swapdev/file.c", "machine/host.h"),
            ("src/malloc/malloc.c", "mm/slab.h"),
            ("src/malloc/malloc.c", "ration/mm.h"),
            ("src/run/runtime.c", "cli/size.h"),
            ("src/cli/main.c", "mm/system.h"),
            ("src/mm/fault.c", "page.h"),
            ("include/ration/mm.h", "base/list.h"),
        ]:
            with self.subTest(path=path, header=header):
                self.rejects(path, f'\n#include "{header}"\n', 2, f'"{header}"')

    def test_a_folder_that_is_no_layer(self):
        self.rejects("src/utils/misc.c", "", 1, "no layer")

    def test_an_include_in_a_comment_is_none(self):
        self.accepts("src/base/lock.c", '/*\n#include "mm/page.h"\n*/\n// #include "mm/page.h"\n')

    def test_freestanding_headers(self):
        self.accepts("src/mm/fault.c", "#include <errno.h>\n#include <string.h>\n")
        self.accepts("src/machine/host.c", "#include <sys/mman.h>\n")
        self.rejects("src/mm/fault.c", "#include <stdlib.h>\n", 1, "<stdlib.h>")
        self.rejects("src/policy/clock.c", "#include <linux/futex.h>\n", 1, "<linux/futex.h>")
        self.rejects("src/mm/fault.c", '#include "base/log.h"\n', 1, "base/log.h")

    def test_freestanding_calls(self):
        for call in ["malloc(8)", "free (p)", "pread(fd, p, 1, 0)", "clock_gettime(0, &t)",
                     "pthread_mutex_lock(&m)", "printf(s)", "sys_call3(1, 2, 3, 4)"]:
            with self.subTest(call=call):
                text = BODY % f"\t{call};\n"
                self.rejects("src/mm/fault.c", text, 3, "()")
                self.accepts("src/swapdev/file.c", text)
        for line in ["page_free(p);", "dev->ops->read(dev);", "ops.free(p);", "memcpy(p, q, 8);",
                     "/* malloc(8) */", 's = "malloc(8)";']:
            with self.subTest(line=line):
                self.accepts("src/mm/fault.c", BODY % f"\t{line}\n")

    def test_conditions(self):
        self.rejects("src/run/gate.c", "#ifdef X\n#endif\n", 1, "#ifdef")
        self.rejects("src/mm/fault.c", "#if 0\n#endif\n", 1, "#if")
        self.rejects("src/malloc/malloc.c", "#ifndef X\n#define X 1\n#endif\n", 1, "#ifndef")
        self.accepts("src/machine/host.c", "#ifdef UFFDIO_MOVE\n#endif\n")
        self.accepts("src/base/lock.c", "#ifdef RATION_DEBUG\n#endif\n")
        self.accepts("tests/run/test_gate.c", "#ifdef X\n#endif\n")

    def test_a_guard_is_no_condition_but_a_second_one_is(self):
        guard = "/* what it is */\n#ifndef A_H\n#define A_H\n%s#endif\n"
        self.accepts("src/mm/a.h", guard % "")
        self.rejects("src/mm/a.h", guard % "#ifndef B\n#define B 1\n#endif\n", 4, "#ifndef")

    def test_the_walls_of_length(self):
        self.accepts("src/mm/a.c", BODY % ("\tg();\n" * 69))
        self.rejects("src/mm/a.c", BODY % ("\tg();\n" * 70), 1, "71 lines")
        self.rejects("tests/mm/a.c", BODY % ("\tg();\n" * 70), 1, "71 lines")
        self.accepts("src/mm/a.c", "int x;\n" * 800)
        self.rejects("src/mm/a.c", "int x;\n" * 801, 801, "801 lines")


if __name__ == "__main__":
    cases.main()
