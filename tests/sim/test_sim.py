#!/usr/bin/env python3
"""`ration sim` from outside: its output byte for byte, mistakes, broken traces, a terminal.

    test_sim.py RATION                   all but the outputs byte for byte
    test_sim.py RATION GOLDEN            those, against the files in the folder GOLDEN
    test_sim.py RATION GOLDEN update     writes them anew, to be read before they are committed

RATION is the command; for GOLDEN one without debug assertions, whose slabs are larger.
"""

import json
import os
import pathlib
import pty
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import cases  # noqa: E402

RATION = os.path.abspath(sys.argv[1])
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent  # sources are named from there
GOLDEN = pathlib.Path(sys.argv[2]).absolute() if len(sys.argv) > 2 else None
PATIENCE = 60.0  # seconds that anything may take on a busy machine

GOLDENS = {
    "fits.txt": ["--ram", "16M", "pattern:sequential,pages=2000,passes=3"],
    "scan.txt": ["--ram", "8M", "pattern:sequential,pages=4096,passes=3"],
    "zipf.json": ["--ram", "8M", "--swap", "1G:ssd", "--json",
                  "pattern:zipf,pages=4096,accesses=40000"],
    "scan-hot.txt": ["--ram", "8M", "--swappiness", "100", "--page-cluster", "0",
                     "pattern:scan-hot,pages=4096,passes=2,hot=500"],
    "processes.txt": ["--ram", "8M", "--swap", "64M:hdd", "--seed", "7",
                      "pattern:processes,pages=1000,accesses=20000"],
    "opt.txt": ["--policy", "opt", "--sweep", "ram=4M..16M:4",
                "pattern:zipf,pages=3000,accesses=20000,s=0.7"],
    "huge.txt": ["--ram", "32M", "--thp", "both", "--tlb", "cortex-a76",
                 "pattern:zipf,pages=10000,accesses=40000"],
    "gzip.txt": ["--ram", "1M", "examples/gzip.trace.xz"],
    "gzip-opt.txt": ["--ram", "1M", "--policy", "opt", "examples/gzip.trace.xz"],
    "mix.txt": ["--ram", "16M", "--files", "ssd",
                "pattern:mix,pages=3000,file=3000,accesses=40000,processes=2"],
    "mix-sweep.txt": ["--sweep", "ram=8M..32M:4", "--swappiness", "10", "--tlb", "none",
                      "pattern:mix,pages=3000,file=3000,accesses=30000"],
    "sweep.txt": ["--sweep", "ram=4M..16M:4", "pattern:uniform,pages=3000,accesses=20000"],
}


def sim(*arguments, stdin=b""):
    return subprocess.run([RATION, "sim", *arguments], input=stdin, capture_output=True,
                          cwd=ROOT, timeout=PATIENCE, check=False)


def comparable(name, output):
    """Of JSON: a line a field, and no counters of what does not happen, for new ones come often."""
    if not name.endswith(".json"):
        return output.decode()
    said = json.loads(output)
    for row in said["rows"]:
        row["vmstat"] = {key: value for key, value in row["vmstat"].items() if value}
    return json.dumps(said, indent=1) + "\n"


class Golden(unittest.TestCase):
    maxDiff = None

    def golden(self, name):
        ran = sim(*GOLDENS[name])
        self.assertEqual((ran.returncode, ran.stderr), (0, b""))
        self.assertEqual(comparable(name, ran.stdout),
                         (GOLDEN / name).read_text(encoding="utf-8"))

    def test_fits(self):
        self.golden("fits.txt")

    def test_scan(self):
        self.golden("scan.txt")

    def test_zipf_json(self):
        self.golden("zipf.json")

    def test_scan_hot(self):
        self.golden("scan-hot.txt")

    def test_processes(self):
        self.golden("processes.txt")

    def test_sweep(self):
        self.golden("sweep.txt")

    def test_opt(self):
        self.golden("opt.txt")

    def test_gzip(self):
        self.golden("gzip.txt")

    def test_gzip_opt(self):
        self.golden("gzip-opt.txt")

    def test_mix(self):
        self.golden("mix.txt")

    def test_mix_sweep(self):
        self.golden("mix-sweep.txt")

    def test_huge(self):
        self.golden("huge.txt")


