/* SPDX-License-Identifier: MIT */
/*
 * The policies by name.
 */
#include "policy/policy.h"

#include <string.h>

#include "policy/clock.h"
#include "policy/fifo.h"
#include "policy/lru.h"
#include "policy/random.h"
#include "policy/two_lists.h"

static const struct policy_ops *const policies[] = {
	&policy_two_lists, &policy_clock, &policy_fifo, &policy_lru, &policy_random,
};

/**
 * policy_at() - go through the policies, for (i = 0; (ops = policy_at(i)); i++).
 * @index: 0 is the default.
 *
 * Return: the policy, or NULL from the first index on that there is not.
 * Context: any.
 */
const struct policy_ops *policy_at(unsigned int index)
{
	return index < sizeof(policies) / sizeof(policies[0]) ? policies[index] : NULL;
}

/**
 * policy_find() - the policy of that name.
 * @name: one of POLICY_NAMES.
 *
 * Return: the policy, or NULL.
 * Context: any.
 */
const struct policy_ops *policy_find(const char *name)
{
	const struct policy_ops *ops;

	for (unsigned int i = 0; (ops = policy_at(i)); i++)
		if (!strcmp(ops->name, name))
			return ops;
	return NULL;
}
