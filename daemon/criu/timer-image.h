/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Timers in the images of CRIU. A periodic timer (timerfd) that has expired, and has not been read since, has no time
 * left until it expires again. CRIU 4.1 saves this as zero, and zero stops a timer when it is restored: the program
 * would read it once more, and then wait for ever.
 */
#pragma once

#include "macro.h"

/* Has such timers in an image of files expire at once. Returns how many there are, or -EBADMSG if this is no such
 * image; what is in it is undefined then. */
int timer_image_fix(uint8_t *image, size_t size);

/* Does so in the image in a directory. Returns how many there are, or a negative errno. */
int timer_images_fix(int images);
