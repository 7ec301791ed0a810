/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "conf-file.h"
#include "qemu-args.h"
#include "qemu-option.h"
#include "refuse.h"
#include "utf8.h"

void qemu_plan_done(QemuPlan *p) {
        string_list_done(&p->ram_files);
        string_list_done(&p->ram_ids);
        *p = (QemuPlan) {};
}

#define QEMU_JSON_HINT "this cannot be checked. Write JSON with double quotes, and each key once."

static bool is_on(const char *value) {
        return value && (streq(value, "on") || streq(value, "yes") || streq(value, "true") || streq(value, "y"));
}

/* --- what cannot be kept --- */

/* Options that exclude being kept, each with the reason. */
static const struct {
        const char *option, *reason;
} refused_options[] = {
        { "async-teardown", "a process that outlives QEMU has the guest's memory mapped" },
        { "chroot",      "QEMU has to write into the guest's directory when it saves" },
        { "daemonize",   "pkram-qemu has to see QEMU end, and the service manager does what it is for" },
        { "fsdev",       "QEMU cannot save a guest that has mounted a file system over 9p" },
        { "incoming",    "pkram-qemu adds it when there is a saved guest" },
        { "loadvm",      "a guest begins from its saved memory or boots" },
        { "mem-path",    "memory in that file is not shared; give --size= alone, or a memory-backend-file with "
          "share=on" },
        { "preconfig",   "pkram-qemu does not wait for a configuration over QMP" },
        { "readconfig",  "options in a file cannot be checked; write them on the command line" },
        { "runas",       "QEMU has to write into the guest's directory when it saves; set User= in the unit" },
        { "set",         "what it changes cannot be checked; write it where the thing is defined" },
        { "snapshot",    "QEMU drops the changes to disks when it ends, and a guest that goes on would miss them" },
        { "virtfs",      "QEMU cannot save a guest that has mounted a file system over 9p" },
};

/* Beginnings of names of devices, network backends and objects that exclude it. */
static const struct {
        const char *beginning, *reason;
} refused_drivers[] = {
        { "vfio",       "a device that is passed through reads and writes the guest's memory at fixed addresses "
          "(pinned memory)" },
        { "x-vfio",     "a device that is passed through reads and writes the guest's memory at fixed addresses "
          "(pinned memory)" },
        { "iommufd",    "a device that is passed through reads and writes the guest's memory at fixed addresses "
          "(pinned memory)" },
        { "vhost-user", "another process has the guest's memory mapped and keeps a state that is not saved "
          "(vhost-user, virtiofsd)" },
        { "vhost-vdpa", "the device reads and writes the guest's memory at fixed addresses (pinned memory)" },
        { "cryptodev-vhost-user", "another process has the guest's memory mapped (vhost-user)" },
        { "x-pci-proxy-dev", "another process has the guest's memory mapped and keeps a state that is not saved" },
        { "ivshmem",    "memory that is shared with other programs is not saved" },
        { "sev-",       "encrypted memory can be used by the system that encrypted it only" },
        { "s390-pv-guest", "encrypted memory can be used by the system that encrypted it only" },
        { "tdx-guest",  "encrypted memory can be used by the system that encrypted it only" },
        { "memory-backend-epc", "encrypted memory can be used by the system that encrypted it only" },
        { "virtio-9p",  "QEMU cannot save a guest that has mounted a file system over 9p" },
};

static int driver_check(const char *option, const char *text, const char *key, char **reterr) {
        _cleanup_free_ char *driver = NULL;
        int r;

        r = qemu_option_find(text, key, key, &driver);
        if (r < 0 || !driver)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(refused_drivers); i++)
                if (startswith(driver, refused_drivers[i].beginning))
                        return refuse(reterr, "-%s %s: %s.", option, driver, refused_drivers[i].reason);
        return 0;
}

