/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "disk-format.h"
#include "disk-io.h"
#include "disk-record.h"

#define STATE "state"
#define STATE_NEW "state.new"

bool disk_token_is_valid(const char *s) {
        return strlen(s) == DISK_TOKEN_LENGTH && strspn(s, "0123456789abcdef") == DISK_TOKEN_LENGTH;
}

int disk_token_make(char ret[DISK_TOKEN_LENGTH + 1]) {
        uint8_t bytes[DISK_TOKEN_LENGTH / 2];

        if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t) sizeof(bytes))
                return -EIO;
        for (size_t i = 0; i < sizeof(bytes); i++)
                (void) sprintf(ret + 2 * i, "%02x", bytes[i]);
        return 0;
}

int disk_record_format(const DiskRecord *r, char ret[DISK_RECORD_MAX]) {
        int n = snprintf(ret, DISK_RECORD_MAX,
                         "version=2\nboot=%s\ntoken=%s\nfrom=%s\ngeneration=%llu\nrelease=%s\nrunning=%s\n"
                         "inode=%llu\nbirth=%llu\n",
                         r->boot_id, r->token, r->from, (unsigned long long) r->generation, r->release, r->running,
                         (unsigned long long) r->nodes.inode, (unsigned long long) r->nodes.birth_ns);

        return snprintf(ret + n, DISK_RECORD_MAX - (size_t) n, "checksum=%016llx\n",
                        (unsigned long long) disk_checksum(ret, (size_t) n)) + n;
}

/* Takes the next line, which has to be KEY=VALUE, and copies its value. */
static int take_line(const char **p, const char *end, const char *key, char *ret, size_t size) {
        const char *nl = memchr(*p, '\n', (size_t) (end - *p));
        size_t n = strlen(key);

        if (!nl || (size_t) (nl - *p) < n + 1 || !strneq(*p, key, n) || (*p)[n] != '=')
                return -EBADMSG;
        size_t length = (size_t) (nl - *p) - n - 1;
        if (length >= size || memchr(*p, 0, (size_t) (nl - *p)))
                return -EBADMSG;
        memcpy(ret, *p + n + 1, length);
        ret[length] = 0;
        *p = nl + 1;
        return 0;
}

static int take_number(const char **p, const char *end, const char *key, uint64_t *ret) {
        char number[24], *e;
        int r;

        r = take_line(p, end, key, number, sizeof(number));
        if (r < 0)
                return r;
        errno = 0;
        *ret = strtoull(number, &e, 10);
        return errno != 0 || e == number || *e || number[0] < '0' || number[0] > '9' ? -EBADMSG : 0;
}

int disk_record_parse(const char *text, size_t size, DiskRecord *ret) {
        const char *p = text, *end = text + size;
        char version[8], checksum[24], expected[24];
        DiskRecord r = {};

        if (take_line(&p, end, "version", version, sizeof(version)) < 0)
                return -EBADMSG;
        if (!streq(version, "1") && !streq(version, "2"))
                return strspn(version, "0123456789") == strlen(version) && version[0] ? -EPROTONOSUPPORT : -EBADMSG;
        if (take_line(&p, end, "boot", r.boot_id, sizeof(r.boot_id)) < 0 ||
            take_line(&p, end, "token", r.token, sizeof(r.token)) < 0 ||
            take_line(&p, end, "from", r.from, sizeof(r.from)) < 0 ||
            take_number(&p, end, "generation", &r.generation) < 0 ||
            take_line(&p, end, "release", r.release, sizeof(r.release)) < 0 ||
            take_line(&p, end, "running", r.running, sizeof(r.running)) < 0)
                return -EBADMSG;
        if (version[0] != '1' && (take_number(&p, end, "inode", &r.nodes.inode) < 0 ||
                                  take_number(&p, end, "birth", &r.nodes.birth_ns) < 0))
                return -EBADMSG;

        (void) snprintf(expected, sizeof(expected), "%016llx",
                        (unsigned long long) disk_checksum(text, (size_t) (p - text)));
        if (take_line(&p, end, "checksum", checksum, sizeof(checksum)) < 0 || p != end || !streq(checksum, expected))
                return -EBADMSG;

        if (r.generation > INT64_MAX || !disk_token_is_valid(r.boot_id) || !disk_token_is_valid(r.token) ||
            (r.from[0] && !disk_token_is_valid(r.from)))
                return -EBADMSG;
        *ret = r;
        return 0;
}

int disk_record_read(int directory, DiskRecord *ret) {
        _cleanup_close_ int fd = -EBADF;
        char text[DISK_RECORD_MAX];
        struct stat st;
        int r;

        fd = disk_open(directory, STATE, O_RDONLY);
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0 ||
            st.st_size >= (off_t) sizeof(text))
                return -EBADMSG;
        r = disk_read(fd, text, (size_t) st.st_size, 0);
        if (r < 0)
                return r;
        return disk_record_parse(text, (size_t) st.st_size, ret);
}

int disk_record_write(int directory, const DiskRecord *record) {
        _cleanup_close_ int fd = -EBADF;
        char text[DISK_RECORD_MAX];
        int r, n;

        n = disk_record_format(record, text);
        fd = disk_open(directory, STATE_NEW, O_WRONLY | O_CREAT | O_TRUNC);
        if (fd < 0)
                return fd;
        r = disk_write(fd, text, (size_t) n, 0);
        if (r >= 0)
                r = disk_sync(fd);
        if (r >= 0)
                r = disk_rename(directory, STATE_NEW, directory, STATE, 0);
        if (r >= 0)
                r = disk_sync(directory);
        return r;
}

int disk_record_remove(int directory) {
        int r = disk_unlink(directory, STATE, 0);

        return r < 0 ? r : disk_sync(directory);
}
