/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "file-util.h"
#include "kexec-uki.h"
#include "unaligned.h"

/* Positions in the file, from Microsoft's PE format. */
enum {
        DOS_SIZE        = 64,
        DOS_PE_OFFSET   = 60,
        PE_SIZE         = 24,           /* signature and COFF header */
        PE_N_SECTIONS   = 6,
        PE_OPTIONAL     = 20,           /* size of the optional header, which the section table follows */
        SECTION_SIZE    = 40,
        SECTION_NAME    = 8,            /* length of the name, padded with NUL */
        SECTION_VIRTUAL = 8,            /* size in memory: the contents without padding */
        SECTION_RAW     = 16,           /* size in the file */
        SECTION_OFFSET  = 20,
        SECTIONS_MAX    = 256,

        CMDLINE_MAX     = 4096,
};

#define KERNEL_MAX (UINT64_C(1) << 30)
#define INITRD_MAX (UINT64_C(4) << 30)

/* A section of the file that is being read. */
typedef struct UkiSection {
        uint64_t offset, size;
        bool found;
} UkiSection;

typedef struct UkiSections {
        UkiSection linux_image, initrd, ucode, cmdline;
} UkiSections;

/* Returns the member for a section of this name, or NULL if its contents do not matter. */
static UkiSection *sections_find(UkiSections *s, const uint8_t *name) {
        return strneq((const char *) name, ".linux", SECTION_NAME) ? &s->linux_image :
                strneq((const char *) name, ".initrd", SECTION_NAME) ? &s->initrd :
                strneq((const char *) name, ".ucode", SECTION_NAME) ? &s->ucode :
                strneq((const char *) name, ".cmdline", SECTION_NAME) ? &s->cmdline : NULL;
}

static int sections_parse(const uint8_t *table, unsigned n, uint64_t file_size, UkiSections *ret) {
        for (unsigned i = 0; i < n; i++) {
                const uint8_t *p = table + (size_t) i * SECTION_SIZE;
                UkiSection *s;

                /* What follows belongs to one profile. */
                if (strneq((const char *) p, ".profile", SECTION_NAME))
                        return 0;
                s = sections_find(ret, p);
                if (!s)
                        continue;
                /* The boot stub uses the first one, too. */
                if (s->found)
                        continue;

                s->offset = unaligned_read_le32(p + SECTION_OFFSET);
                s->size = MIN(unaligned_read_le32(p + SECTION_VIRTUAL), unaligned_read_le32(p + SECTION_RAW));
                if (s->offset > file_size || s->size > file_size - s->offset)
                        return -EBADMSG;
                s->found = s->size > 0;
        }
        return 0;
}

/* Reads the section table. Returns 0 if there is a kernel in it, or a negative errno. */
static int sections_read(int fd, uint64_t file_size, UkiSections *ret) {
        uint8_t dos[DOS_SIZE], pe[PE_SIZE];
        _cleanup_free_ uint8_t *table = NULL;
        uint64_t at;
        unsigned n;
        int r;

        r = pread_all(fd, dos, sizeof(dos), 0);
        if (r == -EBADMSG || (r >= 0 && memcmp(dos, "MZ", 2) != 0))
                return -ENOEXEC;
        if (r < 0)
                return r;
        at = unaligned_read_le32(dos + DOS_PE_OFFSET);
        r = pread_all(fd, pe, sizeof(pe), at);
        if (r == -EBADMSG || (r >= 0 && memcmp(pe, "PE\0\0", 4) != 0))
                return -ENOEXEC;
        if (r < 0)
                return r;

        n = unaligned_read_le16(pe + PE_N_SECTIONS);
        if (n > SECTIONS_MAX)
                return -EBADMSG;
        table = malloc((size_t) n * SECTION_SIZE + 1);
        if (!table)
                return -ENOMEM;
        r = pread_all(fd, table, (size_t) n * SECTION_SIZE, at + PE_SIZE + unaligned_read_le16(pe + PE_OPTIONAL));
        if (r >= 0)
                r = sections_parse(table, n, file_size, ret);
        if (r < 0)
                return r;
        return ret->linux_image.found ? 0 : -ENOEXEC;
}

/* Appends a section to a memfd, padded with zeroes to a multiple of 4 bytes, where the kernel looks for the next cpio
 * archive. */
