/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors that the store reports to clients. Functions return a negative errno as
 * everywhere; those that take a StoreError fill it in if there is more to report.
 * If its kind is STORE_ERROR_NONE after a failure, the failure was unexpected, and
 * clients get Unexpected, NoMemory or TryAgain according to the errno.
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
        STORE_ERROR_NOT_SUPPORTED, /* the kernel or the backend cannot do it, and nothing else */
        STORE_ERROR_NO_MEMORY,
        STORE_ERROR_PERMISSION_DENIED,
        STORE_ERROR_INVALID_PARAMETER,
        STORE_ERROR_UNEXPECTED,    /* with the errno, and a reason if there is a better one than strerror() */
        STORE_ERROR_TRY_AGAIN,
        STORE_ERROR_NOT_EMPTY,
        STORE_ERROR_BAD_DIRECTORY,
        STORE_ERROR_REPLY_TOO_LARGE,
        STORE_ERROR_WRONG_KIND,
        STORE_ERROR_NODE_VERSION,
} StoreErrorKind;

/* The limit that is not in pkramd.conf: the next kernel needs memory to boot. */
#define STORE_LIMIT_NEXT_KERNEL "NextKernelMemory"
/* The file system of the nodes on disk is full; it has no number either. */
#define STORE_LIMIT_DISK "DiskSpace"

typedef struct StoreError {
        StoreErrorKind kind;
        char *name;        /* of the node or object, or of the parameter */
        char *reason;
        const char *limit; /* static */
        uint64_t current, requested, maximum; /* maximum: UINT64_MAX if it is not known */
} StoreError;

void store_error_done(StoreError *e);
#define _cleanup_error_ _cleanup_(store_error_done)

/* Fill in e, unless it is filled in already, and return r. name and format may be NULL. */
int store_error_set(StoreError *e, int r, StoreErrorKind kind, const char *name, const char *format,
                    ...) _printf_(5, 6);
int store_error_quota(StoreError *e, const char *limit, uint64_t current, uint64_t requested, uint64_t maximum);

/* Fills in e for an errno of the device: PKRAM missing, access denied, out of memory. Returns r. */
int store_error_device(StoreError *e, int r);

/* Fills in e for an errno that no other function has an error for: NoMemory, TryAgain or Unexpected. Returns r. */
int store_error_errno(StoreError *e, int r);
