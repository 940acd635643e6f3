/* SPDX-License-Identifier: MIT */
/* What corners opens: it frees what the program has allocated. */
#include <stdlib.h>

void plugin_free(void *object);

void plugin_free(void *object)
{
	free(object);
}
