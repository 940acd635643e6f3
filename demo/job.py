#!/usr/bin/env python3
"""A job that needs more memory than it may get: builds a table, reads it again, changes it.

    job.py [MIB]    about so many MiB of data, 1024 unless told

Half of it is bytearrays, a quarter a dict of strings to bytes, a quarter a list of tuples. It
prints checksums, the same on every run and on every machine, and nothing about time.
"""

import sys
import zlib

CHUNK = 1 << 20
RECORD_BYTES = 288   # of one dict entry: key, value, its place in the table
TUPLE_BYTES = 144    # of one list item: a tuple of an int and a float, its place in the list


class Numbers:
    """MINSTD (Park and Miller 1988): a program's own arithmetic, so that the data is its own."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = self.state * 48271 % 0x7FFFFFFF
        return self.state


def build_chunks(count):
    numbers = Numbers(1)
    return [bytearray(numbers.next().to_bytes(4, "little") * (CHUNK // 4)) for _ in range(count)]


def build_records(count):
    numbers = Numbers(2)
    return {f"record-{i:08}": b"%0128d" % numbers.next() for i in range(count)}


def build_rows(count):
    numbers = Numbers(3)
    return [(numbers.next() + (1 << 40), numbers.next() / 7) for i in range(count)]


def sum_chunks(chunks):
    crc = 0
    for chunk in chunks:
        crc = zlib.crc32(chunk, crc)
    return crc


def sum_records(records):
    crc = 0
    for key, value in records.items():
        crc = zlib.crc32(value, zlib.crc32(key.encode(), crc))
    return crc


def sum_rows(rows):
    crc, total = 0, 0.0
    for number, fraction in rows:
        crc = (crc * 31 + number) & 0xFFFFFFFF
        total += fraction
    return crc, total


def change(chunks, records):
    """Writes to each chunk and looks up records here and there, as a job does with its table."""
    numbers = Numbers(4)
    keys = len(records)
    for chunk in reversed(chunks):
        at = numbers.next() % (CHUNK - 4)
        value = records[f"record-{numbers.next() % keys:08}"]
        chunk[at:at + 4] = zlib.crc32(value).to_bytes(4, "little")


def main():
    mib = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    chunks = build_chunks(mib // 2)
    records = build_records((mib << 20) // 4 // RECORD_BYTES)
    rows = build_rows((mib << 20) // 4 // TUPLE_BYTES)
    print(f"job: built {len(chunks)} chunks, {len(records)} records, {len(rows)} rows")
    for step in ("built", "changed"):
        print(f"job: {step}: chunks {sum_chunks(chunks):08x}, records {sum_records(records):08x}, "
              "rows {:08x} {:.6e}".format(*sum_rows(rows)))
        if step == "built":
            change(chunks, records)


if __name__ == "__main__":
    main()
