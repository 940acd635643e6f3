/* SPDX-License-Identifier: MIT */
/*
 * The policies by name, for the command, which sees no policy itself.
 */
#include "policy/policy.h"

#include <stddef.h>

#include "sim/replay.h"

const char *sim_policy_name_at(unsigned int index)
{
	const struct policy_ops *ops = policy_at(index);

	return ops ? ops->name : NULL;
}

const struct policy_ops *sim_policy(const char *name)
{
	return policy_find(name);
}