class Output(unittest.TestCase):
    def test_the_seed_decides(self):
        pattern = "pattern:uniform,pages=3000,accesses=20000"
        one, again, other = (sim("--ram", "8M", "--seed", seed, pattern).stdout
                             for seed in ("3", "3", "4"))
        self.assertEqual(one, again)
        self.assertNotEqual(one, other)

    def test_json_is_json(self):
        ran = sim("--sweep", "ram=4M..8M:2", "--json", 'pattern:zipf,pages=2000,accesses=9000')
        said = json.loads(ran.stdout)
        self.assertEqual([row["ram_bytes"] for row in said["rows"]], [4 << 20, 8 << 20])
        for row in said["rows"]:
            self.assertEqual(row["vmstat"]["pgfault"], row["minor_faults"] + row["major_faults"])

    def test_help_lists_all(self):
        text = sim("--help").stdout.decode()
        for name in ("sequential", "uniform", "zipf", "scan-hot", "processes", "mix", "two-lists"):
            self.assertIn(name, text)

    def test_the_processors_are_listed(self):
        text = sim("--tlb", "help").stdout.decode()
        for name in ("skylake", "haswell", "zen2", "cortex-a76", "cortex-a72", "cortex-a53"):
            self.assertRegex(text, rf"\n{name}: .* \(.*\)\n    level 1 ")

    def test_the_tlb_is_left_out_if_asked(self):
        pattern = "pattern:zipf,pages=2000,accesses=9000"
        row = json.loads(sim("--json", "--tlb", "none", pattern).stdout)["rows"][0]
        self.assertNotIn("tlb", row)
        row = json.loads(sim("--json", "--tlb", "zen2", pattern).stdout)["rows"][0]
        tlb = row["tlb"]
        self.assertEqual(tlb["data"]["level1_hits"]["4K"] + tlb["data"]["level1_misses"]["4K"],
                         row["references"])

    def test_a_full_disk_is_noticed(self):
        with open("/dev/full", "wb") as full:
            ran = subprocess.run([RATION, "sim", "pattern:sequential,pages=9"], stdout=full,
                                 stderr=subprocess.PIPE, timeout=PATIENCE, check=False)
        self.assertEqual(ran.returncode, 125)
        self.assertIn(b"No space left", ran.stderr)


