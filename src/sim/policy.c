/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <string.h>

#include "policy/two_lists.h"
#include "sim/replay.h"

static const struct {
	const char *name;
	const struct policy_ops *ops;
} policies[] = {
	{"two-lists", &policy_two_lists}, /* the default */
};

const char *sim_policy_name_at(unsigned int index)
{
	return index < sizeof(policies) / sizeof(policies[0]) ? policies[index].name : NULL;
}

const struct policy_ops *sim_policy(const char *name)
{
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++)
		if (!strcmp(policies[i].name, name))
			return policies[i].ops;
	return NULL;
}
