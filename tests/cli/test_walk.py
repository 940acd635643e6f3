#!/usr/bin/env python3
"""`ration walk` against golden texts, and bad input.

    test_walk.py RATION [--update]

Frame numbers and counts of frames depend on how large the manager's structures are in a build,
so the golden texts have F and N in their place; that they fit together is checked apart.
Prints cmocka's lines; exit status 0 or 1.
"""

import pathlib
import re
import subprocess
import sys

RATION = sys.argv[1]
IS_UPDATE = "--update" in sys.argv[2:]
GOLDEN = pathlib.Path(__file__).parent / "walk"

CASES = {
    "swapped": ["0x200000030abc"],
    "resident": ["0x200000000010"],
    "untouched": ["--tlb", "zen2", "0x200000005000"],
    "read-only": ["--access", "write", "0x200000010000"],
    "code": ["--access=exec", "--tlb=cortex-a76", "0x200000020004"],
    "no-exec": ["--access", "exec", "0x200000000000"],
    "unmapped": ["4096"],
    "not-canonical": ["0xffff000000000000"],
}
TRY = "try ration walk 0x200000030abc"
BAD = [
    ([], f"ADDRESS is missing; {TRY}"),
    (["x12"], f"x12: not an address of 64 bits; {TRY}"),
    (["0x1ffffffffffffffff"], f"0x1ffffffffffffffff: not an address of 64 bits; {TRY}"),
    (["0x12z"], f"0x12z: not an address of 64 bits; {TRY}"),
    (["1", "2"], "2: one ADDRESS at a time; try ration walk --help"),
    (["--access", "jump", "1"], "--access jump: not an access; try read, write or exec"),
    (["--tlb", "z80", "1"], "--tlb z80: no such processor; try --tlb help"),
]


def walk(args):
    return subprocess.run([RATION, "walk", *args], capture_output=True, text=True, timeout=60)


def neutral(text):
    text = re.sub(r"frame 0x[0-9a-f]+", "frame F", text)
    text = re.sub(r"(0x[0-9a-f]{4})[0-9a-f]{9}([0-9a-f]{3}) (present|not)", r"\1F\2 \3", text)
    text = re.sub(r"page 0x[0-9a-f]+ leaves frame F for slot \d+", "page P leaves frame F for slot N", text)
    text = re.sub(r"and \d+ more", "and N more", text)
    text = re.sub(r"free frames: \d+ before, \d+ now", "free frames: N before, N now", text)
    return re.sub(r"(offset 0x[0-9a-f]{3}): 0x[0-9a-f]+", r"\1: A", text)


def check_case(name):
    done = walk(CASES[name])
    assert done.returncode == 0 and done.stderr == "", (done.returncode, done.stderr)
    assert walk(CASES[name]).stdout == done.stdout, "the same question has two answers"
    joined = re.search(r"frame (0x\w+) and offset (0x\w+): (0x\w+)", done.stdout)
    if joined:
        frame, offset, physical = (int(x, 16) for x in joined.groups())
        assert frame * 4096 + offset == physical, joined.group()
        assert f", frame 0x{frame:x}\n" in done.stdout, "the entry names another frame"
    path = GOLDEN / (name + ".txt")
    if IS_UPDATE:
        path.write_text(neutral(done.stdout))
    assert neutral(done.stdout) == path.read_text(), f"not as {path}:\n{neutral(done.stdout)}"


def check_bad(args, line):
    done = walk(args)
    assert done.returncode == 2, done.returncode
    assert done.stdout == "" and done.stderr == f"ration: {line}\n", done


def check_help():
    done = walk(["--help"])
    assert done.returncode == 0 and done.stdout.startswith("Usage: ration walk"), done
    assert walk(["--bogus"]).returncode == 2


def main():
    failed = 0
    cases = [(name, check_case, (name,)) for name in CASES]
    cases += [(f"bad input {' '.join(args)}", check_bad, (args, line)) for args, line in BAD]
    cases += [("help", check_help, ())]
    print(f"[==========] Running {len(cases)} test(s).")
    for name, check, args in cases:
        print(f"[ RUN      ] {name}")
        try:
            check(*args)
            print(f"[       OK ] {name}")
        except AssertionError as error:
            print(error)
            print(f"[  FAILED  ] {name}")
            failed += 1
    print(f"[==========] {len(cases)} test(s) run.")
    print(f"[  PASSED  ] {len(cases) - failed} test(s).")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
