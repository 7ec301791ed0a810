/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdio.h>

#include "device-disk.h"
#include "store-error.h"

void store_error_done(StoreError *e) {
        free(e->name);
        free(e->reason);
        *e = (StoreError) {};
}

int store_error_set(StoreError *e, int r, StoreErrorKind kind, const char *name, const char *format, ...) {
        if (!e || e->kind != STORE_ERROR_NONE)
                return r;

        e->kind = kind;
        if (name) {
                e->name = strdup(name);
                if (!e->name)
                        e->kind = STORE_ERROR_NO_MEMORY;
        }

        if (format) {
                va_list ap;

                va_start(ap, format);
                if (vasprintf(&e->reason, format, ap) < 0) {
                        e->reason = NULL;
                        e->kind = STORE_ERROR_NO_MEMORY;
                }
                va_end(ap);
        }

        return r;
}

int store_error_quota(StoreError *e, const char *limit, uint64_t current, uint64_t requested, uint64_t maximum) {
        (void) store_error_set(e, -EDQUOT, STORE_ERROR_QUOTA_EXCEEDED, /* name= */ NULL, /* format= */ NULL);
        if (e && e->kind == STORE_ERROR_QUOTA_EXCEEDED && !e->limit) {
                e->limit = limit;
                e->current = current;
                e->requested = requested;
                e->maximum = maximum;
        }
        return -EDQUOT;
}

int store_error_device(StoreError *e, int r) {
        switch (r) {
        case -ENODEV:
        case -ENXIO:
                return store_error_set(e, r, STORE_ERROR_NOT_SUPPORTED, NULL,
                                       "This kernel does not support PKRAM, or PKRAM is disabled. "
                                       "Boot a kernel with CONFIG_PKRAM=y. See 'pkramctl status' for details.");
        case -EPERM:
        case -EACCES:
                return store_error_set(e, r, STORE_ERROR_UNEXPECTED, NULL,
                                       "The kernel denies pkramd access to /dev/pkram. pkramd needs CAP_SYS_ADMIN "
                                       "and access to the device, and kernel lockdown must be off.");
        case -ENOMEM:
                return store_error_set(e, r, STORE_ERROR_NO_MEMORY, NULL, NULL);
        case -EDQUOT:
                return store_error_quota(e, STORE_LIMIT_DISK, 0, 0, UINT64_MAX);
        case -EROFS:
        case -ENOTBLK:
        case -ENOMEDIUM:
        case -EUCLEAN:
        case -EIO:
        case -ESTALE:
        case -ENOTDIR:
        case -ELOOP:
        case -EPROTONOSUPPORT:
                return store_error_set(e, r, STORE_ERROR_UNEXPECTED, NULL,
                                       "Nodes are kept in " PKRAM_DISK_DIRECTORY ", which cannot be used: %s.",
                                       disk_problem_text(r));
        default:
                return r;
        }
}

int store_error_errno(StoreError *e, int r) {
        switch (r) {
        case -ENOMEM:
                return store_error_set(e, r, STORE_ERROR_NO_MEMORY, NULL, NULL);
        case -EMFILE:
        case -ENFILE:
        case -EAGAIN:
        case -EINTR:
                return store_error_set(e, r, STORE_ERROR_TRY_AGAIN, NULL, "pkramd is busy: %s. Try again later.",
                                       strerror(-r));
        default:
                return store_error_set(e, r, STORE_ERROR_UNEXPECTED, NULL, "Unexpected error: %s.", strerror(-r));
        }
}
