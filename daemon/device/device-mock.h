/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A model of /dev/pkram in memory, with everything <linux/pkram.h> promises that
 * user space can see, for tests on hosts without it. It is as strict as the
 * kernel about states, sizes and reserved fields. What it does not do is freeze:
 * a file that was saved could still be written to.
 */
#pragma once

#include "device.h"

typedef struct Mock Mock;

Mock *mock_new(void);
Mock *mock_free(Mock *m);
DEFINE_CLEANUP(Mock *, mock_free)

PkramDevice mock_device(Mock *m);

/* The n-th call from now on (from 1) of that request fails with error, negative; request 0 is open, MOCK_ANY any. */
#define MOCK_OPEN 0UL
#define MOCK_ANY (~0UL)
void mock_fail(Mock *m, unsigned long request, unsigned n, int error);

/* Calls made since the last mock_fail(), of the request named there. */
unsigned mock_calls(const Mock *m);

/* open() fails with that, negative, from now on; 0: works again. */
void mock_set_missing(Mock *m, int error);

/* Every call but INFO says ENODEV; INFO says PKRAM_BOOT_OFF. */
void mock_set_off(Mock *m, bool off);

/* What PKRAM_IOC_INFO says, to be changed at will. */
struct pkram_ioctl_info *mock_info(Mock *m);

/* A kexec: descriptors are gone, half-done saves too, nodes live on, and no file is known any more. */
void mock_kexec(Mock *m);

/* Adds a name to the list of dropped nodes. */
void mock_add_dropped(Mock *m, const char *name, uint32_t damage);

size_t mock_n_nodes(const Mock *m);
size_t mock_n_handles(Mock *m);

/*
 * Changes one byte of an object's file or bytes, unnoticed by the daemon. name is the kernel name of the node, here
 * and below, or what is in it after the last '|'.
 */
void mock_corrupt(Mock *m, const char *name, uint32_t object, uint64_t offset);

/* Replaces the contents of a byte stream. */
void mock_set_bytes(Mock *m, const char *name, uint32_t object, const void *data, size_t size);
