"""multiprocessing: a pool by fork, one by spawn, a queue, and shared state of the parent's."""
import multiprocessing
import zlib

DATA = {i: ("%d" % i) * 20 for i in range(120000)}


def work(part):
    crc = 0
    for key in range(part, 120000, 8):
        crc = zlib.crc32(DATA[key].encode(), crc)
    return part, crc, [crc] * 2000


def square(x):
    return x * x


def feed(queue):
    for i in range(2000):
        queue.put("x" * i)
    queue.put(None)


if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(3) as pool:
        for part, crc, many in pool.map(work, range(8)):
            print(part, crc, len(many))
    queue = multiprocessing.Queue()
    child = multiprocessing.Process(target=feed, args=(queue,))
    child.start()
    total = 0
    while (item := queue.get()) is not None:
        total += len(item)
    child.join()
    print(total, child.exitcode)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print(pool.map(square, range(20)))
    print(sum(zlib.crc32(v.encode()) for v in DATA.values()))
