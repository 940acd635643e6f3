"""The table: real programs, and what they are given to do.

Each prints the same at every run, is done within seconds when it has the RAM it wants, and
needs several times the memory of a program that does nothing.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Program:
    name: str
    command: tuple  # {dir}: an empty folder of its own; {cases}: where this file's helpers are
    needs: tuple = ()  # commands; without them it is skipped
    prepare: str = ""  # a shell script, run once in {dir} without Ration
    ram_min: int = 4  # MiB; what the program cannot be held below in reasonable time
    small: bool = False  # part of the small round
    status: int = 0  # without Ration
    scrub: str = ""  # what may differ between two runs: a regular expression
    probe: str = ""  # a shell command that fails where the program cannot run here


def sh(script):
    return ("bash", "-c", script)


def py(script):
    return ("/usr/bin/python3", "{cases}/" + script)


def stress(*args):
    return ("stress-ng", "--quiet", "--verify", "--timeout", "3", "--temp-path", "{dir}", *args)


TEXT = """/usr/bin/python3 - <<'END'
import random
r = random.Random(7)
with open("text", "w") as f:
    for i in range(%d):
        f.write("%%016x some words that are all the same %%d\\n" %% (r.getrandbits(64), i))
END
"""

NUMBERS = "seq %d | shuf --random-source=<(yes) > numbers\n"

PROGRAMS = (
    Program("python", py("data.py"), small=True),
    Program("python gigabyte", py("../../../demo/job.py")),
    Program("python subprocess", py("spawn.py"), small=True),
    Program("python multiprocessing", py("pool.py")),
    Program("python threading", py("threads.py"), small=True),
    Program("numpy", py("arrays.py"), probe="/usr/bin/python3 -c 'import numpy'"),
    Program("sort", ("sort", "--parallel=2", "-S", "32M", "text"), prepare=TEXT % 80000,
            small=True),
    Program("sqlite3", ("sqlite3", ":memory:", ".read {cases}/tables.sql"), needs=("sqlite3",),
            small=True),
    Program("redis", ("bash", "{cases}/redis.sh"),
            needs=("redis-server", "redis-benchmark", "redis-cli")),
    Program("gcc", ("gcc", "-O2", "-S", "-o", "-", "big.c"), needs=("gcc",),
            prepare="/usr/bin/python3 {cases}/big_source.py c 250 > big.c"),
    Program("g++", ("g++", "-O2", "-S", "-o", "-", "big.cc"), needs=("g++",),
            prepare="/usr/bin/python3 {cases}/big_source.py c++ 5 > big.cc"),
    Program("java", ("java", "-Xmx256m", "-XX:+UseSerialGC", "Data.java"), needs=("java", "javac"),
            prepare="cp {cases}/Data.java .", ram_min=64),
    Program("java parallel", ("java", "-Xmx256m", "-XX:+UseParallelGC", "-cp", ".", "Data"),
            needs=("java", "javac"), prepare="javac -d . {cases}/Data.java", ram_min=64),
    Program("java g1", ("java", "-Xmx256m", "-XX:+UseG1GC", "-cp", ".", "Data"),
            needs=("java", "javac"), prepare="javac -d . {cases}/Data.java", ram_min=64),
    Program("node", ("node", "{cases}/data.js"), needs=("node",), ram_min=64),
    Program("perl", ("perl", "{cases}/data.pl"), needs=("perl",), small=True),
    Program("mawk", ("mawk", "{a[NR]=$1*2} END{for(i=1;i<=NR;i++)s+=a[i];printf \"%d\\n\",s}",
                     "numbers"), needs=("mawk",), prepare=NUMBERS % 100000),
    Program("gawk", ("gawk", "{a[$1]=$1*2} END{for(k in a)s+=a[k];print s}", "numbers"),
            needs=("gawk",), prepare=NUMBERS % 60000),
    Program("git gc", sh("git -C repo gc --quiet --prune=now && git -C repo fsck --full 2>&1 && "
                         "git -C repo count-objects -v | grep -v size && "
                         "git -C repo log -p --reverse | cksum"),
            needs=("git",), prepare="bash {cases}/repo.sh"),
    Program("tar", sh("tar c --sort=name tree | cksum"), prepare="bash {cases}/tree.sh"),
    Program("xz", ("xz", "-T2", "--block-size=256KiB", "-0", "-c", "text"), needs=("xz",),
            prepare=TEXT % 40000),
    Program("zstd", ("zstd", "-T2", "-3", "-q", "-c", "text"), needs=("zstd",),
            prepare=TEXT % 150000, small=True),
    Program("zstd long", sh("zstd -T2 --long=27 -q -c text | zstd -d --long=27 -q | cksum"),
            needs=("zstd",), prepare=TEXT % 200000),
    Program("cmake", sh("rm -rf b && cmake -S {cases}/cmake -B b >log 2>&1 && "
                        "cmake --build b -j2 >>log 2>&1 && b/hello"), needs=("cmake", "c++")),
    Program("bash forks", ("bash", "{cases}/forks.sh"), small=True, status=5),
    Program("make", sh("rm -rf out && make -s -j2 -f {cases}/many.mk && cat out/*.o | cksum"),
            needs=("make", "gcc"), prepare="/usr/bin/python3 {cases}/big_source.py c 40 > big.c"),
    Program("stress-ng vm", stress("--vm", "1", "--vm-bytes", "64M"), needs=("stress-ng",)),
    Program("stress-ng mmap", stress("--mmap", "1", "--mmap-bytes", "32M"),
            needs=("stress-ng",)),
    Program("stress-ng mremap", stress("--mremap", "1", "--mremap-bytes", "32M"),
            needs=("stress-ng",)),
    Program("stress-ng fork", stress("--fork", "1"), needs=("stress-ng",)),
    Program("stress-ng malloc", stress("--malloc", "1", "--malloc-bytes", "64M"),
            needs=("stress-ng",)),
    Program("stress-ng madvise", stress("--madvise", "1"), needs=("stress-ng",)),
    Program("stress-ng brk", stress("--brk", "1"), needs=("stress-ng",)),
    Program("stress-ng shm", stress("--shm", "1", "--shm-bytes", "16M"), needs=("stress-ng",)),
)
