#!/usr/bin/env python3
"""Programs with four times the data of their RAM, under `ration run`.

    test_lives.py RATION PRELOAD PROGRAM

Prints cmocka's lines; exit status 0, 1, or 77 where this kernel lets nobody handle faults.
"""

import os
import subprocess
import sys
import tempfile

RATION, PRELOAD, PROGRAM = map(os.path.abspath, sys.argv[1:4])
PATIENCE = 100.0  # seconds that a life may take on a busy machine
LIVES = {  # name: size of the swap area
    "two_threads": "128M",
    "one_child_after_another": "128M",
    "grandchildren": "512M",
    "handlers_that_map_and_jump": "128M",
    "a_pipe_fed_by_vmsplice": "128M",
}


def live(name, swap):
    return subprocess.run(
        [RATION, "run", "--ram", "16M", "--swap", swap, "--", PROGRAM, name],
        env={**os.environ, "RATION_PRELOAD": PRELOAD}, text=True, capture_output=True,
        stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False)


def main():
    failed = 0
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        for name, size in LIVES.items():
            print(f"[ RUN      ] {name}", flush=True)
            result = live(name, f"{folder}/swap:{size}")
            if result.returncode == 2 and "userfaultfd" in result.stderr:
                print(f"[  SKIPPED ] {name}")
                return 77
            is_good = (result.returncode, result.stdout, result.stderr) == (0, "", "")
            failed += not is_good
            if not is_good:
                print(f"{result.returncode}: {result.stderr}")
            print(f"[       OK ] {name}" if is_good else f"[  FAILED  ] {name}", flush=True)
        assert not os.listdir(folder), "the swap area is left behind"
    return 1 if failed else 0


sys.exit(main())
