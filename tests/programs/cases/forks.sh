#!/bin/bash
# Many short children: builtins in subshells, pipes, programs, background jobs, a trap.
for ((i = 0; i < 30000; i++)); do a[i]="element $i of an array"; done
for ((i = 0; i < 60; i++)); do x=$(echo "$i ${a[i * 100]}"); printf '%s\n' "$x"; done
for ((i = 0; i < 20; i++)); do echo "$i" | sed 's/^/line /' | tr a-z A-Z; done
for ((i = 0; i < 16; i++)); do (exit "$i") & pids[i]=$!; done
for ((i = 0; i < 16; i++)); do
	wait "${pids[i]}"
	echo "status $?"
done
trap 'echo caught' USR1
kill -USR1 $$
( (a[5]=changed; echo "${a[5]}"); echo "${a[5]}" )
echo "${#a[@]} ${a[29999]}"
exit 5
