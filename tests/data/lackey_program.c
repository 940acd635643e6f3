/* SPDX-License-Identifier: MIT */
/*
 * The program behind lackey.trace.xz (README.md says how it was recorded): a tree of records
 * filled in random order and read with a few hot keys, a matrix turned over, a merge sort.
 * About 180 pages, some of them hot, some scanned.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NR_KEYS	   1024
#define NR_LOOKUPS 512
#define HOT_KEYS   32
#define MATRIX	   96
#define NR_SORTED  1024

struct record {
	struct record *left, *right;
	uint32_t key;
	char text[200];
};

static double matrix[2][MATRIX][MATRIX];
static uint32_t sorted[NR_SORTED], spare[NR_SORTED];
static uint32_t state = 1;

/* MINSTD (Park and Miller 1988). */
static uint32_t number(void)
{
	state = (uint32_t)((uint64_t)state * 48271 % 0x7fffffff);
	return state;
}

static struct record **find(struct record **link, uint32_t key)
{
	while (*link && (*link)->key != key)
		link = key < (*link)->key ? &(*link)->left : &(*link)->right;
	return link;
}

static uint32_t tree(uint32_t *keys)
{
	struct record *root = NULL;
	uint32_t sum = 0;

	for (int i = 0; i < NR_KEYS; i++) {
		struct record **link = find(&root, keys[i] = number());

		if (*link)
			continue;
		*link = calloc(1, sizeof(**link));
		if (!*link)
			exit(1);
		(*link)->key = keys[i];
		memset((*link)->text, (int)(keys[i] & 0xff), sizeof((*link)->text));
	}
	for (int i = 0; i < NR_LOOKUPS; i++) {
		uint32_t n = number() % 8 ? number() % HOT_KEYS : number() % NR_KEYS;

		sum += (uint32_t)(*find(&root, keys[n]))->text[n % 200];
	}
	return sum;
}

static double transpose(void)
{
	for (int i = 0; i < MATRIX; i++)
		for (int j = 0; j < MATRIX; j++)
			matrix[0][i][j] = i * MATRIX + j;
	for (int i = 0; i < MATRIX; i++)
		for (int j = 0; j < MATRIX; j++)
			matrix[1][j][i] = matrix[0][i][j];
	return matrix[1][1][2];
}

static void merge(uint32_t *to, const uint32_t *from, int nr_left, int nr_right)
{
	const uint32_t *left = from, *right = from + nr_left;

	while (nr_left || nr_right) {
		if (nr_right == 0 || (nr_left && *left <= *right)) {
			*to++ = *left++;
			nr_left--;
		} else {
			*to++ = *right++;
			nr_right--;
		}
	}
}

static uint32_t sort(void)
{
	for (int i = 0; i < NR_SORTED; i++)
		sorted[i] = number();
	for (int run = 1; run < NR_SORTED; run *= 2) {
		for (int i = 0; i < NR_SORTED; i += 2 * run)
			merge(spare + i, sorted + i, run, run);
		memcpy(sorted, spare, sizeof(sorted));
	}
	return sorted[NR_SORTED / 2];
}

int main(void)
{
	static uint32_t keys[NR_KEYS];

	printf("%u %g %u\n", tree(keys), transpose(), sort());
	return 0;
}