static int network_check(const char *option, const char *text, char **reterr) {
        _cleanup_free_ char *vhost_user = NULL;
        int r;

        r = driver_check(option, text, "type", reterr);
        if (r >= 0)
                r = qemu_option_find(text, "type", "vhost-user", &vhost_user);
        if (r < 0)
                return r;
        if (is_on(vhost_user))
                return refuse(reterr, "-%s vhost-user=on: another process has the guest's memory mapped.", option);
        return 0;
}

/* Beginnings of names of drivers of the block layer that exclude being kept, and of file names that lead to one. */
static const struct {
        const char *beginning, *reason;
} refused_block_drivers[] = {
        { "nvme",                  "it gives the device fixed addresses in the guest's memory (pinned memory)" },
        { "virtio-blk-vfio",       "it gives the device fixed addresses in the guest's memory (pinned memory)" },
        { "virtio-blk-vhost-vdpa", "it gives the device fixed addresses in the guest's memory (pinned memory)" },
        { "virtio-blk-vhost-user", "another process has the guest's memory mapped (vhost-user)" },
};

typedef struct BlockCheck {
        const char *option;   /* for messages */
        unsigned depth;       /* of file names that are descriptions */
        char **reterr;
} BlockCheck;

#define BLOCK_DEPTH_MAX 8

/* A key and its value anywhere in the description of a disk. */
static int block_check(void *userdata, const char *key, const char *value, _unused_ bool nested) {
        BlockCheck *c = userdata;
        const char *json = startswith(value, "json:");
        int r;

        if (streq(key, "driver") || streq(key, "format") || startswith(value, "nvme://"))
                for (size_t i = 0; i < ELEMENTSOF(refused_block_drivers); i++)
                        if (startswith(value, refused_block_drivers[i].beginning))
                                return refuse(c->reterr, "%s with the driver %.100s: %s.", c->option, value,
                                              refused_block_drivers[i].reason);
        if (!json)
                return 0;
        if (*json != '{' || c->depth >= BLOCK_DEPTH_MAX)
                return -EBADMSG;
        c->depth++;
        r = qemu_option_walk(json, NULL, block_check, c);
        c->depth--;
        return r;
}

static int drive_check(const char *option, const char *text, char **reterr) {
        _cleanup_free_ char *snapshot = NULL, *name = NULL;
        BlockCheck c = { .reterr = reterr };
        int r;

        if (asprintf(&name, "-%s", option) < 0) {
                name = NULL;
                return -ENOMEM;
        }
        c.option = name;
        r = qemu_option_walk(text, NULL, block_check, &c);
        if (r >= 0)
                r = qemu_option_find(text, NULL, "snapshot", &snapshot);
        if (r < 0)
                return r;
        if (is_on(snapshot))
                return refuse(reterr, "-%s snapshot=on: QEMU drops the changes when it ends, "
                              "and a guest that goes on would miss them.", option);
        return 0;
}

/* A word that is no option: a disk image, or the value of an option, as -hda. */
static int word_check(const char *word, char **reterr) {
        BlockCheck c = { .option = "A disk", .reterr = reterr };
        int r;

        r = block_check(&c, "file", word, /* nested= */ false);
        if (r == -EBADMSG)
                return refuse(reterr, "%.100s: " QEMU_JSON_HINT, word);
        return r;
}

bool qemu_path_is_below(const char *path, const char *directory) {
        const char *rest = startswith(path, directory);

        return rest && *rest == '/' && path[strlen(path) - 1] != '/' && !strstr(path, "/..");
}

static bool list_has(const StringList *l, const char *text) {
        for (size_t i = 0; i < l->n; i++)
                if (streq(l->item[i], text))
                        return true;
        return false;
}

