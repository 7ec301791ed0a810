/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store-error.h"

/*
 * Checks the name of a node or an object: 1 to 255 bytes of UTF-8, no slash, no
 * control character, neither "." nor "..". -EINVAL with an InvalidName error.
 */
int name_validate(const char *name, StoreError *reterr_error);

/*
 * Copy of a name of the kernel's, which allows more bytes than name_validate(), in which
 * everything that is not valid there is replaced by U+FFFD. Cut to 255 bytes at the end
 * of a character. NULL without memory; the caller frees it.
 */
char *name_sanitize(const char *name);
