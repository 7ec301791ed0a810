/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What pkram-qemu is told about a guest: NAME.conf, or options of the same meaning. */
#pragma once

#include "qemu-args.h"

#define GUEST_CONFIG_SECTION "Guest"
#define GUEST_CONFIG_DIRECTORY "/etc/pkram/qemu"
#define GUEST_DIRECTORY "/var/lib/pkram-qemu"

typedef struct GuestConfig {
        char *directory;          /* on a tree; NULL: GUEST_DIRECTORY/NAME */
        char *agent;              /* socket of the guest agent, or NULL */
        uint64_t size;            /* of the RAM, in bytes; 0: as the command says */
        uint64_t extra_max;       /* of memory beside the RAM, in bytes */
        uint64_t shutdown_usec;   /* for the guest to shut down */
        uint64_t save_usec;       /* for QEMU to save it */
        StringList command;       /* QEMU and its arguments */
} GuestConfig;

void guest_config_init(GuestConfig *c);
void guest_config_done(GuestConfig *c);
#define _cleanup_guest_config_ _cleanup_(guest_config_done)

/*
 * Sets what an assignment in the section says; config is a GuestConfig. Returns 0, -ENOENT: there is no such setting,
 * -EINVAL or -ERANGE: not such a value, or -ENOMEM.
 */
int guest_config_set(void *config, const char *key, const char *value);

/*
 * Reads the text of a file. Nothing in it is ignored. Returns 0, -ENOMEM, or -EINVAL, where *reterr says which line is
 * wrong and why; the caller frees it.
 */
int guest_config_parse(GuestConfig *c, const char *text, size_t length, char **reterr);
