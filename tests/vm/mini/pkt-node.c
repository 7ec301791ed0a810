/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Nodes: save, verify, list, info, remove. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pkt.h"

#define CHUNK (1U << 20)

static int open_or_say(void) {
        int fd = device_open();

        if (fd < 0)
                complain("cannot open %s: %s", PKRAM_DEVICE, strerror(-fd));
        return fd;
}

static int save_bytes(int dev, uint32_t object, const struct pkt_spec *spec, uint64_t length) {
        uint8_t *buffer = malloc(CHUNK);
        uint64_t done = 0;
        int r;

        if (!buffer)
                return -ENOMEM;
        do {
                uint64_t n = length - done < CHUNK ? length - done : CHUNK;
                struct pkram_ioctl_bytes b = {
                        .size = sizeof(b), .object = object, .data = (uintptr_t) buffer, .length = n,
                };

                pattern_fill(spec->seed ^ 0xb17e5, done, buffer, n);
                r = device_call(dev, PKRAM_IOC_SAVE_BYTES, &b);
                if (r < 0)
                        break;
                object = b.object;
                done += n;
        } while (done < length);
        free(buffer);
        return r;
}

static int save_object(int dev, const struct pkt_spec *spec, const char *name, uint32_t index) {
        uint32_t object = PKRAM_OBJECT_NEW;
        int fd, r;

        if (!spec->is_file)
                return save_bytes(dev, PKRAM_OBJECT_NEW, spec, spec->size);

        fd = file_make(spec, name);
        if (fd < 0)
                return fd;
        if (spec->keep)
                printf("pages=%" PRIu64 "\n", file_pages(fd));
        for (uint64_t offset = 0;; offset += spec->ranges) {
                struct pkram_ioctl_save_file f = { .size = sizeof(f), .fd = fd };

                if (spec->ranges) {
                        f.flags = PKRAM_SAVE_RANGE;
                        f.object = object;
                        f.offset = offset;
                        /* The last one goes up to the end, wherever that is. */
                        f.length = offset + spec->ranges < spec->size ? spec->ranges : 0;
                }
                r = device_call(dev, PKRAM_IOC_SAVE_FILE, &f);
                if (r < 0)
                        return complain("PKRAM_IOC_SAVE_FILE: %s", strerror(-r)), r;
                object = f.object;
                if (object != index)
                        return complain("the object got index %u, not %u", object, index), -EPROTO;
                if (!spec->ranges || offset + spec->ranges >= spec->size)
                        break;
        }
        close(fd);
        return spec->bytes ? save_bytes(dev, object, spec, spec->bytes) : 0;
}

/* Begin a node and put the objects in. Returns the saving descriptor. */
static int save_all(const char *name, int n, char **specs) {
        struct pkt_spec spec;
        int dev, r;

        dev = open_or_say();
        if (dev < 0)
                return dev;
        r = node_begin(dev, PKRAM_IOC_SAVE_BEGIN, name);
        if (r < 0)
                return complain("PKRAM_IOC_SAVE_BEGIN: %s", strerror(-r)), r;
        for (int i = 0; i < n; i++) {
                r = spec_parse(specs[i], &spec);
                if (r >= 0)
                        r = save_object(dev, &spec, name, i);
                if (r < 0)
                        return complain("object %d of '%s' cannot be saved: %s", i, name, strerror(-r)), r;
        }
        return dev;
}

int cmd_save(int argc, char **argv) {
        struct pkram_ioctl_commit c = { .size = sizeof(c) };
        int dev, r, at = 1;

        if (at < argc && strcmp(argv[at], "--replace") == 0)
                c.flags = PKRAM_COMMIT_REPLACE, at++;
        if (argc - at < 2)
                return complain("save NAME SPEC...");
        dev = save_all(argv[at], argc - at - 1, argv + at + 1);
        if (dev < 0)
                return 1;
        r = device_call(dev, PKRAM_IOC_SAVE_COMMIT, &c);
        close(dev);
        if (r < 0)
                return complain("PKRAM_IOC_SAVE_COMMIT: %s", strerror(-r));
        return c.id ? 0 : complain("the committed node has no id");
}

int cmd_kill(int argc, char **argv) {
        if (argc < 3)
                return complain("kill NAME SPEC...");
        if (save_all(argv[1], argc - 2, argv + 2) < 0)
                return 1;
        raise(SIGKILL);
        return 1;
}

static int verify_bytes(int dev, uint32_t object, uint64_t seed, uint64_t length) {
        uint8_t *have = malloc(CHUNK), *want = malloc(CHUNK);
        int r = have && want ? 0 : complain("no memory");

        for (uint64_t done = 0; r == 0;) {
                struct pkram_ioctl_bytes b = {
                        .size = sizeof(b), .object = object, .offset = done, .data = (uintptr_t) have, .length = CHUNK,
                };
                uint64_t n = length - done < CHUNK ? length - done : CHUNK;

                r = device_call(dev, PKRAM_IOC_LOAD_BYTES, &b);
                if (r < 0)
                        r = complain("PKRAM_IOC_LOAD_BYTES: %s", strerror(-r));
                else if (b.length != n)
                        r = complain("%" PRIu64 " bytes read at %" PRIu64 ", not %" PRIu64, (uint64_t) b.length, done,
                                     n);
                else if (n == 0)
                        break;
                else {
                        pattern_fill(seed ^ 0xb17e5, done, want, n);
                        if (memcmp(want, have, n) != 0)
                                r = complain("the byte stream differs after %" PRIu64, done);
                        done += n;
                }
        }
        free(have);
        free(want);
        return r;
}

