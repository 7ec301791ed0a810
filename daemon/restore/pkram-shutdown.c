/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last program of a system that goes into a kexec: systemd-shutdown(8) runs what is
 * in system-shutdown/ when all processes are gone and file systems unmounted. Keeps for
 * the next system what is known about the kexec, what journald could write to memory only,
 * and the lines of the kernel's log that it did not live to see. Whatever fails here must
 * not hold up the kexec.
 */
#include <fcntl.h>
#include <stdio.h>
#include <syslog.h>
#include <systemd/sd-id128.h>

#define SD_JOURNAL_SUPPRESS_LOCATION

#include "device.h"
#include "file-util.h"
#include "journal-util.h"
#include "kexec-record.h"
#include "kexec-trees.h"
#include "log-tail.h"
#include "name.h"
#include "store.h"
#include "system-node.h"
#include "time-util.h"

/* Where journald notes how far it has read the kernel's log: one number, as the processor has it. */
#define JOURNALD_SEQUENCE_PATH "/run/systemd/journal/kernel-seqnum"

/* Where journald writes when it may not write to disk: always, or since /var is on its way out. Lost with this
 * system. */
#define RUNTIME_JOURNAL "/run/log/journal"

/* So many of its entries are taken. */
#define RUNTIME_ENTRIES_MAX 500U

/* Without that file: so many lines of the kernel's log are taken. */
#define LINES_WITHOUT_SEQUENCE 200U

/* What a record of the kernel's log can be long, as in the kernel. */
#define KMSG_RECORD_MAX 8192U

/* To the console, and so to what the next boot replays. */
_printf_(1, 2) static void say(const char *format, ...) {
        _cleanup_close_ int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY);
        va_list ap;

        if (fd < 0)
                return;
        va_start(ap, format);
        (void) vdprintf(fd, format, ap);
        va_end(ap);
}

static int record_nodes(KexecRecord *record, const PkramDevice *device) {
        const Peer root = { .pidfd = -EBADF, .owner = (char *) OWNER_ROOT };
        _cleanup_(store_freep) Store *s = NULL;
        _cleanup_(store_list_freep) StoreList *l = NULL;
        Config c;
        int r;

        config_init(&c);
        r = store_new(device, &c, &s);
        if (r >= 0)
                r = store_list_new(s, &root, /* owner= */ NULL, &l, /* reterr_error= */ NULL);
        while (r >= 0) {
                _cleanup_node_ StoreNode node = {};

                r = store_list_next(l, &node, /* reterr_error= */ NULL);
                if (r == 0)
                        break;
                if (r > 0 && !system_node_name(node.info.name))
                        r = kexec_record_add(record, node.owner, node.name,
                                             node.info.file_bytes + node.info.data_bytes);
        }
        return r;
}

static int shutdown_add_tree(const KexecTree *tree, void *userdata) {
        TreeLost why = tree_lost_from_string(tree->lost);
        const char *name = tree->name;

        /* No tree can be stored under an invalid name. */
        if (name_validate(name, NULL) < 0)
                return 0;
        say("<3>pkram: tree '%s' is lost in this kexec%s\n", name,
            why == TREE_LOST_TIMEOUT ? ": storing it took longer than its unit may take" :
            why == TREE_LOST_IN_USE ? ": it was in use for writing" : "");
        return kexec_record_add_unstored(userdata, OWNER_ROOT, name, why);
}

static int keep_record(const PkramDevice *device) {
        _cleanup_record_ KexecRecord record = KEXEC_RECORD_NONE;
        _cleanup_free_ char *text = NULL;
        size_t n;
        int r;

        /* It is not there if the services were not stopped in order: systemctl kexec --force. */
        r = kexec_record_read(KEXEC_RECORD_PATH, &record);
        if (r < 0 && r != -ENOENT)
                say("<4>pkram: failed to read " KEXEC_RECORD_PATH ", ignoring: %s\n", strerror(-r));
        record.final_usec = now_usec(CLOCK_REALTIME);

        r = record_nodes(&record, device);
        if (r < 0)
                return r;
        /* umount.pkram has taken out all that it stored. What is left was unmounted without it: it is lost, unless
         * that happened before this shutdown. */
        r = kexec_for_each_tree(/* utab= */ NULL, access(KEXEC_MOUNTS_PATH, F_OK) >= 0 ? KEXEC_MOUNTS_PATH : NULL,
                                shutdown_add_tree, &record);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                say("<4>pkram: failed to determine lost trees, ignoring: %s\n", strerror(-r));
        r = kexec_record_format(&record, &text, &n);
        if (r < 0)
                return r;
        return system_node_save(device, SYSTEM_NODE_RECORD, text, n);
}