class Files(unittest.TestCase):
    MIX = "pattern:mix,pages=2000,file=2000,accesses=20000,processes=2"

    def rows(self, *arguments, stdin=b""):
        ran = sim("--json", *arguments, stdin=stdin)
        self.assertEqual((ran.returncode, ran.stderr), (0, b""))
        return json.loads(ran.stdout)["rows"]

    def test_all_goes_with_mix(self):
        for arguments in (["--policy", "clock"], ["--policy", "fifo"], ["--policy", "lru"],
                          ["--policy", "random"], ["--thp", "both"], ["--tlb", "none"],
                          ["--swap", "none"], ["--files", "zram", "--swap", "1G:hdd"],
                          ["--swappiness", "0"], ["--swappiness", "200"]):
            with self.subTest(arguments):
                row, = self.rows("--ram", "24M", *arguments, self.MIX)
                self.assertEqual((row["accesses"], row["files"], row["processes"]), (20000, 1, 2))
                vmstat = row["vmstat"]
                for what in ("pgscan", "pgsteal"):
                    self.assertEqual(vmstat[what + "_anon"] + vmstat[what + "_file"],
                                     vmstat[what + "_kswapd"] + vmstat[what + "_direct"])
                self.assertGreater(row["file_pages_read"], 1000)

    def test_swappiness_decides_who_leaves(self):
        few, many = (self.rows("--ram", "16M", "--swappiness", n, self.MIX)[0]["vmstat"]
                     for n in ("0", "200"))
        self.assertEqual(few["pgscan_anon"], 0)
        self.assertGreater(few["pgsteal_file"], many["pgsteal_file"])
        self.assertGreater(many["pswpout"], 0)

    def test_opt(self):
        """Each page of memory and of the file once, for all fit."""
        said = json.loads(sim("--json", "--policy", "opt", "--ram", "64M", self.MIX).stdout)
        self.assertEqual(said["rows"][0]["misses"], said["pages"])
        row, = self.rows("--ram", "64M", self.MIX)
        self.assertLessEqual(said["pages"],
                             row["file_pages_read"] + row["touched_peak_bytes"] // 4096)

    def test_a_trace_with_files(self):
        """100 pages by calls, of which 50 are mapped, too; 10 of another file are written."""
        trace = b"".join(b"pread,%d,4096,1,1\n" % (page * 4096) for page in range(100))
        trace += b"".join(b"r,%d,8,%d,1\n" % (page * 4096, pid)
                          for page in range(50) for pid in (1, 2))
        trace += b"pwrite,0,40960,1,2\n"
        row, = self.rows("-", stdin=trace)
        self.assertEqual((row["accesses"], row["references"]), (201, 210))
        self.assertEqual((row["files"], row["processes"]), (2, 2))
        self.assertIn(row["file_pages_read"], range(100, 165))  # with what is read ahead
        self.assertEqual((row["vmstat"]["nr_dirtied"], row["vmstat"]["pswpout"]), (10, 0))
        self.assertEqual(row["major_faults"], 0)

    def test_what_is_no_access_to_a_file(self):
        for says, line in (("pread and pwrite want a file", b"pread,0,8,1"),
                           ("file is above 255", b"r,0,8,1,256"),
                           ("offset 0x1000000000 of file 3", b"r,0x1000000000,8,1,3"),
                           ("where files are mapped", b"r,0x300000001000,8")):
            ran = sim("-", stdin=line + b"\n")
            self.assertEqual((ran.returncode, ran.stdout, ran.stderr.count(b"\n")), (1, b"", 1))
            self.assertIn(says, ran.stderr.decode())


class Opt(unittest.TestCase):
    PATTERN = "pattern:zipf,pages=3000,accesses=20000,s=0.7"

    def test_no_policy_has_fewer_faults(self):
        """Without readahead a fault brings one page; OPT has more frames, for it needs no tables."""
        rows = json.loads(sim("--json", "--policy", "opt", "--sweep", "ram=4M..10M:3",
                              self.PATTERN).stdout)["rows"]
        for row in rows:
            for policy in ("two-lists", "clock", "fifo", "lru", "random"):
                ran = sim("--json", "--policy", policy, "--ram", str(row["ram_bytes"]),
                          "--page-cluster", "0", self.PATTERN)
                real = json.loads(ran.stdout)["rows"][0]
                self.assertGreaterEqual(real["minor_faults"] + real["major_faults"],
                                        row["misses"], policy)
        self.assertGreater(rows[0]["misses"], rows[1]["misses"])

    def test_of_standard_input(self):
        """Even a sweep, for it is read once. 300 pages in turn, four times."""
        trace = b"".join(b"r,0x%x,8\n" % (0x10000 + page * 4096) for page in range(300)) * 4
        said = json.loads(sim("--json", "--policy", "opt", "--sweep", "ram=1M..8M:2", "-",
                              stdin=trace).stdout)
        self.assertEqual((said["accesses"], said["pages"]), (1200, 300))
        frames = said["rows"][0]["frames"]
        self.assertLess(frames, 300)
        # Belady's own example: a cycle of n pages in m frames misses n - m + 1 of n - 1.
        again = said["rows"][0]["misses"] - 300
        self.assertLess(abs(again - 900 * (300 - frames) / 299), 300)
        self.assertEqual(said["rows"][1]["misses"], 300)

    def test_broken_is_no_result(self):
        ran = sim("--policy", "opt", "-", stdin=b"r,0x1000,8\n?\n")
        self.assertEqual((ran.returncode, ran.stdout), (1, b""))
        self.assertIn("byte 11:", ran.stderr.decode())


class Save(unittest.TestCase):
    SOURCE = "pattern:processes,pages=1500,accesses=60000"

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "space")

    def save(self, *arguments):
        ran = sim("--ram", "8M", "--save", self.path, *arguments)
        self.assertEqual((ran.returncode, ran.stderr), (0, b""))

    def walk(self, *arguments):
        return subprocess.run([RATION, "walk", "--space", self.path, *arguments], text=True,
                              capture_output=True, timeout=PATIENCE, check=False)

    def test_a_walk_goes_on_from_it(self):
        self.save(self.SOURCE)
        for page in range(0x100000, 0x100100):  # one of many is in swap
            question = ("--access", "write", "--pid", "3", f"0x{page:x}abc")
            ran = self.walk(*question)
            self.assertEqual((ran.returncode, ran.stderr), (0, ""))
            if "swap: area 0, slot" in ran.stdout:
                break
        self.assertIn("in process 3 after 60000 accesses of " + self.SOURCE, ran.stdout)
        for step in ("swap: area 0, slot", "a major fault", "Victims", "read from swap: ",
                     "Entry recorded", "may read write", "and offset 0xabc: 0x"):
            self.assertIn(step, ran.stdout)
        self.assertEqual(ran.stdout, self.walk(*question).stdout)
        self.assertEqual(os.listdir(self.folder.name), ["space"])

    def test_other_spaces(self):
        """Without a TLB, with large pages, and of another policy."""
        for arguments in (["--tlb", "none"], ["--thp", "both"], ["--policy", "clock"]):
            with self.subTest(arguments):
                self.save(*arguments, self.SOURCE)
                ran = self.walk("0x100020abc")
                self.assertEqual((ran.returncode, ran.stderr), (0, ""))
                self.assertRegex(ran.stdout, "frame 0x[0-9a-f]+ and offset 0xabc")

    def test_with_files(self):
        self.save("--files", "hdd", "pattern:mix,pages=1000,file=1300,accesses=30000")
        ran = self.walk("0x3010005feabc")
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        for says in ("\nwhich is byte 0x5feabc of file 1\n", "a major fault",
                     "read from files: ", "and offset 0xabc: 0x"):
            self.assertIn(says, ran.stdout)

    def test_what_is_not_there(self):
        self.save(self.SOURCE)
        ran = self.walk("--pid", "9", "0x100020abc")
        self.assertEqual((ran.returncode, ran.stdout), (2, ""))
        self.assertIn("no such process", ran.stderr)
        self.assertIn("SIGSEGV", self.walk("0x8000000000000").stdout)

    def test_a_broken_one_is_refused(self):
        self.save(self.SOURCE)
        whole = pathlib.Path(self.path).read_bytes()
        for says, broken in (
                ("byte 0: not a space", b"x" + whole[1:]),
                ("byte 8: of another version", whole[:8] + b"\3" + whole[9:]),
                ("byte 12: wrong checksum", whole[:50] + b"?" + whole[51:]),
                ("byte 100: cut off", whole[:100]),
                ("byte ", whole[:-1]),
                ("byte ", whole[:999] + bytes([whole[999] ^ 1]) + whole[1000:]),
                ("byte ", whole + b"?")):
            with self.subTest(says):
                pathlib.Path(self.path).write_bytes(broken)
                ran = self.walk("0x100020abc")
                self.assertEqual((ran.returncode, ran.stdout), (1, ""))
                self.assertIn(self.path + ": " + says, ran.stderr)
                self.assertEqual(ran.stderr.count("\n"), 1)

    def test_who_is_interrupted_leaves_nothing(self):
        with subprocess.Popen([RATION, "sim", "--save", self.path,
                               "pattern:uniform,accesses=1000000000000"],
                              stdout=subprocess.PIPE) as process:
            with self.assertRaises(subprocess.TimeoutExpired):
                process.wait(0.5)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(PATIENCE), -signal.SIGINT)
        self.assertEqual(os.listdir(self.folder.name), [])

    def test_only_a_file_is_replaced(self):
        os.mkfifo(self.path)
        for path in (self.path, self.folder.name, "/dev/null", ""):
            ran = sim("--save", path, self.SOURCE)
            self.assertEqual((ran.returncode, ran.stdout), (2, b""))
            self.assertEqual(ran.stderr.count(b"\n"), 1)
        os.unlink(self.path)
        self.save(self.SOURCE)
        self.save(self.SOURCE)
        self.assertEqual(os.listdir(self.folder.name), ["space"])

    def test_nothing_is_saved_of_what_fails(self):
        ran = sim("--save", self.path, "-", stdin=b"r,0x1000,8\n?\n")
        self.assertEqual(ran.returncode, 1)
        ran = sim("--ram", "4M", "--swap", "none", "--save", self.path, "pattern:sequential")
        self.assertEqual((ran.returncode, ran.stdout), (1, b""))
        self.assertEqual(os.listdir(self.folder.name), [])
        ran = sim("--save", self.path, "--sweep", "ram=4M..8M:2", self.SOURCE)
        self.assertEqual((ran.returncode, ran.stdout), (2, b""))


