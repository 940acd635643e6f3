CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 50000)
  INSERT INTO t SELECT i, (i * 7919) % 50021, printf('%032d %d', (i * 31) % 1009, i) FROM n;
CREATE INDEX ta ON t(a);
CREATE INDEX tb ON t(b);
DELETE FROM t WHERE id % 5 = 0;
UPDATE t SET b = b || 'x' WHERE a % 10 = 3;
SELECT count(*), sum(a), min(b), max(b) FROM t;
SELECT a % 10, count(*), sum(length(b)) FROM t GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM t x JOIN t y ON x.a = y.a AND x.id < y.id;
PRAGMA integrity_check;
VACUUM;
SELECT count(*), sum(a) FROM t;
