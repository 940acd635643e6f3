"""Dicts, lists, strings and a bytearray; a checksum of all of it."""
import random
import zlib

r = random.Random(3)
d = {i: str(i) * 3 for i in range(70000)}
rows = [[r.random() for _ in range(8)] for _ in range(25000)]
rows.sort(key=lambda row: row[3])
block = bytearray(r.getrandbits(8) for _ in range(1 << 20)) * 8
crc = 0
for row in rows:
    crc = zlib.crc32(repr(row).encode(), crc)
for key in range(0, 70000, 3):
    del d[key]
for key in sorted(d, key=lambda k: k % 1009):
    crc = zlib.crc32(d[key].encode(), crc)
print(len(d), crc, zlib.crc32(block))
