/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kexec without tools: load with kexec_file_load(2), jump with reboot(2). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pkt.h"

int cmd_kexec(int argc, char **argv) {
        bool load = true, jump = true;
        unsigned long flags = 0;
        int at = 1;

        if (at < argc && strcmp(argv[at], "--load-only") == 0)
                jump = false, at++;
        else if (at < argc && strcmp(argv[at], "--crash") == 0)
                jump = false, flags = KEXEC_FILE_ON_CRASH, at++;
        else if (at < argc && strcmp(argv[at], "--exec-only") == 0)
                load = false, at++;
        else if (at < argc && strcmp(argv[at], "--unload") == 0)
                return syscall(SYS_kexec_file_load, -1, -1, 0UL, NULL, (unsigned long) KEXEC_FILE_UNLOAD) < 0 ?
                       complain("cannot unload: %m") : 0;

        if (load) {
                const char *line;
                int kernel, initrd;

                if (argc - at != 3)
                        return complain("kexec KERNEL INITRD COMMAND-LINE");
                kernel = open(argv[at], O_RDONLY | O_CLOEXEC);
                initrd = open(argv[at + 1], O_RDONLY | O_CLOEXEC);
                line = argv[at + 2];
                if (kernel < 0 || initrd < 0)
                        return complain("cannot open the kernel or the initrd: %m");
                if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(line) + 1, line, flags) < 0)
                        return complain("kexec_file_load: %m");
                close(kernel);
                close(initrd);
        }
        if (jump) {
                sync();
                /* For the bench, which wants to know how long it takes until the next kernel's init says the same. */
                printf("@@pkram TSC %llu\n", (unsigned long long) __builtin_ia32_rdtsc());
                syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
                return complain("reboot(LINUX_REBOOT_CMD_KEXEC): %m");
        }
        return 0;
}
