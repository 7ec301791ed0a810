/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What QEMU's monitor says, and what pkram-qemu reads from files: a guest's configuration and the record of a saved
 * guest. */
#include <sys/socket.h>

#include "../qemu/guest-config.h"
#include "../qemu/guest.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Everything that the monitor will ever say is there already. */
static void try_monitor(const uint8_t *data, size_t size) {
        _cleanup_list_ StringList ids = {}, disks = {}, unseen = {};
        _cleanup_free_ char *version = NULL, *why = NULL, *save_why = NULL;
        _cleanup_record_ GuestRecord record = {};
        _cleanup_facts_ GuestFacts facts = {};
        _cleanup_qmp_ Qmp *q = NULL;
        int pair[2];

        if (size > 65536 || string_list_add(&ids, QEMU_RAM_ID) < 0)
                return;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                abort();
        (void) send(pair[1], data, size, MSG_NOSIGNAL);
        (void) shutdown(pair[1], SHUT_WR);
        if (qmp_new(pair[0], &q) < 0)
                abort();
        if (qmp_greet(q, /* usec= */ 1000, &version) >= 0 && !utf8_is_valid(version))
                abort();
        if (guest_check(q, getpid(), "1", &ids, MIB(256), &facts, &why) >= 0 && facts.extra > MIB(256))
                abort();
        (void) guest_save(q, getpid(), "/x", /* usec= */ 1000, &record, &disks, &unseen, &save_why);
        if ((why && !utf8_is_valid(why)) || (save_why && !utf8_is_valid(save_why)))
                abort();
        (void) qmp_drain(q);
        (void) close(pair[1]);
}

static void try_files(const char *text, size_t size) {
        _cleanup_guest_config_ GuestConfig c;
        _cleanup_list_ StringList ids = {}, words = {};
        _cleanup_free_ char *why = NULL, *reason = NULL, *string = strndup(text, size);
        _cleanup_record_ GuestRecord r = {};
        char *none[] = { NULL };
        uint64_t extra;
        size_t found;

        guest_config_init(&c);
        if (guest_config_parse(&c, text, size, &why) == -EINVAL && !why)
                abort();
        if (guest_record_parse(text, size, &r) >= 0 && guest_record_differs(&r, none, 0, &reason) != 0 && !reason)
                abort();
        if (!string || string_list_add(&ids, QEMU_RAM_ID) < 0)
                return;
        (void) ramblocks_count(string, &ids, &extra, &found);

        if (string_list_add(&words, "qemu") >= 0 && words_split(string, &words) >= 0) {
                _cleanup_free_ char *refused = NULL;
                _cleanup_plan_ QemuPlan p = {};

                if (qemu_plan_make(words.item, "/srv/vm", 0, &p, &refused) == 0 && (p.size == 0 || p.ram_files.n == 0))
                        abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        try_monitor(data, size);
        try_files((const char *) data, size);
        return 0;
}