class Mistakes(unittest.TestCase):
    def refused(self, says, *arguments):
        ran = sim(*arguments)
        self.assertEqual((ran.returncode, ran.stdout), (2, b""), arguments)
        self.assertEqual(ran.stderr.count(b"\n"), 1, ran.stderr)
        self.assertIn(says, ran.stderr.decode())

    def test_options(self):
        pattern = "pattern:zipf"
        for says, arguments in (
                ("SOURCE is missing", []),
                ("there is one SOURCE", [pattern, pattern]),
                ("--frob: no such option", ["--frob", pattern]),
                ("--ram: wants a value", [pattern, "--ram"]),
                ("not a size", ["--ram", "1.5", pattern]),
                ("not a size", ["--ram", "25%", pattern]),
                ("1M at least", ["--ram", "1023K", pattern]),
                ("1T is the most", ["--ram", "2T", pattern]),
                ("1T is the most", ["--ram", "99999999999999999999G", pattern]),
                ("give one of the two", ["--ram", "8M", "--sweep", "ram=8M..9M:2", pattern]),
                ("wants ram=", ["--sweep", "swap=8M..9M:2", pattern]),
                ("wants ram=", ["--sweep", "ram=8M..9M", pattern]),
                ("wants ram=", ["--sweep", "ram=8M..9M:1", pattern]),
                ("wants ram=", ["--sweep", "ram=8M..9M:257", pattern]),
                ("wants ram=", ["--sweep", "ram=8M..9M:", pattern]),
                ("not a size", ["--sweep", "ram=..9M:2", pattern]),
                ("above the first", ["--sweep", "ram=9M..9M:2", pattern]),
                ("the devices are", ["--swap", "1G:tape", pattern]),
                ("--files tape: the devices are", ["--files", "tape", pattern]),
                ("--files : the devices are", ["--files", "", pattern]),
                ("together at most 100", ["pattern:mix,mapped=60,calls=60"]),
                ("wants none", ["--swap", "0", pattern]),
                ("wants none", ["--swap", ":ssd", pattern]),
                ("8T is the most", ["--swap", "9T", pattern]),
                ("from 0 to 200", ["--swappiness", "201", pattern]),
                ("from 0 to 200", ["--swappiness", "", pattern]),
                ("from 0 to 5", ["--page-cluster", "6", pattern]),
                ("no such policy", ["--policy", "magic", pattern]),
                ("no such processor", ["--tlb", "z80", pattern]),
                ("wants a whole number", ["--seed", "18446744073709551616", pattern]),
                ("wants never, ", ["--thp", "1G", pattern]),
                ("no such pattern", ["pattern:cyclic"]),
                ("no such parameter", ["pattern:zipf,page=4"]),
                ("SOURCE is empty", [""]),
                ("the pattern is written pattern:mix,pages=5", ["mix,pages=5"])):
            with self.subTest(arguments):
                self.refused(says, *arguments)


