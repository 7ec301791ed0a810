/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "file-util.h"
#include "kexec-image.h"
#include "unaligned.h"

/* Positions in the file, from the kernel's Documentation/arch/x86/boot.rst. */
enum {
        SECTOR                  = 512,
        HDR_SETUP_SECTS         = 0x1f1,
        HDR_SYSSIZE             = 0x1f4,
        HDR_BOOT_FLAG           = 0x1fe,
        HDR_JUMP_OFFSET         = 0x201,        /* the header ends at 0x202 plus this byte */
        HDR_MAGIC               = 0x202,
        HDR_VERSION             = 0x206,
        HDR_KERNEL_VERSION      = 0x20e,
        HDR_LOADFLAGS           = 0x211,
        HDR_RELOCATABLE         = 0x234,
        HDR_XLOADFLAGS          = 0x236,
        HDR_CMDLINE_SIZE        = 0x238,
        HDR_KERNEL_INFO_OFFSET  = 0x268,

        /* The two sectors that hold the header: no shorter file is a bzImage. */
        HEAD_SIZE               = 2 * SECTOR,

        PROTOCOL_CMDLINE_SIZE   = 0x0206,
        PROTOCOL_RELOCATABLE    = 0x0205,
        PROTOCOL_XLOADFLAGS     = 0x020c,
        PROTOCOL_KERNEL_INFO    = 0x020f,

        BOOT_FLAG               = 0xaa55,
        LOADED_HIGH             = 1 << 0,
        XLF_KERNEL_64           = 1 << 0,

        CMDLINE_MAX_OLD         = 255,          /* before protocol 2.06 */

        INFO_HEAD_SIZE          = 16,           /* magic, size, size_total, setup_type_max */
        INFO_HEAD_SIZE_MIN      = 12,
        /* Far more than any kernel has; bounds what is read because the file says so. */
        INFO_SIZE_MAX           = 64 * 1024,

        TAG_HEAD_SIZE           = 8,            /* magic, length of the whole tag */
        TAG_PKRAM_SIZE          = 32,           /* and version, reserved word, two sets of features */
};

/* Looks through the tags behind kernel_info's fixed part. Kernels before 6.12 have none, later ones may have more
 * than ours: unknown tags are stepped over by their length. */
static int parse_tags(const uint8_t *p, size_t n, KexecImage *image) {
        while (n > 0) {
                uint32_t len;

                if (n < TAG_HEAD_SIZE)
                        return -EBADMSG;

                len = unaligned_read_le32(p + 4);
                if (len < TAG_HEAD_SIZE || len > n)
                        return -EBADMSG;

                if (memcmp(p, "PKRM", 4) == 0) {
                        /* A later kernel may make the tag longer, never shorter. One that reads several versions
                         * has several tags, in any order. */
                        if (len < TAG_PKRAM_SIZE)
                                return -EBADMSG;

                        image->has_pkram = true;
                        if (image->n_formats < KEXEC_IMAGE_FORMATS_MAX)
                                image->formats[image->n_formats++] = (KexecFormat) {
                                        .version = unaligned_read_le32(p + 8),
                                        .incompat_features = unaligned_read_le64(p + 16),
                                        .node_incompat_features = unaligned_read_le64(p + 24),
                                };
                }

                p += len;
                n -= len;
        }

        return 0;
}

static int parse_kernel_info(int fd, uint64_t start, uint64_t end, uint32_t offset, KexecImage *image) {
        uint8_t head[INFO_HEAD_SIZE_MIN];
        _cleanup_free_ char *buf = NULL;
        uint32_t size, total;
        int r;

        /* start and end bound the protected-mode code. */
        if (offset > end - start || end - start - offset < sizeof(head))
                return -EBADMSG;

        r = pread_all(fd, head, sizeof(head), start + offset);
        if (r < 0)
                return r;

        if (memcmp(head, "LToP", 4) != 0)
                return -EBADMSG;

        size = unaligned_read_le32(head + 4);
        total = unaligned_read_le32(head + 8);
        if (size < INFO_HEAD_SIZE || total < size || total > INFO_SIZE_MAX || total > end - start - offset)
                return -EBADMSG;

        if (total == size)
                return 0;

        buf = malloc(total - size);
        if (!buf)
                return -ENOMEM;

        r = pread_all(fd, buf, total - size, start + offset + size);
        if (r < 0)
                return r;

        return parse_tags((const uint8_t*) buf, total - size, image);
}

/* The header points at a string such as "6.12.107 (builder@host) #1 SMP ...": its first word is the release. It is
 * for people only, so an odd one is left out rather than refused. */
static int parse_release(int fd, uint64_t setup_size, uint16_t pointer, KexecImage *image) {
        char buf[KEXEC_IMAGE_RELEASE_MAX];
        uint64_t at = (uint64_t) pointer + SECTOR;
        size_t n;
        int r;

        if (pointer == 0 || at >= setup_size)
                return 0;

        n = setup_size - at < sizeof(buf) ? (size_t) (setup_size - at) : sizeof(buf);
        r = pread_all(fd, buf, n, at);
        if (r < 0)
                return r;

        for (size_t i = 0; i < n; i++) {
                if (buf[i] == 0 || buf[i] == ' ') {
                        memcpy(image->release, buf, i);
                        image->release[i] = 0;
                        return 0;
                }
                if (buf[i] < 0x21 || buf[i] > 0x7e)
                        return 0;
        }

        return 0;
}

