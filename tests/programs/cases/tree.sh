#!/bin/bash
set -eu
mkdir tree
cd tree
for ((i = 0; i < 60; i++)); do
	mkdir d$i
	for ((j = 0; j < 60; j++)); do seq $((i * j)) $((i * j + 200)) >d$i/f$j; done
done
find . -exec touch -d @1600000000 {} +