static int object_check(QemuPlan *p, const char *text, const char *directory, char **reterr) {
        _cleanup_free_ char *type = NULL, *share = NULL, *path = NULL, *id = NULL, *size = NULL, *discard = NULL;
        uint64_t bytes;
        int r;

        r = driver_check("object", text, "qom-type", reterr);
        if (r >= 0)
                r = qemu_option_find(text, "qom-type", "qom-type", &type);
        if (r >= 0)
                r = qemu_option_find(text, NULL, "share", &share);
        if (r >= 0)
                r = qemu_option_find(text, NULL, "mem-path", &path);
        if (r >= 0)
                r = qemu_option_find(text, NULL, "id", &id);
        if (r >= 0)
                r = qemu_option_find(text, NULL, "size", &size);
        if (r >= 0)
                r = qemu_option_find(text, NULL, "discard-data", &discard);
        if (r < 0 || !type || !startswith(type, "memory-backend-"))
                return r;

        if (id && streq(id, QEMU_RAM_ID))
                return refuse(reterr, "-object id=%s: pkram-qemu uses this identifier itself.", QEMU_RAM_ID);
        if (!is_on(share) && !streq(type, "memory-backend-shm"))
                return 0; /* goes into the saved state, which has a limit, and is refused as the guest's RAM */
        if (!streq(type, "memory-backend-file") || !path || !qemu_path_is_below(path, directory))
                return refuse(reterr, "-object %s with share=on: only files below %s are kept. "
                              "Use memory-backend-file with mem-path= there.", type, directory);
        if (is_on(discard))
                return refuse(reterr, "-object %s with discard-data=on: QEMU discards the guest's memory when "
                              "it ends.", type);
        if (list_has(&p->ram_files, path))
                return refuse(reterr, "-object mem-path=%s: another object has its memory in this file.", path);
        if (!size || conf_parse_size(size, /* shift= */ 0, &bytes) < 0 || !inc_u64(&p->more, bytes))
                return refuse(reterr, "-object %s size=%s: write the size as a whole number with K, M, G or T.",
                              type, size ?: "");
        r = string_list_add(&p->ram_files, path);
        return r < 0 ? r : string_list_add(&p->ram_ids, id ?: "");
}

/* --- the command line as a whole --- */

typedef struct Scan {
        char *memory_backend; /* of -machine */
        StringList numa;      /* memory backends of -numa */
        StringList persistent; /* those of devices whose memory outlives the guest, after the name of each device */
        uint64_t size;        /* of -m */
} Scan;

static void scan_done(Scan *s) {
        free(s->memory_backend);
        string_list_done(&s->numa);
        string_list_done(&s->persistent);
}

static int machine_check(Scan *s, const char *text, char **reterr) {
        static const char *const encrypted[] = { "confidential-guest-support", "memory-encryption" };
        _cleanup_free_ char *backend = NULL;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(encrypted); i++) {
                _cleanup_free_ char *value = NULL;

                r = qemu_option_find(text, "type", encrypted[i], &value);
                if (r < 0)
                        return r;
                if (value)
                        return refuse(reterr, "-machine %s=: encrypted memory can be used by the system that "
                                      "encrypted it only.", encrypted[i]);
        }
        r = qemu_option_find(text, "type", "memory-backend", &backend);
        if (r < 0 || !backend)
                return r;
        free(s->memory_backend);
        s->memory_backend = TAKE_PTR(backend);
        return 0;
}

static int memory_size_check(Scan *s, const char *text, char **reterr) {
        _cleanup_free_ char *value = NULL;
        int r;

        r = qemu_option_find(text, "size", "size", &value);
        if (r < 0 || !value)
                return r;
        if (conf_parse_size(value, /* shift= */ 20, &s->size) < 0 || s->size == 0)
                return refuse(reterr, "-m %s: write the size as a whole number with K, M, G or T.", value);
        return 0;
}

static int numa_check(Scan *s, const char *text, char **reterr) {
        _cleanup_free_ char *memdev = NULL, *mem = NULL;
        int r;

        r = qemu_option_find(text, "type", "memdev", &memdev);
        if (r >= 0)
                r = qemu_option_find(text, "type", "mem", &mem);
        if (r < 0)
                return r;
        if (mem)
                return refuse(reterr, "-numa mem=: give each node a memory-backend-file with share=on, "
                              "and memdev=.");
        return memdev ? string_list_add(&s->numa, memdev) : 0;
}