class Traces(unittest.TestCase):
    TRACE = b"".join(b"%s,0x%x,8\n" % (op, 0x10000 + page * 4096)
                     for page in range(50) for op in (b"r", b"w"))

    def no_result(self, says, *arguments, stdin=b""):
        ran = sim(*arguments, stdin=stdin)
        self.assertEqual((ran.returncode, ran.stdout), (1, b""), ran.stderr)
        self.assertIn(says, ran.stderr.decode())

    def test_on_standard_input(self):
        ran = sim("--ram", "8M", "--json", "-", stdin=self.TRACE)
        row = json.loads(ran.stdout)["rows"][0]
        self.assertEqual((row["accesses"], row["minor_faults"]), (100, 50))

    def test_broken_is_no_result(self):
        offset = self.TRACE.index(b"r,0x1f000,8")
        broken = self.TRACE[:offset] + b"?" + self.TRACE[offset:]
        self.no_result(f"standard input: byte {offset}:", "-", stdin=broken)

    def test_a_sweep_over_a_broken_file(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.TRACE + b"r,")
            file.flush()
            self.no_result(f"{file.name}: byte ", "--sweep", "ram=4M..8M:3", file.name)

    def test_a_sweep_over_a_file(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.TRACE)
            file.flush()
            ran = sim("--sweep", "ram=4M..8M:3", "--json", file.name)
        rows = json.loads(ran.stdout)["rows"]
        self.assertEqual([row["accesses"] for row in rows], [100] * 3)

    def test_a_sweep_over_a_pipe(self):
        """As over a file; what is broken is found before a row begins."""
        ran = sim("--sweep", "ram=4M..8M:3", "--json", "-", stdin=self.TRACE)
        self.assertEqual((ran.returncode, ran.stderr), (0, b""))
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.TRACE)
            file.flush()
            of_file = sim("--sweep", "ram=4M..8M:3", "--json", file.name)
        self.assertEqual(json.loads(ran.stdout)["rows"], json.loads(of_file.stdout)["rows"])
        self.no_result("standard input: byte 0: empty", "--sweep", "ram=4M..8M:2", "-")
        self.no_result(f"standard input: byte {len(self.TRACE) + 2}: cut off", "--sweep",
                       "ram=4M..8M:2", "-", stdin=self.TRACE + b"r,")

    def test_swap_that_ram_has_no_room_for(self):
        self.no_result("give it less with --swap", "--ram", "1M", "--swap", "1T", "pattern:zipf")

    def test_missing(self):
        self.no_result("/nonexistent/trace: No such file", "/nonexistent/trace")

    def test_an_address_of_the_kernel(self):
        self.no_result("access 2: 8 bytes at 0xffff800000000000", "-",
                       stdin=b"r,0x1000,8\nr,0xffff800000000000,8\n")

    def test_out_of_memory(self):
        self.no_result("out of memory after ", "--ram", "4M", "--swap", "1M",
                       "pattern:sequential")

    def test_rows_out_of_memory_are_marked(self):
        ran = sim("--sweep", "ram=4M..16M:2", "--swap", "none", "pattern:sequential,pages=2000")
        self.assertEqual(ran.returncode, 1)
        self.assertEqual(ran.stderr.count(b"out of memory after"), 1)
        lines = ran.stdout.decode().splitlines()[-2:]
        self.assertEqual([line.endswith("out of memory") for line in lines], [True, False])


class Terminal(unittest.TestCase):
    def test_progress_comes_and_goes(self):
        """Some seconds' work: the line is shown, and erased; not a byte of it on a pipe."""
        master, slave = pty.openpty()
        try:
            with subprocess.Popen(
                    [RATION, "sim", "--ram", "4M", "pattern:uniform,pages=3000,accesses=100000000"],
                    stdout=subprocess.DEVNULL, stderr=slave) as process:
                shown = os.read(master, 200)
                process.kill()
        finally:
            os.close(slave)
            os.close(master)
        self.assertRegex(shown, rb"^\rration sim: \d+%, \d+ million accesses\x1b\[K")


def update():
    GOLDEN.mkdir(exist_ok=True)
    for name, arguments in GOLDENS.items():
        (GOLDEN / name).write_text(comparable(name, sim(*arguments).stdout), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[3:] == ["update"]:
        update()
        sys.exit()
    if GOLDEN:
        del Output, Files, Opt, Save, Mistakes, Traces, Terminal
    else:
        del Golden
    cases.main()
