/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "file-util.h"
#include "timer-image.h"
#include "unaligned.h"

#define FILES_IMAGE "files.img"
#define FILES_IMAGE_MAX MIB(64)

/* Two magic numbers, then messages of the protocol buffers with their sizes before them. */
#define HEADER_SIZE 8U

/* In file_entry and timerfd_entry of CRIU's images/fdinfo.proto and images/timerfd.proto. */
enum {
        FILE_TIMER = 12,
        TIMER_TICKS = 5,
        TIMER_VALUE_SEC = 7,
        TIMER_VALUE_NSEC = 8,
        TIMER_INTERVAL_SEC = 9,
        TIMER_INTERVAL_NSEC = 10,
        _TIMER_FIELD_MAX,
};

/* What is left to read of a message. */
typedef struct MessageReader {
        uint8_t *p, *end;
} MessageReader;

typedef struct MessageField {
        uint64_t key;
        uint64_t value;        /* of a number */
        uint8_t *data;         /* of a number */
        MessageReader content; /* of bytes */
} MessageField;

/* Numbers, and bytes, of the field with this number. */
#define KEY_OF_NUMBER(field) ((field) << 3)
#define KEY_OF_BYTES(field) ((field) << 3 | 2)

static bool message_read_varint(MessageReader *m, uint64_t *ret) {
        uint64_t value = 0;

        for (unsigned shift = 0; shift < 64 && m->p < m->end; shift += 7) {
                uint8_t byte = *m->p++;

                value |= (uint64_t) (byte & 0x7f) << shift;
                if (!(byte & 0x80)) {
                        *ret = value;
                        return true;
                }
        }
        return false;
}

static bool message_skip(MessageReader *m, uint64_t size) {
        if (size > (uint64_t) (m->end - m->p))
                return false;
        m->p += size;
        return true;
}

/* Reads the next field. */
static bool message_read_field(MessageReader *m, MessageField *ret) {
        uint64_t size;

        *ret = (MessageField) {};
        if (!message_read_varint(m, &ret->key))
                return false;
        switch (ret->key & 7) {
        case 0:
                ret->data = m->p;
                return message_read_varint(m, &ret->value);
        case 1:
                return message_skip(m, sizeof(uint64_t));
        case 2:
                if (!message_read_varint(m, &size))
                        return false;
                ret->content.p = m->p;
                if (!message_skip(m, size))
                        return false;
                ret->content.end = m->p;
                return true;
        case 5:
                return message_skip(m, sizeof(uint32_t));
        default:
                return false;
        }
}

/* Returns 1 if this is such a timer, 0 if not, or -EBADMSG. */
static int timer_fix(MessageReader m) {
        uint64_t values[_TIMER_FIELD_MAX] = {};
        uint8_t *nsec = NULL;
        MessageField f;

        while (m.p < m.end) {
                if (!message_read_field(&m, &f))
                        return -EBADMSG;
                if (!f.data || f.key >= KEY_OF_NUMBER(_TIMER_FIELD_MAX))
                        continue;
                values[f.key >> 3] = f.value;
                if (f.key == KEY_OF_NUMBER(TIMER_VALUE_NSEC))
                        nsec = f.data;
        }
        if (!nsec || values[TIMER_TICKS] == 0 || values[TIMER_VALUE_SEC] > 0 || values[TIMER_VALUE_NSEC] > 0 ||
            (values[TIMER_INTERVAL_SEC] == 0 && values[TIMER_INTERVAL_NSEC] == 0))
                return 0;
        /* Zero may have more than one byte, the others of which end it. */
        *nsec |= 1;
        return 1;
}

int timer_image_fix(uint8_t *image, size_t size) {
        MessageReader m = { .p = image, .end = image + size };
        int n = 0, r = 0;

        if (!message_skip(&m, HEADER_SIZE))
                return -EBADMSG;
        while (m.p < m.end) {
                MessageReader file = { .p = m.p + sizeof(uint32_t) };

                if (m.end - m.p < (ptrdiff_t) sizeof(uint32_t) ||
                    !message_skip(&m, sizeof(uint32_t) + (uint64_t) unaligned_read_le32(m.p)))
                        return -EBADMSG;
                file.end = m.p;
                while (file.p < file.end) {
                        MessageField f;

                        if (!message_read_field(&file, &f))
                                return -EBADMSG;
                        r = f.key == KEY_OF_BYTES(FILE_TIMER) ? timer_fix(f.content) : 0;
                        if (r < 0)
                                return r;
                        n += r;
                }
        }
        return n;
}

int timer_images_fix(int images) {
        _cleanup_free_ char *image = NULL;
        struct stat st;
        size_t size;
        int n, r;

        r = private_file_read(images, FILES_IMAGE, FILES_IMAGE_MAX, &image, &size, &st);
        if (r < 0)
                return r;
        n = timer_image_fix((uint8_t *) image, size);
        if (n <= 0)
                return n;
        r = private_file_write(images, FILES_IMAGE, image, size);
        return r < 0 ? r : n;
}