/* Nothing of an object with memory errors can be had. */
static int verify_lost(int dev, uint32_t index) {
        struct pkram_ioctl_load_file load = {
                .size = sizeof(load), .object = index, .target_fd = PKRAM_FD_NONE, .charge_pidfd = PKRAM_FD_NONE,
        };
        uint8_t byte;
        struct pkram_ioctl_bytes b = { .size = sizeof(b), .object = index, .data = (uintptr_t) &byte, .length = 1 };
        struct pkram_ioctl_stat st = { .size = sizeof(st), .object = index };
        int r = device_call(dev, PKRAM_IOC_LOAD_STAT, &st);

        if (r == 0 && st.state & PKRAM_STAT_FILE)
                r = device_call(dev, PKRAM_IOC_LOAD_FILE, &load) == -EHWPOISON ? 0 :
                        complain("the file can be loaded");
        if (r == 0 && st.state & PKRAM_STAT_BYTES)
                r = device_call(dev, PKRAM_IOC_LOAD_BYTES, &b) == -EHWPOISON ? 0 :
                        complain("the byte stream can be loaded");
        return r;
}

static int verify_object(int dev, uint32_t index, const struct pkt_spec *spec, bool hold) {
        struct pkram_ioctl_stat st = { .size = sizeof(st), .object = index };
        struct pkram_ioctl_load_file load = {
                .size = sizeof(load), .object = index, .target_fd = PKRAM_FD_NONE, .charge_pidfd = PKRAM_FD_NONE,
        };
        uint64_t bytes = spec->is_file ? spec->bytes : spec->size;
        int r;

        r = device_call(dev, PKRAM_IOC_LOAD_STAT, &st);
        if (r < 0)
                return complain("PKRAM_IOC_LOAD_STAT: %s", strerror(-r));
        if (!!(st.state & PKRAM_STAT_FILE) != spec->is_file)
                return complain("object %u is %s file", index, spec->is_file ? "no" : "a");
        if (st.data_bytes != bytes)
                return complain("object %u has %" PRIu64 " bytes in its stream, not %" PRIu64, index,
                                (uint64_t) st.data_bytes, bytes);
        if (!!(st.state & PKRAM_STAT_POISONED) != spec->lost)
                return complain("object %u %s", index, spec->lost ? "has no memory errors" : "has memory errors");
        if (spec->lost)
                return verify_lost(dev, index);
        if (bytes && verify_bytes(dev, index, spec->seed, bytes))
                return 1;
        if (!spec->is_file)
                return 0;

        if (st.file_bytes != spec->size || (st.mode & 07777) != spec->mode || !S_ISREG(st.mode) ||
            st.uid != spec->uid || st.gid != spec->gid)
                return complain("PKRAM_IOC_LOAD_STAT tells size %" PRIu64 " mode %o owner %u:%u",
                                (uint64_t) st.file_bytes, st.mode, st.uid, st.gid);
        /* A tmpfs file cannot take seals, which shows as F_SEAL_SEAL. */
        if (st.seals != (spec->tmpfs ? F_SEAL_SEAL : spec->seals))
                return complain("seals are 0x%x, not 0x%x", st.seals, spec->seals);
        r = device_call(dev, PKRAM_IOC_LOAD_FILE, &load);
        if (r < 0)
                return complain("PKRAM_IOC_LOAD_FILE: %s", strerror(-r));
        if (fcntl(load.fd, F_GETFD) != FD_CLOEXEC)
                return complain("the loaded descriptor is not close-on-exec");
        r = file_compare(load.fd, spec);
        if (!hold)
                close(load.fd);
        return r < 0 ? 1 : 0;
}

/* Find a node in the listing. */
static int find_node(int dev, const char *name, struct pkram_node_info *ret) {
        struct pkram_ioctl_list l = {
                .size = sizeof(l), .nodes = (uintptr_t) ret, .capacity = 1, .node_size = sizeof(*ret),
        };

        for (;;) {
                int r = device_call(dev, PKRAM_IOC_LIST, &l);

                if (r < 0)
                        return r;
                if (l.returned == 0)
                        return -ENOENT;
                if (strcmp(ret->name, name) == 0)
                        return 0;
        }
}

