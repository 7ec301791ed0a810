/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store and retrieve for System V shared memory segments. */
#include "ctl.h"
#include "shm-node.h"

/* Numbers as ipcs(1) shows them: a key is hexadecimal, and an identifier is decimal. */
static int parse_segment(const char *text, uint32_t *ret, bool *ret_is_id) {
        if (key_parse(text, ret) < 0)
                return fail(EXIT_USAGE, "'%s' is neither a key (0x and hexadecimal digits) nor the identifier of a "
                            "segment.", text);
        *ret_is_id = !startswith(text, "0x");
        return 0;
}

/* The functions called have said what is wrong. */
static int status_of_errno(int r) {
        return r >= 0 ? EXIT_OK : r == -EBUSY || r == -EOPNOTSUPP ? EXIT_REFUSED : r == -EEXIST ? EXIT_DIRECTORY :
                r == -ENOENT ? EXIT_NO_NODE : EXIT_FAILED;
}

int store_segments(VarlinkClient *c, char *const *segments) {
        int status = EXIT_OK;

        for (; *segments; segments++) {
                uint32_t number = 0;
                bool is_id = false;
                Segment s;
                int r;

                r = parse_segment(*segments, &number, &is_id);
                if (r != 0)
                        return r;
                r = segment_find(number, is_id, &s);
                if (r < 0)
                        r = r == -ENOENT ? fail(EXIT_FAILED, "Segment '%s' not found.", *segments) :
                                fail(EXIT_FAILED, "Failed to look for segment '%s': %s.", *segments, strerror(-r));
                else {
                        r = segment_save(c, &s);
                        r = r == -EEXIST ? EXIT_EXISTS : status_of_errno(r);
                }
                status = status ?: r;
        }
        return status;
}

int retrieve_segments(VarlinkClient *c, char *const *segments) {
        int status = EXIT_OK;

        for (; *segments; segments++) {
                uint32_t key = 0;
                bool is_id = false;
                int r;

                r = parse_segment(*segments, &key, &is_id);
                if (r == 0 && is_id)
                        r = fail(EXIT_USAGE, "Invalid key '%s': expected 0x and hexadecimal digits. A segment gets "
                                 "another identifier.", *segments);
                if (r != 0)
                        return r;
                r = status_of_errno(segment_restore_key(c, key));
                status = status ?: r;
        }
        return status;
}
