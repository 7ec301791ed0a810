/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/capability.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "device-places.h"
#include "kexec-call.h"
#include "log.h"
#include "manager.h"

static void on_disk_notice(const char *text, _unused_ void *userdata) {
        log_warning("%s.", text);
}

/* Sets up the disk as the place of nodes, or lets this boot go by without it. */
static int disk_set_up(const Config *c, DiskDevice **ret) {
        _cleanup_(disk_device_freep) DiskDevice *disk = NULL;
        DiskBoot boot;
        int r;

        /* A kdump kernel saves the dump. The nodes are for the boot after it. */
        if (access("/proc/vmcore", F_OK) >= 0)
                return 0;

        if (!c->disk) {
                /* Without nodes on disk, the unit hides from the daemon what it would need to look for them. */
                if (access(PKRAM_DISK_DIRECTORY, F_OK) < 0)
                        return 0;
                r = disk_boot_get(&boot);
                if (r >= 0)
                        r = disk_directory_pass(PKRAM_DISK_DIRECTORY, &boot);
                if (r < 0)
                        log_warning("Failed to mark the nodes in "
                                    PKRAM_DISK_DIRECTORY " as not used in this boot: %s.", strerror(-r));
                return 0;
        }

        r = disk_boot_get(&boot);
        if (r == -ENOENT) {
                /* pkram-generator did not make the disk accessible. With PKRAM there is nothing on it, usually. */
                if (access(PKRAM_DEVICE, F_OK) < 0 || access(PKRAM_DISK_DIRECTORY "/state", F_OK) >= 0)
                        log_warning("The unit of pkramd does not permit access to " PKRAM_DISK_DIRECTORY ", not using "
                                    "the disk. After a change of pkramd.conf or fstab, run 'systemctl daemon-reload' "
                                    "and restart pkramd.service.");
                return 0;
        }
        if (r < 0)
                return log_error_errno(r, "Failed to read the boot ID");
        r = disk_device_new(PKRAM_DISK_DIRECTORY, &boot, on_disk_notice, /* userdata= */ NULL, &disk);
        if (r < 0)
                return log_error_errno(r, "Failed to set up the store on disk");
        disk_device_set_keep(disk, c->disk_keep_days * 24 * 60 * 60);
        *ret = TAKE_PTR(disk);
        return 0;
}

/*
 * Where pkram-generator cannot see whether a kernel without PKRAM has left nodes on disk, pkramd starts with the
 * rights to give files the owners and modes that they had. Gives them up. For PKRAM itself CAP_SYS_ADMIN is enough.
 */
static int rights_give_up(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
        const uint32_t keep[_LINUX_CAPABILITY_U32S_3] = { 1U << CAP_SYS_ADMIN, 0 };

        if (syscall(SYS_capget, &header, data) < 0)
                return -errno;
        for (size_t i = 0; i < ELEMENTSOF(keep); i++) {
                data[i].permitted &= keep[i];
                data[i].effective &= keep[i];
                data[i].inheritable &= keep[i];
        }
        return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int pkramd_run(void) {
        _cleanup_(disk_device_freep) DiskDevice *disk = NULL;
        _cleanup_(places_freep) Places *places = NULL;
        _cleanup_(manager_freep) Manager *m = NULL;
        PkramDevice device = pkram_device_kernel;
        struct pkram_ioctl_info info;
        Config config;
        int r;

        r = manager_read_config(&config);
        if (r < 0)
                return r;
        r = disk_set_up(&config, &disk);
        if (r < 0)
                return r;
        if (disk) {
                r = places_new(&pkram_device_kernel, disk, PKRAM_DISK_DIRECTORY, &places);
                if (r < 0)
                               return log_error_errno(r, "Failed to set up the device");
                device = places_device(places);
                /* Enters the directory, and logs what keeps it from being used. Calls return the error. */
                (void) pkram_device_info(&device, &info);
                r = places_remove_hidden(places);
                if (r < 0)
                        log_warning("Failed to remove older copies of nodes in memory from the disk, ignoring: %s",
                                    disk_error_text(r));
                r = places_read_disk(places) ? 0 : rights_give_up();
                if (r < 0)
                        log_warning("Failed to give up rights that are needed for nodes on disk, ignoring: %s",
                                    strerror(-r));
        }
        r = manager_new(&device, &m);
        if (r < 0)
                return log_error_errno(r, "Failed to set up pkramd");

        m->check_path = KEXEC_CHECK_SOCKET;
        m->units_path = KEXEC_UNITS_DIR;
        manager_set_config(m, &config);
        r = manager_listen_fds(m);
        if (r < 0)
                return r;

        return manager_run(m);
}

int main(int argc, char *argv[]) {
        if (argc == 2 && streq(argv[1], "--version")) {
                puts("pkramd " PKRAM_VERSION);
                return EXIT_SUCCESS;
        }
        if (argc > 1) {
                bool help = argc == 2 && streq(argv[1], "--help");

                (void) fputs("pkramd [--help|--version]\n\n"
                             "Preserve memory of services across kexec. Started by pkramd.socket.\n"
                             "See pkramd(8), pkramd.conf(5) and io.pkram.Store(7).\n", help ? stdout : stderr);
                return help ? EXIT_SUCCESS : EXIT_FAILURE;
        }

        return pkramd_run() < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