static int section_copy(int fd, const UkiSection *s, int to) {
        off_t offset = (off_t) s->offset;
        uint64_t left = s->size;
        off_t size;

        while (left > 0) {
                ssize_t n = sendfile(to, fd, &offset, (size_t) MIN(left, MIB(64)));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -EBADMSG;
                left -= (uint64_t) n;
        }

        size = lseek(to, 0, SEEK_END);
        if (size < 0 || ftruncate(to, (size + 3) & ~(off_t) 3) < 0 || lseek(to, 0, SEEK_END) < 0)
                return -errno;
        return 0;
}

/* Copies the sections that exist into a new memfd, in this order. Returns the descriptor, or a negative errno. */
static int sections_copy(int fd, const UkiSection *const *sections, size_t n) {
        _cleanup_close_ int to = -EBADF;
        int r;

        to = memfd_create("pkram-uki", MFD_CLOEXEC);
        if (to < 0)
                return -errno;
        for (size_t i = 0; i < n; i++) {
                if (!sections[i]->found)
                        continue;
                r = section_copy(fd, sections[i], to);
                if (r < 0)
                        return r;
        }
        return TAKE_FD(to);
}

static int cmdline_copy(int fd, const UkiSection *s, char **ret) {
        _cleanup_free_ char *text = NULL;
        size_t n;
        int r;

        if (s->size > CMDLINE_MAX)
                return -EFBIG;
        text = malloc(s->size + 1);
        if (!text)
                return -ENOMEM;
        r = pread_all(fd, text, s->size, s->offset);
        if (r < 0)
                return r;
        text[s->size] = 0;

        n = strlen(text);
        while (n > 0 && strchr(" \t\r\n", text[n - 1]))
                text[--n] = 0;
        for (size_t i = 0; i < n; i++)
                if ((unsigned char) text[i] < ' ' && !strchr("\t\r\n", text[i]))
                        return -EBADMSG;
        *ret = TAKE_PTR(text);
        return 0;
}

void kexec_uki_done(KexecUki *u) {
        u->kernel_fd = safe_close(u->kernel_fd);
        u->initrd_fd = safe_close(u->initrd_fd);
        free(u->cmdline);
        u->cmdline = NULL;
}

/* Opens an image and checks all that is used of it. *ret_cmdline is freed by the caller, and NULL if there is none.
 * Returns the descriptor, or a negative errno. */
static int uki_open(const char *path, UkiSections *ret, char **ret_cmdline) {
        _cleanup_close_ int fd = -EBADF;
        UkiSections s = {};
        struct stat st;
        int r;

        assert(path);

        /* O_NONBLOCK: a fifo must not block the caller. */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -ENOEXEC;
        r = sections_read(fd, (uint64_t) st.st_size, &s);
        if (r < 0)
                return r;
        if (s.linux_image.size > KERNEL_MAX || s.ucode.size > INITRD_MAX || s.initrd.size > INITRD_MAX)
                return -EFBIG;

        *ret_cmdline = NULL;
        if (s.cmdline.found) {
                r = cmdline_copy(fd, &s.cmdline, ret_cmdline);
                if (r < 0)
                        return r;
        }
        *ret = s;
        return TAKE_FD(fd);
}

int kexec_uki_open_kernel(const char *path) {
        _cleanup_free_ char *cmdline = NULL;
        _cleanup_close_ int fd = -EBADF;
        UkiSections s = {};

        fd = uki_open(path, &s, &cmdline);
        return fd < 0 ? fd : sections_copy(fd, (const UkiSection *[]) { &s.linux_image }, 1);
}

int kexec_uki_open(const char *path, KexecUki *ret) {
        _cleanup_(kexec_uki_done) KexecUki u = KEXEC_UKI_NULL;
        _cleanup_close_ int fd = -EBADF;
        UkiSections s = {};

        assert(ret);

        fd = uki_open(path, &s, &u.cmdline);
        if (fd < 0)
                return fd;
        u.kernel_fd = sections_copy(fd, (const UkiSection *[]) { &s.linux_image }, 1);
        if (u.kernel_fd < 0)
                return u.kernel_fd;
        if (s.initrd.found || s.ucode.found) {
                u.initrd_fd = sections_copy(fd, (const UkiSection *[]) { &s.ucode, &s.initrd }, 2);
                if (u.initrd_fd < 0)
                        return u.initrd_fd;
        }

        *ret = u;
        u = KEXEC_UKI_NULL;
        return 0;
}
