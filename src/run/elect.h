/* SPDX-License-Identifier: MIT */
#ifndef RUN_ELECT_H
#define RUN_ELECT_H

#include "run/settings.h"

int elect_engine(struct run_settings *settings, const char **ret_reason);

#endif
