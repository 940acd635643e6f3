#!/bin/bash
# Fill, save in a child while clients write, compare; then load what was saved.
set -u
socket=$PWD/redis.sock
port=$((20000 + $$ % 20000))
cli() { redis-cli -s "$socket" "$@"; }
start() {
	redis-server --port "$port" --bind 127.0.0.1 --unixsocket "$socket" --dir "$PWD" --save "" \
		--enable-debug-command local --logfile log --activerehashing no &
	server=$!
	for ((i = 0; i < 300; i++)); do
		[ "$(cli ping 2>/dev/null)" = PONG ] && return
		sleep 0.1
	done
	echo "no answer"
	exit 1
}
start
cli debug populate 30000 key 300
cli debug digest
cli bgsave
redis-benchmark -h 127.0.0.1 -p "$port" -q -t set,lpush,incr -n 1500 -d 500 >/dev/null 2>&1
for ((i = 0; i < 600; i++)); do
	[ "$(cli info persistence | tr -d '\r' | grep bgsave_in_progress)" = rdb_bgsave_in_progress:0 ] && break
	sleep 0.1
done
cli info persistence | tr -d '\r' | grep last_bgsave_status
digest=$(cli debug digest)
echo "$digest"
cli save
cli shutdown nosave
wait "$server"
echo "status $?"
start
[ "$(cli debug digest)" = "$digest" ] && echo same
cli dbsize
cli shutdown nosave
wait "$server"
