#!/usr/bin/env python3
"""The manual pages against the program: a page a command, each option in both, no warning.

    test_man.py RATION

What ration --help and ration COMMAND --help list is what docs/man has: an option that one of them
does not name fails here. Prints cmocka's lines; exit status 0 or 1.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import cases

RATION = sys.argv.pop(1)
MAN = pathlib.Path(__file__).parent.parent.parent / "docs" / "man"


def help_text(*command):
    return subprocess.run([RATION, *command, "--help"], capture_output=True, text=True, timeout=60,
                          check=True).stdout


def commands():
    """Of the list that ration --help prints under "Commands:"."""
    listed = help_text().partition("Commands:\n")[2].partition("\n\n")[0]
    return re.findall(r"^  (\S+)", listed, re.MULTILINE)


def options_of_help(text):
    """Each line that begins with spaces and an option describes it."""
    return set(re.findall(r"^ +(--[a-z][a-z-]*)", text, re.MULTILINE))


def options_of_page(text):
    """The tags of the section OPTIONS: the line after each .TP."""
    section = text.partition("\n.SH OPTIONS\n")[2].partition("\n.SH ")[0]
    tags = re.findall(r"^\.TP\n(.*)$", section, re.MULTILINE)
    return {name for tag in tags for name in re.findall(r"--[a-z][a-z-]*", tag.replace("\\-", "-"))}


def page(command):
    return MAN / ("ration.1" if command is None else f"ration-{command}.1")


class Man(unittest.TestCase):
    def test_a_page_for_each_command(self):
        wanted = {page(command).name for command in [None, *commands()]}
        self.assertEqual({path.name for path in MAN.glob("*.1")}, wanted)

    def test_every_page_is_installed(self):
        build = (MAN / "meson.build").read_text(encoding="utf-8")
        self.assertEqual(set(re.findall(r"'([\w-]+\.1)'", build)),
                         {path.name for path in MAN.glob("*.1")})

    def test_options_are_those_of_help(self):
        for command in [None, *commands()]:
            with self.subTest(command=command):
                shown = options_of_help(help_text(*([command] if command else [])))
                text = page(command).read_text(encoding="utf-8")
                self.assertTrue(shown)
                self.assertEqual(options_of_page(text), shown)

    def test_the_main_page_names_each_command(self):
        text = page(None).read_text(encoding="utf-8").replace("\\-", "-")
        for command in commands():
            self.assertIn(f"ration-{command}", text)

    def test_pages_refer_to_pages_that_are_there(self):
        for path in MAN.glob("*.1"):
            text = path.read_text(encoding="utf-8").replace("\\-", "-")
            for name in re.findall(r"^\.BR (ration[a-z-]*) \(1\)", text, re.MULTILINE):
                self.assertTrue((MAN / f"{name}.1").exists(), f"{path.name} refers to {name}(1)")

    @unittest.skipUnless(shutil.which("groff"), "no groff here")
    def test_groff_has_no_warning(self):
        for path in sorted(MAN.glob("*.1")):
            done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", path], capture_output=True,
                                  text=True, timeout=60, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""), path.name)


if __name__ == "__main__":
    cases.main()
