import numpy

r = numpy.random.RandomState(5)
a = r.randint(0, 1 << 30, 2000000)
b = numpy.sort(a)
order = numpy.argsort(a, kind="stable")
assert (a[order] == b).all()
m = r.randint(0, 100, (400, 400)).astype(float)
p = m @ m
print(int(a.sum()), int(b[::1000].sum()), int(order[:1000].sum()), int(p.sum()))
c = numpy.concatenate([a, b]).reshape(-1, 1000)
print(int((c.T.copy() % 1013).sum()), c.shape)
