"""Children that are forked, exec'ed, and forked again, by a process with data of its own."""
import os
import subprocess
import sys
import zlib

data = [bytes([i % 251]) * 1000 for i in range(40000)]


def checksum():
    crc = 0
    for block in data:
        crc = zlib.crc32(block, crc)
    return crc


before = checksum()
for i in range(6):
    child = subprocess.run([sys.executable, "-c", f"print(sum(range({i} * 1000)))"],
                           capture_output=True, check=True)
    print(child.stdout.decode().strip(), child.stderr.decode())
print(subprocess.run("exit 7", shell=True).returncode)
for i in range(3):
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        data[i] = b"changed"
        os.write(write_end, str(checksum()).encode())
        os._exit(i)
    os.close(write_end)
    print(os.read(read_end, 100).decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os.close(read_end)
print(before == checksum(), before)
