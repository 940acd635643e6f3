#!/usr/bin/env python3
"""Links and file names in the documentation lead somewhere.

A relative link must name a file, and a heading of it after #. A name in backticks that looks like a
path of this tree (a folder of it first, or a source file last) must be one; the suffix may be left
out, and src/ with it.
"""

import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import cases

ROOT = pathlib.Path(__file__).parent.parent.parent
PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")] + sorted(
    (ROOT / "docs").rglob("*.md")) + sorted((ROOT / "tests").rglob("*.md"))
FOLDERS = [ROOT, ROOT / "src", ROOT / "include"]
TOPS = {path.name for folder in (ROOT, ROOT / "src") for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith((".", "build"))}
SUFFIXES = ("", ".c", ".h", ".py")
SOURCE = re.compile(r"[\w.-]+\.(?:c|h|py|pml|build)$")
OF_LINUX = {"mm/slub.c"}  # named beside ours


def prose(page):
    """Its lines with their numbers, without blocks of code."""
    in_code = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code:
            yield number, line


def anchors(page):
    """As GitHub makes them of headings."""
    headings = [line.lstrip("#").strip().lower() for _, line in prose(page) if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


def dead_link(page, target):
    path, _, anchor = target.partition("#")
    if re.match(r"[a-z]+:", path):
        return False
    to = page.parent / path if path else page
    return not to.exists() or bool(anchor and to.suffix == ".md" and anchor not in anchors(to))


def exists(name):
    if "/" not in name:
        return any((ROOT / top).is_dir() and any((ROOT / top).rglob(name))
                   for top in ("src", "include", "tests", "bench", "docs", "scripts"))
    return any((folder / (name + suffix)).exists() for folder in FOLDERS for suffix in SUFFIXES)


def dead_name(name):
    name = name.rstrip("/")
    looks_ours = name.partition("/")[0] in TOPS if "/" in name else SOURCE.fullmatch(name)
    return bool(looks_ours) and name not in OF_LINUX and not exists(name)


class Docs(unittest.TestCase):
    def test_links_lead_somewhere(self):
        for page in PAGES:
            for number, line in prose(page):
                for target in re.findall(r"\]\(([^)\s]+)\)", line):
                    self.assertFalse(dead_link(page, target),
                                     f"{page.relative_to(ROOT)}:{number}: {target}")

    def test_file_names_are_of_files(self):
        for page in PAGES:
            for number, line in prose(page):
                for name in re.findall(r"`([\w.-]+(?:/[\w.-]+)*/?)`", line):
                    self.assertFalse(dead_name(name),
                                     f"{page.relative_to(ROOT)}:{number}: no file {name}")

    def test_a_page_of_docs_is_linked_from_somewhere(self):
        linked = {(page.parent / target.partition("#")[0]).resolve() for page in PAGES
                  for _, line in prose(page) for target in re.findall(r"\]\(([^)\s]+)\)", line)}
        for page in (ROOT / "docs").glob("*.md"):
            self.assertIn(page.resolve(), linked, f"nothing links to docs/{page.name}")


if __name__ == "__main__":
    cases.main()
