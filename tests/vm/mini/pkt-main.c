/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "pkt.h"

static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
        const char *help;
} commands[] = {
        { "info",     cmd_info,     "[FIELD]: state of the store, or one field of it" },
        { "list",     cmd_list,     "[--dropped]: one line a node" },
        { "save",     cmd_save,     "[--replace] NAME SPEC...: make the objects and store them" },
        { "verify",   cmd_verify,   "[--keep|--hold] [--generation=N] NAME SPEC...: load and compare everything" },
        { "remove",   cmd_remove,   "NAME..." },
        { "kill",     cmd_kill,     "NAME SPEC...: save without commit, then die by SIGKILL" },
        { "frozen",   cmd_frozen,   "NAME: what a stored file refuses, and that it thaws" },
        { "refusals", cmd_refusals, ": every misuse of the device and its errno" },
        { "bench",    cmd_bench,    "save|load|pack NAME SPEC...: nanoseconds (instructions under icount), "
          "and pages" },
        { "kexec",    cmd_kexec,    "[--load-only|--crash|--unload|--exec-only] KERNEL INITRD COMMAND-LINE" },
        { "kexec-segments", cmd_kexec_segments,
          "[--at ADDRESS|--tight] KERNEL INITRD COMMAND-LINE: load with kexec_load(2)" },
        { "pfns",     cmd_pfns,     "NAME PAGE...: where pages of the first object are in memory" },
        { "vmcore",   cmd_vmcore,   "SPEC PAGE=PFN...: compare pages in the memory of the kernel that crashed" },
        { "damage",   cmd_damage,   "store|check ROUND SEED, rounds: spoilt metadata" },
        { "parallel-load", cmd_parallel_load, "NAME SPEC...: load and compare, a thread an object" },
        { "parallel-save", cmd_parallel_save, "NAME SPEC: save one file in ranges, by several threads" },
        { "load-killed", cmd_load_killed, "NAME: load the first object, and die by SIGKILL in the middle of it" },
        { "join-cross", cmd_join_cross, ": two idle descriptors join each other, again and again" },
        { "poison",   cmd_poison,   "NAME OBJECT PAGE...: memory errors in pages of a stored file" },
        { "poisoned", cmd_poisoned, "PFN...: are these pages marked as bad, and not free?" },
        { "hidden",   cmd_hidden,   "PFN...: are these pages left out of crash dumps as memory that is offline?" },
        { "starve",   cmd_starve,   "LEFT NAME [KERNEL INITRD COMMAND-LINE]: save more than the LEFT KiB that "
          "are free" },
        { "uncapable", cmd_uncapable, "PROGRAM [ARGUMENT...]: run it as root without CAP_SYS_ADMIN" },
        { "luo",      cmd_luo,      "keep|verify SESSION SPEC..., exclude: files that live update preserves, "
          "and what it costs" },
        { "tsc",      cmd_tsc,      ": mount /proc; a marker line: time stamp counter, idle nanoseconds" },
};

int complain(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        vfprintf(stderr, format, ap);
        va_end(ap);
        fputc('\n', stderr);
        return 1;
}

int device_open(void) {
        int fd = open(PKRAM_DEVICE, O_RDWR | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

int device_call(int fd, unsigned long command, void *argument) {
        return ioctl(fd, command, argument) < 0 ? -errno : 0;
}

int node_begin(int fd, unsigned long command, const char *name) {
        struct pkram_ioctl_name n = { .size = sizeof(n) };

        if (strlen(name) > PKRAM_NODE_NAME_MAX)
                return -ENAMETOOLONG;
        strcpy(n.name, name);
        return device_call(fd, command, &n);
}

int main(int argc, char **argv) {
        setvbuf(stdout, NULL, _IOLBF, 0);
        for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
                if (strcmp(argv[1], commands[i].name) == 0)
                        return commands[i].run(argc - 1, argv + 1);

        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
                fprintf(stderr, "pkt %s %s\n", commands[i].name, commands[i].help);
        return 2;
}
