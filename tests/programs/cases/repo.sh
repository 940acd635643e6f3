#!/bin/bash
set -eu
export GIT_AUTHOR_DATE="2020-01-01T00:00:00Z" GIT_COMMITTER_DATE="2020-01-01T00:00:00Z"
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git init -q repo
cd repo
git config gc.auto 0
git config pack.threads 2
for ((i = 0; i < 25; i++)); do
	for ((j = 0; j < 12; j++)); do
		seq $((i * 100)) $((i * 100 + 12000 + j)) >file$j
	done
	git add .
	git commit -q -m "commit $i"
done
