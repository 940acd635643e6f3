/* SPDX-License-Identifier: MIT */
#ifndef RUN_LAUNCH_H
#define RUN_LAUNCH_H

#include "run/settings.h"

int launch(const struct run_options *options);

#endif