int kexec_image_read(int fd, KexecImage *ret) {
        uint64_t file_size, setup_size, code_size, header_end;
        KexecImage image = {};
        uint8_t head[HEAD_SIZE];
        struct stat st;
        int r;

        assert(fd >= 0);
        assert(ret);

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_size < HEAD_SIZE)
                return -ENOEXEC;
        file_size = (uint64_t) st.st_size;

        r = pread_all(fd, head, sizeof(head), 0);
        if (r < 0)
                return r;

        if (unaligned_read_le16(head + HDR_BOOT_FLAG) != BOOT_FLAG || memcmp(head + HDR_MAGIC, "HdrS", 4) != 0)
                return -ENOEXEC;

        image.boot_protocol = unaligned_read_le16(head + HDR_VERSION);
        if (image.boot_protocol < 0x0200 || !(head[HDR_LOADFLAGS] & LOADED_HIGH))
                return -ENOEXEC;

        /* 0 sectors mean 4, for the sake of very old kernels. The count leaves out the boot sector. */
        setup_size = (uint64_t) ((head[HDR_SETUP_SECTS] ?: 4) + 1) * SECTOR;
        if (setup_size > file_size)
                return -EBADMSG;

        /* The header gives the size of what follows in units of 16 bytes, rounded down. What the file has more
         * than that is a signature. */
        code_size = (uint64_t) unaligned_read_le32(head + HDR_SYSSIZE) * 16;
        if (code_size > file_size - setup_size)
                return -EBADMSG;

        /* A field is only there if the protocol version has it and the header reaches that far. */
        header_end = (uint64_t) HDR_MAGIC + head[HDR_JUMP_OFFSET];

        if (image.boot_protocol >= PROTOCOL_RELOCATABLE && header_end > HDR_RELOCATABLE)
                image.relocatable = head[HDR_RELOCATABLE] != 0;

        image.cmdline_max = CMDLINE_MAX_OLD;
        if (image.boot_protocol >= PROTOCOL_CMDLINE_SIZE && header_end >= HDR_CMDLINE_SIZE + 4)
                image.cmdline_max = unaligned_read_le32(head + HDR_CMDLINE_SIZE);

        image.arch = KEXEC_ARCH_I386;
        if (image.boot_protocol >= PROTOCOL_XLOADFLAGS && header_end >= HDR_XLOADFLAGS + 2 &&
            (unaligned_read_le16(head + HDR_XLOADFLAGS) & XLF_KERNEL_64))
                image.arch = KEXEC_ARCH_X86_64;

        r = parse_release(fd, setup_size, unaligned_read_le16(head + HDR_KERNEL_VERSION), &image);
        if (r < 0)
                return r;

        if (image.boot_protocol >= PROTOCOL_KERNEL_INFO && header_end >= HDR_KERNEL_INFO_OFFSET + 4) {
                r = parse_kernel_info(fd, setup_size, file_size,
                                      unaligned_read_le32(head + HDR_KERNEL_INFO_OFFSET), &image);
                if (r < 0)
                        return r;
        }

        *ret = image;
        return 0;
}

int kexec_image_open(const char *path, KexecImage *ret, int *ret_fd) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        assert(path);
        assert(ret);

        /* O_NONBLOCK: a fifo must not make us wait. */
        fd = open(path, O_RDONLY|O_CLOEXEC|O_NOCTTY|O_NONBLOCK);
        if (fd < 0)
                return -errno;

        r = kexec_image_read(fd, ret);
        if (r < 0)
                return r;

        if (ret_fd)
                *ret_fd = TAKE_FD(fd);
        return 0;
}

const KexecFormat *kexec_image_format(const KexecImage *image, uint32_t version) {
        assert(image);

        for (unsigned i = 0; i < image->n_formats; i++)
                if (image->formats[i].version == version)
                        return &image->formats[i];

        return NULL;
}

const char *kexec_image_error(int r) {
        switch (r) {
        case -ENOEXEC:
                return "is not a kernel image (a bzImage, or a unified kernel image that contains one)";
        case -EBADMSG:
                return "is a damaged kernel image: it is cut short, or its header contradicts itself";
        case -ENOENT:
                return "does not exist";
        default:
                return strerror(r < 0 ? -r : r);
        }
}

const char *kexec_arch_to_string(KexecArch arch) {
        static const char *const table[_KEXEC_ARCH_MAX] = {
                [KEXEC_ARCH_I386]   = "i386",
                [KEXEC_ARCH_X86_64] = "x86-64",
        };

        return (unsigned) arch < _KEXEC_ARCH_MAX ? table[arch] : "unknown";
}
