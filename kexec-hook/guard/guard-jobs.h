/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the service manager is about to do, read from its job queue: that is the same whether the shutdown came
 * from logind, from `systemctl start kexec.target`, from a timer or over D-Bus. */

#include <systemd/sd-bus.h>

typedef enum ShutdownKind {
        SHUTDOWN_NONE,          /* nothing of that sort: a unit was stopped by hand */
        SHUTDOWN_SOFT_REBOOT,   /* the kernel goes on, so does all that is stored */
        SHUTDOWN_KEXEC,
        SHUTDOWN_OTHER,         /* reboot, poweroff, halt: memory is lost */
} ShutdownKind;

/* What a queued job of this type for this unit says. */
ShutdownKind shutdown_kind_of_job(const char *unit, const char *type);

/* Asks the service manager for its queue. A kexec beats the others, which cannot be queued with it. */
int manager_shutdown_kind(sd_bus *bus, ShutdownKind *ret);

/* Cancels every queued job in one step, then starts unit (again) as soon as it has stopped. */
int manager_cancel_all(sd_bus *bus, const char *unit);

/* Cancels a kexec, reboot, poweroff or halt that was scheduled and is due. Otherwise /run/nologin would forbid logins
 * until it is cancelled by hand. Returns 0 also if there is none, or no logind. */
int logind_cancel_scheduled(void);