int cmd_verify(int argc, char **argv) {
        struct pkram_node_info info;
        struct pkt_spec spec;
        const char *generation = NULL;
        bool keep = false, hold = false;
        int dev, r, at = 1;

        for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
                if (strcmp(argv[at], "--keep") == 0)
                        keep = true;
                else if (strcmp(argv[at], "--hold") == 0)
                        keep = hold = true;
                else if (strncmp(argv[at], "--generation=", 13) == 0)
                        generation = argv[at] + 13;
                else
                        return complain("verify: unknown option '%s'", argv[at]);
        }
        if (argc - at < 2)
                return complain("verify NAME SPEC...");

        dev = open_or_say();
        if (dev < 0)
                return 1;
        r = find_node(dev, argv[at], &info);
        if (r < 0)
                return complain("'%s' is not in the listing: %s", argv[at], strerror(-r));
        if (info.nr_objects != (uint32_t) (argc - at - 1))
                return complain("'%s' has %u objects, not %d", argv[at], info.nr_objects, argc - at - 1);
        if (generation && strtoull(generation, NULL, 10) != info.generation)
                return complain("'%s' has generation %" PRIu64 ", not %s", argv[at], (uint64_t) info.generation,
                                generation);
        r = node_begin(dev, PKRAM_IOC_LOAD_BEGIN, argv[at]);
        if (r < 0)
                return complain("PKRAM_IOC_LOAD_BEGIN: %s", strerror(-r));
        for (int i = 0; i < argc - at - 1; i++) {
                if (spec_parse(argv[at + 1 + i], &spec) < 0)
                        return 1;
                if (verify_object(dev, i, &spec, hold)) {
                        close(dev);
                        return complain("object %d of '%s' is not what was stored", i, argv[at]);
                }
        }
        if (hold) {
                puts("held");
                pause();
        }
        if (!keep) {
                r = node_begin(dev, PKRAM_IOC_REMOVE, argv[at]);
                if (r < 0)
                        return complain("PKRAM_IOC_REMOVE: %s", strerror(-r));
        }
        close(dev);
        return 0;
}

int cmd_remove(int argc, char **argv) {
        int dev = open_or_say();

        if (dev < 0)
                return 1;
        for (int i = 1; i < argc; i++) {
                int r = node_begin(dev, PKRAM_IOC_REMOVE, argv[i]);

                if (r < 0)
                        return complain("cannot remove '%s': %s", argv[i], strerror(-r));
        }
        return 0;
}

int cmd_list(int argc, char **argv) {
        struct pkram_node_info nodes[16];
        struct pkram_ioctl_list l = {
                .size = sizeof(l), .nodes = (uintptr_t) nodes, .capacity = 16, .node_size = sizeof(nodes[0]),
        };
        int dev = open_or_say();

        if (dev < 0)
                return 1;
        if (argc > 1 && strcmp(argv[1], "--dropped") == 0)
                l.flags = PKRAM_LIST_DROPPED;
        do {
                int r = device_call(dev, PKRAM_IOC_LIST, &l);

                if (r < 0)
                        return complain("PKRAM_IOC_LIST: %s", strerror(-r));
                for (uint32_t i = 0; i < l.returned; i++)
                        printf("%s generation=%" PRIu64 " data_pages=%" PRIu64 " meta_pages=%" PRIu64 " file_bytes=%"
                               PRIu64 " data_bytes=%" PRIu64 " objects=%u flags=%u damage=%u\n",
                               nodes[i].name, (uint64_t) nodes[i].generation, (uint64_t) nodes[i].data_pages,
                               (uint64_t) nodes[i].meta_pages, (uint64_t) nodes[i].file_bytes,
                               (uint64_t) nodes[i].data_bytes, nodes[i].nr_objects, nodes[i].flags, nodes[i].damage);
        } while (l.returned == l.capacity);
        return 0;
}

int cmd_info(int argc, char **argv) {
        struct pkram_ioctl_info i = { .size = sizeof(i) };
        int dev, r;

        dev = open_or_say();
        if (dev < 0)
                return 1;
        r = device_call(dev, PKRAM_IOC_INFO, &i);
        if (r < 0)
                return complain("PKRAM_IOC_INFO: %s", strerror(-r));

        const struct { const char *name; uint64_t value; } fields[] = {
                { "uapi_version", i.uapi_version }, { "format_version", i.format_version },
                { "boot_result", i.boot_result }, { "image_state", i.image_state }, { "super_pfn", i.super_pfn },
                { "generation", i.generation }, { "nr_nodes", i.nr_nodes }, { "data_pages", i.data_pages },
                { "meta_pages", i.meta_pages }, { "nr_dropped", i.nr_dropped }, { "sealed_ns", i.sealed_ns },
                { "restored_ns", i.restored_ns },
        };
        for (size_t k = 0; k < sizeof(fields) / sizeof(fields[0]); k++)
                if (argc < 2)
                        printf("%s=%" PRIu64 "\n", fields[k].name, fields[k].value);
                else if (strcmp(argv[1], fields[k].name) == 0)
                        return printf("%" PRIu64 "\n", fields[k].value), 0;
        if (argc < 2)
                return printf("prev_release=%.64s\n", i.prev_release), 0;
        return complain("there is no field '%s'", argv[1]);
}
