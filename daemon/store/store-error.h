/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the store says no. Functions return a negative errno as everywhere; the
 * ones that take a StoreError fill it in whenever the reason is one that the
 * client should hear. If its kind is STORE_ERROR_NONE after a failure, something
 * unexpected went wrong and the errno is all there is.
 */
#pragma once

#include "macro.h"

typedef enum StoreErrorKind {
        STORE_ERROR_NONE,
        STORE_ERROR_NO_SUCH_NODE,
        STORE_ERROR_NODE_EXISTS,
        STORE_ERROR_NODE_BUSY,
        STORE_ERROR_NODE_DAMAGED,
        STORE_ERROR_INVALID_NAME,
        STORE_ERROR_NOT_PRESERVABLE,
        STORE_ERROR_QUOTA_EXCEEDED,
        STORE_ERROR_NOT_SUPPORTED,
        STORE_ERROR_NO_MEMORY,
        STORE_ERROR_PERMISSION_DENIED,
        STORE_ERROR_INVALID_PARAMETER,
} StoreErrorKind;

/* The limit that is in no configuration: the next kernel needs memory to start in. */
#define STORE_LIMIT_NEXT_KERNEL "NextKernelMemory"

typedef struct StoreError {
        StoreErrorKind kind;
        char *name;        /* of the node or object, or of the parameter */
        char *reason;
        const char *limit; /* static */
        uint64_t current, requested;
} StoreError;

void store_error_done(StoreError *e);
#define _cleanup_error_ _cleanup_(store_error_done)

/* Fill in e, unless it is filled in already, and return r. name and format may be NULL. */
int store_error_set(StoreError *e, int r, StoreErrorKind kind, const char *name, const char *format, ...) _printf_(5, 6);
int store_error_quota(StoreError *e, const char *limit, uint64_t current, uint64_t requested);

/* What any call of the device may say: no PKRAM, no memory, no room for the next kernel, not allowed. Returns r. */
int store_error_device(StoreError *e, int r);
