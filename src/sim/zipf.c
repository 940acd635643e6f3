/* SPDX-License-Identifier: MIT */
/*
 * Drawing from a fixed distribution in constant time: the alias method (Walker 1977, in
 * Vose's form, 1991).
 *
 * Each item has a column of equal width, filled by its own share up to a threshold and by the
 * share of one other item, its alias, above. A draw picks a column and a height. Thresholds
 * are whole numbers of 2^-32, so that the last bits of pow(3) do not matter.
 *
 * Invariants: every column's alias is below nr; a column whose alias is itself is never left.
 */
#include "sim/zipf.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "sim/random.h"

struct column {
	uint32_t threshold; /* of 2^32 */
	uint32_t alias;
};

struct zipf {
	uint32_t nr;
	struct column columns[];
};

/* Shares in units of the average: below 1 the rank lacks, above it gives. */
static void fill_shares(double *shares, uint32_t nr, double s)
{
	double sum = 0;

	for (uint32_t k = 0; k < nr; k++)
		sum += shares[k] = pow((double)k + 1, -s);
	for (uint32_t k = 0; k < nr; k++)
		shares[k] *= nr / sum;
}

/*
 * Shares fall with the rank, so those that give are in front: `give` walks over them, and
 * whoever has given too much lacks in turn and is served at once by the next.
 */
static void fill_columns(struct column *columns, uint32_t nr, double *shares)
{
	uint32_t give = 0;

	for (uint32_t k = 0; k < nr; k++)
		columns[k] = (struct column){.threshold = UINT32_MAX, .alias = k};
	for (uint32_t k = nr; k-- > 0;) {
		uint32_t lack = k;

		/* Bounded: give only grows. */
		while (shares[lack] < 1 && give < k && give + 1 < nr) {
			columns[lack] = (struct column){
				.threshold = (uint32_t)(shares[lack] * 4294967295.0),
				.alias = give};
			shares[give] -= 1 - shares[lack];
			if (shares[give] >= 1)
				break;
			lack = give++;
		}
		if (give >= k)
			break;
	}
}

/* From ranks to items, so that a draw needs no division. */
static void scatter(struct zipf *zipf, const struct column *ranked, uint32_t stride)
{
	for (uint64_t k = 0; k < zipf->nr; k++) {
		struct column column = ranked[k];

		column.alias = (uint32_t)((uint64_t)column.alias * stride % zipf->nr);
		zipf->columns[k * stride % zipf->nr] = column;
	}
}

/**
 * zipf_create() - prepare to draw.
 *
 * Return: 0 or -ENOMEM.
 */
int zipf_create(const struct zipf_spec *spec, struct zipf **ret_zipf)
{
	uint32_t nr = spec->nr_ranks;
	double *shares = malloc(nr * sizeof(*shares));
	struct column *ranked = malloc(nr * sizeof(*ranked));
	struct zipf *zipf = malloc(sizeof(*zipf) + nr * sizeof(*ranked));

	int err = shares && ranked && zipf ? 0 : -ENOMEM;

	if (!err) {
		zipf->nr = nr;
		fill_shares(shares, nr, spec->s);
		fill_columns(ranked, nr, shares);
		scatter(zipf, ranked, spec->stride);
		*ret_zipf = zipf;
	} else {
		free(zipf);
	}
	free(shares);
	free(ranked);
	return err;
}

void zipf_destroy(struct zipf *zipf)
{
	free(zipf);
}

uint32_t zipf_draw(const struct zipf *zipf, uint64_t *random)
{
	uint64_t r = sim_random(random);
	uint32_t k = (uint32_t)((r >> 32) * zipf->nr >> 32);
	const struct column *column = &zipf->columns[k];

	return (uint32_t)r < column->threshold ? k : column->alias;
}