/* Notes what memory is to be there after the guest was off. */
static int device_check(Scan *s, const char *text, char **reterr) {
        static const char *const drivers[] = { "nvdimm", "virtio-pmem", "cxl-type3" },
                *const keys[] = { "memdev", "persistent-memdev", "lsa" };
        _cleanup_free_ char *driver = NULL;
        bool found = false;
        int r;

        r = driver_check("device", text, "driver", reterr);
        if (r >= 0)
                r = qemu_option_find(text, "driver", "driver", &driver);
        for (size_t i = 0; r >= 0 && driver && i < ELEMENTSOF(drivers); i++)
                found = found || startswith(driver, drivers[i]);
        for (size_t i = 0; r >= 0 && found && i < ELEMENTSOF(keys); i++) {
                _cleanup_free_ char *backend = NULL;

                r = qemu_option_find(text, "driver", keys[i], &backend);
                if (r >= 0 && backend && (r = string_list_add(&s->persistent, driver)) >= 0)
                        r = string_list_add(&s->persistent, backend);
        }
        return r;
}

static int option_check(QemuPlan *p, Scan *s, const char *option, const char *value, const char *directory,
                        char **reterr) {
        for (size_t i = 0; i < ELEMENTSOF(refused_options); i++)
                if (streq(option, refused_options[i].option))
                        return refuse(reterr, "-%s: %s.", option, refused_options[i].reason);
        if (streq(option, "S"))
                p->start_paused = true;
        if (!value)
                return 0;

        if (streq(option, "device"))
                return device_check(s, value, reterr);
        if (streq(option, "netdev") || streq(option, "nic") || streq(option, "net"))
                return network_check(option, value, reterr);
        if (streq(option, "object"))
                return object_check(p, value, directory, reterr);
        if (streq(option, "machine") || streq(option, "M"))
                return machine_check(s, value, reterr);
        if (streq(option, "m"))
                return memory_size_check(s, value, reterr);
        if (streq(option, "numa"))
                return numa_check(s, value, reterr);
        if (streq(option, "drive") || streq(option, "blockdev"))
                return drive_check(option, value, reterr);
        if (streq(option, "run-with")) {
                _cleanup_free_ char *user = NULL, *chroot = NULL, *teardown = NULL;
                int r = qemu_option_find(value, NULL, "user", &user);

                if (r >= 0)
                        r = qemu_option_find(value, NULL, "chroot", &chroot);
                if (r >= 0)
                        r = qemu_option_find(value, NULL, "async-teardown", &teardown);
                if (r < 0)
                        return r;
                if (is_on(teardown))
                        return refuse(reterr, "-run-with async-teardown=on: a process that outlives QEMU has the "
                                      "guest's memory mapped.");
                if (user || chroot)
                        return refuse(reterr, "-run-with user= or chroot=: QEMU has to write into the guest's "
                                      "directory when it saves; set User= in the unit.");
        }
        return 0;
}

static int ram_check(QemuPlan *p, const Scan *s, uint64_t size, const char *directory, char **reterr) {
        _cleanup_free_ char *file = NULL;

        if (size > 0 && s->size > 0 && size != s->size)
                return refuse(reterr, "--size= and -m say different sizes: give one of them.");
        p->size = size ?: s->size;
        if (p->size == 0)
                return refuse(reterr, "How much memory the guest has is not known: give --size=.");
        p->add_size = s->size == 0;

        if (s->memory_backend && !list_has(&p->ram_ids, s->memory_backend))
                return refuse(reterr, "-machine memory-backend=%s: the guest's RAM has to be a "
                              "memory-backend-file with share=on and mem-path= below %s. "
                              "Without memory-backend=, pkram-qemu adds that.", s->memory_backend, directory);
        for (size_t i = 0; i < s->numa.n; i++)
                if (!list_has(&p->ram_ids, s->numa.item[i]))
                        return refuse(reterr, "-numa memdev=%s: the guest's RAM has to be a memory-backend-file "
                                      "with share=on and mem-path= below %s.", s->numa.item[i], directory);
        for (size_t i = 0; i < s->persistent.n; i += 2)
                if (list_has(&p->ram_ids, s->persistent.item[i + 1]))
                        return refuse(reterr, "-device %s: pkram-qemu removes the file of %s when the guest is off, "
                                      "and what is in this device is to stay. Use a disk.", s->persistent.item[i],
                                      s->persistent.item[i + 1]);
        p->add_ram = !s->memory_backend && s->numa.n == 0;
        if (!p->add_ram) {
                p->more -= MIN(p->more, p->size);
                return 0;
        }
        if (asprintf(&file, "%s/" GUEST_RAM_FILE, directory) < 0) {
                file = NULL;
                return -ENOMEM;
        }
        if (list_has(&p->ram_files, file))
                return refuse(reterr, "-object mem-path=%s: pkram-qemu puts the guest's RAM there; "
                              "use another file.", file);
        if (string_list_add(&p->ram_files, file) < 0)
                return -ENOMEM;
        return string_list_add(&p->ram_ids, QEMU_RAM_ID);
}