/* The first record that journald has not seen, or UINT64_MAX if that is not known. */
static uint64_t first_unseen(void) {
        _cleanup_free_ char *data = NULL;
        uint64_t sequence;
        size_t n;

        if (file_read(JOURNALD_SEQUENCE_PATH, sizeof(sequence), &data, &n) < 0 || n != sizeof(sequence))
                return UINT64_MAX;
        memcpy(&sequence, data, sizeof(sequence));
        return sequence;
}

/* What to add to the clock of the kernel's log, which is near enough to CLOCK_MONOTONIC. */
static uint64_t log_clock_offset(void) {
        return now_usec(CLOCK_REALTIME) - now_usec(CLOCK_MONOTONIC);
}

static int shutdown_add_entry(LogTail *tail, sd_journal *j) {
        _cleanup_free_ char *message = journal_get_field(j, "MESSAGE"),
                *identifier = journal_get_field(j, "SYSLOG_IDENTIFIER"), *pid = journal_get_field(j, "_PID"),
                *priority = journal_get_field(j, "PRIORITY"), *text = NULL;
        uint64_t usec;

        if (!message || sd_journal_get_realtime_usec(j, &usec) < 0)
                return 0;
        if (asprintf(&text, "%s%s%s%s%s%s", identifier ?: "", identifier && pid ? "[" : "",
                     identifier && pid ? pid : "", identifier && pid ? "]" : "", identifier ? ": " : "",
                     message) < 0) {
                text = NULL;
                return -ENOMEM;
        }
        return log_tail_add(tail, priority ? atoi(priority) : LOG_INFO, usec, text);
}

static int read_runtime_journal(LogTail *tail) {
        _cleanup_(sd_journal_closep) sd_journal *j = NULL;
        int r;

        if (access(RUNTIME_JOURNAL, F_OK) < 0)
                return 0;
        r = sd_journal_open_directory(&j, RUNTIME_JOURNAL, /* flags= */ 0);
        if (r >= 0)
                r = sd_journal_seek_tail(j);
        if (r >= 0)
                r = sd_journal_previous_skip(j, RUNTIME_ENTRIES_MAX);
        while (r > 0) {
                r = shutdown_add_entry(tail, j);
                if (r >= 0)
                        r = sd_journal_next(j);
        }
        return r;
}

static int read_kernel_log(LogTail *tail) {
        uint64_t since = first_unseen(), offset = log_clock_offset();
        char record[KMSG_RECORD_MAX + 1];
        _cleanup_close_ int fd = -EBADF;
        int r;

        fd = open("/dev/kmsg", O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return -errno;

        for (;;) {
                ssize_t l = read(fd, record, sizeof(record) - 1);

                if (l < 0 && (errno == EINTR || errno == EPIPE))
                        continue; /* EPIPE: it was overwritten; the next call reads the next there is */
                if (l < 0 && errno == EAGAIN)
                        break;
                if (l < 0)
                        return -errno;
                record[l] = 0;
                r = log_tail_add_kmsg(tail, record, since == UINT64_MAX ? 0 : since, offset, /* ret_sequence= */ NULL);
                if (r < 0 && r != -EBADMSG)
                        return r;
        }

        if (since == UINT64_MAX)
                log_tail_keep(tail, LINES_WITHOUT_SEQUENCE);
        return 0;
}

static int keep_log(const PkramDevice *device) {
        _cleanup_log_tail_ LogTail tail = {};
        char boot_id[SD_ID128_STRING_MAX];
        _cleanup_free_ char *text = NULL;
        sd_id128_t id;
        size_t n;
        int r;

        r = read_runtime_journal(&tail);
        if (r < 0)
                say("<4>pkram: failed to read " RUNTIME_JOURNAL ", ignoring: %s\n", strerror(-r));
        r = read_kernel_log(&tail);
        if (r < 0)
                return r;
        if (tail.n_lines == 0)
                return 0;
        if (sd_id128_get_boot(&id) >= 0) {
                tail.boot_id = strdup(sd_id128_to_string(id, boot_id));
                if (!tail.boot_id)
                        return -ENOMEM;
        }
        r = log_tail_format(&tail, &text, &n);
        if (r < 0)
                return r;
        return system_node_save(device, SYSTEM_NODE_LOG, text, n);
}

int main(int argc, char *argv[]) {
        const PkramDevice *device = &pkram_device_kernel;
        struct pkram_ioctl_info info;
        int r;

        /* The argument is the kind of shutdown. Every kind but a kexec loses memory. */
        if (argc != 2 || !streq(argv[1], "kexec"))
                return EXIT_SUCCESS;

        r = pkram_device_info(device, &info);
        if (r < 0 || info.image_state != PKRAM_IMAGE_KEEPS)
                return EXIT_SUCCESS;

        r = keep_record(device);
        if (r < 0)
                say("<4>pkram: failed to store the kexec record: %s\n", strerror(-r));
        r = keep_log(device);
        if (r < 0)
                say("<4>pkram: failed to store the last lines of the log: %s\n", strerror(-r));
        return EXIT_SUCCESS;
}
