"""Threads that build, hand over and check data; zlib and hashlib work outside of the lock."""
import hashlib
import queue
import threading
import zlib

work = queue.Queue(4)
done = {}


def producer(n):
    for i in range(12):
        work.put((n, i, [("%d %d %d " % (n, i, j)) * 8 for j in range(2500)]))
    work.put(None)


def consumer(n):
    while (item := work.get()) is not None:
        text = "".join(item[2]).encode()
        packed = zlib.compress(text, 1)
        assert zlib.decompress(packed) == text
        done[item[:2]] = (hashlib.sha256(text).hexdigest(), item[2])


threads = [threading.Thread(target=f, args=(n,)) for f in (producer, consumer) for n in range(3)]
for t in threads:
    t.start()
for t in threads:
    t.join()
again = hashlib.sha256()
for key in sorted(done):
    assert hashlib.sha256("".join(done[key][1]).encode()).hexdigest() == done[key][0]
    again.update(done[key][0].encode())
print(len(done), again.hexdigest())