int qemu_plan_make(char *const *arguments, const char *directory, uint64_t size, QemuPlan *ret, char **reterr) {
        _cleanup_(scan_done) Scan s = {};
        _cleanup_plan_ QemuPlan p = {};
        int r;

        *reterr = NULL;
        if (!arguments[0])
                return refuse(reterr, "There is no command.");
        if (*directory != '/' || strpbrk(directory, ",\n") || strstr(directory, "/.."))
                return refuse(reterr, "The directory '%s' has to be absolute, without '..' and without a comma.",
                              directory);

        for (char *const *a = arguments + 1; *a; a++) {
                const char *option = **a == '-' ? *a + 1 : NULL;

                if (!utf8_is_valid(*a))
                        return refuse(reterr, "The arguments have to be UTF-8.");
                if (option) {
                        option += *option == '-';
                        r = option_check(&p, &s, option, a[1], directory, reterr);
                        if (r == -EBADMSG)
                                r = refuse(reterr, "-%s: " QEMU_JSON_HINT, option);
                } else
                        r = word_check(*a, reterr);
                if (r < 0)
                        return r;
        }
        r = ram_check(&p, &s, size, directory, reterr);
        if (r < 0)
                return r;
        *ret = p;
        p = (QemuPlan) {};
        return 0;
}

int qemu_plan_command(const QemuPlan *p, char *const *arguments, const char *directory, int monitor_fd, bool incoming,
                      StringList *ret) {
        _cleanup_list_ StringList l = {};
        int r = 0;

        for (char *const *a = arguments; r >= 0 && *a; a++)
                r = string_list_add(&l, *a);
        if (r >= 0 && p->add_size && (r = string_list_add(&l, "-m")) >= 0)
                r = string_list_addf(&l, "size=%lluK", (unsigned long long) (p->size >> 10));
        if (r >= 0 && p->add_ram && (r = string_list_add(&l, "-object")) >= 0)
                r = string_list_addf(&l, "memory-backend-file,id=" QEMU_RAM_ID ",size=%llu,mem-path=%s/"
                                     GUEST_RAM_FILE ",share=on", (unsigned long long) p->size, directory);
        if (r >= 0 && p->add_ram && (r = string_list_add(&l, "-machine")) >= 0)
                r = string_list_add(&l, "memory-backend=" QEMU_RAM_ID);
        if (r >= 0 && (r = string_list_add(&l, "-chardev")) >= 0)
                r = string_list_addf(&l, "socket,id=" QEMU_MONITOR_ID ",fd=%i", monitor_fd);
        if (r >= 0 && (r = string_list_add(&l, "-mon")) >= 0)
                r = string_list_add(&l, "chardev=" QEMU_MONITOR_ID ",mode=control");
        /* The guest runs when everything has been checked. */
        if (r >= 0 && !p->start_paused)
                r = string_list_add(&l, "-S");
        if (r >= 0 && incoming && (r = string_list_add(&l, "-incoming")) >= 0)
                r = string_list_add(&l, "defer");
        if (r < 0)
                return r;
        *ret = l;
        l = (StringList) {};
        return 0;
}
