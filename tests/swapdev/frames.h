/* SPDX-License-Identifier: MIT */
/*
 * RAM for devices that keep pages in it, without a manager.
 */
#ifndef TESTS_SWAPDEV_FRAMES_H
#define TESTS_SWAPDEV_FRAMES_H

#include "mm/swapdev.h"

struct test_frames;

struct test_frames *frames_make(uint64_t nr, struct swapdev_frames *ret_frames);
void frames_destroy(struct test_frames *f);
uint64_t frames_nr_free(struct test_frames *f);
void frames_give(struct test_frames *f, void *const *frames, unsigned int nr);

/* So many are taken away, until they are set free again by 0. */
void frames_hold(struct test_frames *f, uint64_t nr);

#endif
