/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <endian.h>
#include <linux/limits.h>
#include <sys/sysmacros.h>
#include <xxhash.h>

#include "tree-table.h"

#define MAGIC "PKRMTREE"

#define SYMLINK_MAX 4095U

/* As they lie in memory: packed, little-endian. */
typedef struct Header {
        char magic[8];
        uint32_t version;
        uint32_t n_entries;
        uint64_t size;
        uint8_t hash[16];
} __attribute__((packed)) Header;

typedef struct Record {
        uint32_t size; /* of the record with all that follows: name, extended attributes, what the type needs */
        uint8_t type;
        uint8_t flags;
        uint16_t depth;
        uint16_t mode;
        uint16_t name_size; /* with its NUL */
        uint32_t uid;
        uint32_t gid;
        int64_t atime_sec;
        int64_t mtime_sec;
        uint32_t atime_nsec;
        uint32_t mtime_nsec;
        uint32_t xattrs_size;
} __attribute__((packed)) Record;

typedef struct PackedPart {
        uint32_t size;
        uint16_t pages;
} __attribute__((packed)) PackedPart;

typedef struct DevicePart {
        uint32_t major;
        uint32_t minor;
} __attribute__((packed)) DevicePart;

_Static_assert(sizeof(Header) == 40 && sizeof(Record) == 48 && sizeof(PackedPart) == 6 && sizeof(DevicePart) == 8,
               "another kernel reads this");

typedef struct XattrHead {
        uint32_t value_size;
        uint16_t name_size; /* with its NUL */
} __attribute__((packed)) XattrHead;

size_t tree_packed_bytes(const TreeEntry *e) {
        size_t n = 0;

        for (unsigned i = 0; i < 16; i++)
                if (e->pages & (1U << i))
                        n += MIN(e->size - i * TREE_PAGE, TREE_PAGE);
        return n;
}

/* --- writing --- */

void tree_table_done(TreeTable *t) {
        free(t->data);
        *t = (TreeTable) {};
}

static void tree_table_append(TreeTable *t, const void *data, size_t size) {
        if (size > 0)
                memcpy(t->data + t->size, data, size);
        t->size += size;
}

/* What a type has besides: a copy of it in buffer, and how long it is. */
static size_t format_part(const TreeEntry *e, void *buffer) {
        PackedPart packed;
        DevicePart device;
        uint64_t size = htole64(e->size);
        uint32_t link = htole32(e->link);

        switch (e->type) {
        case TREE_PACKED:
                packed = (PackedPart) { .size = htole32((uint32_t) e->size), .pages = htole16(e->pages) };
                memcpy(buffer, &packed, sizeof(packed));
                return sizeof(packed);
        case TREE_FILE:
                memcpy(buffer, &size, sizeof(size));
                return sizeof(size);
        case TREE_LINK:
                memcpy(buffer, &link, sizeof(link));
                return sizeof(link);
        case TREE_CHARACTER:
        case TREE_BLOCK:
                device = (DevicePart) { .major = htole32(major(e->device)), .minor = htole32(minor(e->device)) };
                memcpy(buffer, &device, sizeof(device));
                return sizeof(device);
        default:
                return 0;
        }
}

int tree_table_add(TreeTable *t, const TreeEntry *e) {
        size_t name_size = strlen(e->name) + 1, target_size = e->type == TREE_SYMLINK ? strlen(e->target) + 1 : 0;
        size_t begin = t->size > 0 ? t->size : sizeof(Header), part_size, size;
        uint8_t part[8];
        int r;

        part_size = format_part(e, part);
        size = sizeof(Record) + name_size + e->xattrs_size + part_size + target_size;
        if (size > TREE_TABLE_BYTES_MAX - begin)
                return -EFBIG;
        r = GREEDY_REALLOC(t->data, t->allocated, begin + size);
        if (r < 0)
                return r;

        Record record = {
                .size = htole32((uint32_t) size),
                .type = e->type,
                .flags = (uint8_t) e->flags,
                .depth = htole16((uint16_t) e->depth),
                .mode = htole16((uint16_t) (e->mode & 07777)),
                .name_size = htole16((uint16_t) name_size),
                .uid = htole32(e->uid),
                .gid = htole32(e->gid),
                .atime_sec = (int64_t) htole64((uint64_t) e->atime.tv_sec),
                .atime_nsec = htole32((uint32_t) e->atime.tv_nsec),
                .mtime_sec = (int64_t) htole64((uint64_t) e->mtime.tv_sec),
                .mtime_nsec = htole32((uint32_t) e->mtime.tv_nsec),
                .xattrs_size = htole32((uint32_t) e->xattrs_size),
        };

        t->size = begin;
        tree_table_append(t, &record, sizeof(record));
        tree_table_append(t, e->name, name_size);
        tree_table_append(t, e->xattrs, e->xattrs_size);
        tree_table_append(t, part, part_size);
        tree_table_append(t, e->target, target_size);
        t->n_entries++;
        return 0;
}

static void tree_table_hash(const uint8_t *data, size_t size, uint8_t ret[16]) {
        XXH128_canonical_t c;

        XXH128_canonicalFromHash(&c, XXH3_128bits(data + sizeof(Header), size - sizeof(Header)));
        memcpy(ret, c.digest, 16);
}

void tree_table_seal(TreeTable *t) {
        Header h = {
                .version = htole32(TREE_TABLE_VERSION),
                .n_entries = htole32(t->n_entries),
                .size = htole64(t->size),
        };

        assert(t->n_entries > 0);
        memcpy(h.magic, MAGIC, sizeof(h.magic));
        tree_table_hash(t->data, t->size, h.hash);
        memcpy(t->data, &h, sizeof(h));
}

int tree_xattr_add(uint8_t **xattrs, size_t *size, size_t *allocated, const char *name, const void *value,
                   size_t value_size) {
        size_t name_size = strlen(name) + 1, need = sizeof(XattrHead) + name_size + value_size;
        XattrHead head = { .value_size = htole32((uint32_t) value_size), .name_size = htole16((uint16_t) name_size) };
        int r;

        if (name_size > XATTR_NAME_MAX + 1 || value_size > XATTR_SIZE_MAX || *size > TREE_TABLE_BYTES_MAX)
                return -E2BIG;
        r = GREEDY_REALLOC(*xattrs, *allocated, *size + need);
        if (r < 0)
                return r;

        memcpy(*xattrs + *size, &head, sizeof(head));
        memcpy(*xattrs + *size + sizeof(head), name, name_size);
        if (value_size > 0)
                memcpy(*xattrs + *size + sizeof(head) + name_size, value, value_size);
        *size += need;
        return 0;
}

/* --- reading --- */

/* A string with exactly one NUL, at its end. */
static bool is_string(const uint8_t *p, size_t size) {
        return size > 0 && memchr(p, 0, size) == p + size - 1;
}

static bool is_attribute_name(const char *name) {
        static const char *const prefixes[] = { "user.", "trusted.", "security.", "system.posix_acl_" };

        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++) {
                const char *rest = startswith(name, prefixes[i]);

                if (rest && *rest)
                        return true;
        }
        return false;
}

int tree_xattr_next(const uint8_t *xattrs, size_t size, size_t *position, TreeXattr *ret) {
        size_t left = size - *position, name_size, value_size;
        const uint8_t *p;
        XattrHead head;

        if (left == 0)
                return 0;
        if (left < sizeof(head))
                return -EBADMSG;
        p = xattrs + *position;
        memcpy(&head, p, sizeof(head));
        name_size = le16toh(head.name_size);
        value_size = le32toh(head.value_size);
        left -= sizeof(head);
        p += sizeof(head);

        if (name_size > XATTR_NAME_MAX + 1 || value_size > XATTR_SIZE_MAX || name_size > left ||
            value_size > left - name_size || !is_string(p, name_size) || !is_attribute_name((const char *) p))
                return -EBADMSG;

        *ret = (TreeXattr) { .name = (const char *) p, .value = p + name_size, .value_size = value_size };
        *position += sizeof(head) + name_size + value_size;
        return 1;
}

static bool is_name(const char *name) {
        return *name && strlen(name) <= 255 && !strchr(name, '/') && !streq(name, ".") && !streq(name, "..");
}

static int parse_part(TreeEntry *e, const uint8_t *p, size_t left) {
        PackedPart packed;
        DevicePart device;
        uint64_t size;
        uint32_t link;

        switch (e->type) {
        case TREE_PACKED:
                if (left != sizeof(packed))
                        return -EBADMSG;
                memcpy(&packed, p, sizeof(packed));
                e->size = le32toh(packed.size);
                e->pages = le16toh(packed.pages);
                /* No page may lie behind the end. */
                if (e->size > TREE_PACKED_MAX || (e->pages >> ((e->size + TREE_PAGE - 1) / TREE_PAGE)) != 0)
                        return -EBADMSG;
                return 0;
        case TREE_FILE:
                if (left != sizeof(size))
                        return -EBADMSG;
                memcpy(&size, p, sizeof(size));
                e->size = le64toh(size);
                return e->size > INT64_MAX ? -EBADMSG : 0;
        case TREE_SYMLINK:
                if (left < 2 || left > SYMLINK_MAX + 1 || !is_string(p, left))
                        return -EBADMSG;
                e->target = (const char *) p;
                return 0;
        case TREE_LINK:
                if (left != sizeof(link))
                        return -EBADMSG;
                memcpy(&link, p, sizeof(link));
                e->link = le32toh(link);
                return 0;
        case TREE_CHARACTER:
        case TREE_BLOCK:
                if (left != sizeof(device))
                        return -EBADMSG;
                memcpy(&device, p, sizeof(device));
                e->device = makedev(le32toh(device.major), le32toh(device.minor));
                return 0;
        default:
                return left > 0 ? -EBADMSG : 0;
        }
}

/* One record, checked as far as that is possible without the others. */
static int parse_entry(const uint8_t *data, size_t left, TreeEntry *ret, size_t *ret_size) {
        const uint8_t *p = data + sizeof(Record);
        size_t size, name_size, xattrs_size, position = 0;
        TreeXattr xattr;
        Record record;
        int r;

        if (left < sizeof(record))
                return -EBADMSG;
        memcpy(&record, data, sizeof(record));
        size = le32toh(record.size);
        name_size = le16toh(record.name_size);
        xattrs_size = le32toh(record.xattrs_size);
        if (size > left || size < sizeof(record) || name_size > size - sizeof(record) ||
            xattrs_size > size - sizeof(record) - name_size)
                return -EBADMSG;

        TreeEntry e = {
                .type = record.type,
                .depth = le16toh(record.depth),
                .name = (const char *) p,
                .mode = le16toh(record.mode),
                .flags = record.flags,
                .uid = le32toh(record.uid),
                .gid = le32toh(record.gid),
                .atime = { (time_t) le64toh((uint64_t) record.atime_sec), le32toh(record.atime_nsec) },
                .mtime = { (time_t) le64toh((uint64_t) record.mtime_sec), le32toh(record.mtime_nsec) },
                .xattrs = p + name_size,
                .xattrs_size = xattrs_size,
        };

        if (e.type < TREE_DIRECTORY || e.type >= _TREE_TYPE_MAX || (e.flags & ~TREE_FLAGS_ALL) ||
            e.depth > TREE_DEPTH_MAX || (e.mode & ~07777U) || e.uid == (uid_t) -1 || e.gid == (gid_t) -1 ||
            e.atime.tv_nsec >= 1000000000 || e.mtime.tv_nsec >= 1000000000 || !is_string(p, name_size))
                return -EBADMSG;

        if (e.flags != 0 && e.type != TREE_DIRECTORY && e.type != TREE_PACKED && e.type != TREE_FILE)
                return -EBADMSG;

        while ((r = tree_xattr_next(e.xattrs, e.xattrs_size, &position, &xattr)) > 0)
                ;
        if (r < 0)
                return r;

        r = parse_part(&e, p + name_size + xattrs_size, size - sizeof(record) - name_size - xattrs_size);
        if (r < 0)
                return r;

        *ret = e;
        *ret_size = size;
        return 0;
}

/* Checks an entry against those before it; max_depth is how deep it may be after the one just before. */
static int check_entry(const TreeIndex *x, uint32_t n, const TreeEntry *e, unsigned max_depth) {
        TreeEntry other;

        if (n == 0)
                return e->depth == 0 && e->type == TREE_DIRECTORY && !*e->name ? 0 : -EBADMSG;
        if (e->depth < 1 || e->depth > max_depth || !is_name(e->name))
                return -EBADMSG;
        if (e->type != TREE_LINK)
                return 0;
        if (e->link >= n)
                return -EBADMSG;

        tree_index_get(x, e->link, &other);
        return other.type == TREE_DIRECTORY || other.type == TREE_LINK ? -EBADMSG : 0;
}

static int check_entries(TreeIndex *x) {
        _cleanup_free_ uint32_t *open = NULL;
        size_t position = sizeof(Header), size;
        unsigned max_depth = 0;
        TreeEntry e;
        int r;

        open = malloc((TREE_DEPTH_MAX + 2) * sizeof(uint32_t));
        if (!open)
                return -ENOMEM;

        for (uint32_t n = 0; n < x->n_entries; n++) {
                r = parse_entry(x->data + position, x->size - position, &e, &size);
                if (r >= 0)
                        r = check_entry(x, n, &e, max_depth);
                if (r < 0)
                        return r;

                x->offsets[n] = position;
                x->parents[n] = n == 0 ? 0 : open[e.depth - 1];
                position += size;

                max_depth = e.depth;
                if (e.type == TREE_DIRECTORY) {
                        open[e.depth] = n;
                        max_depth = e.depth + 1;
                }
                x->n_files += e.type == TREE_FILE;
                if (e.type == TREE_PACKED)
                        x->packed_bytes += tree_packed_bytes(&e);
        }

        return position == x->size ? 0 : -EBADMSG;
}

int tree_table_open(const uint8_t *data, size_t size, TreeIndex *ret) {
        _cleanup_(tree_index_done) TreeIndex x = { .data = data, .size = size };
        uint8_t sum[16];
        Header h;
        int r;

        if (size < sizeof(h) || size > TREE_TABLE_BYTES_MAX)
                return -EBADMSG;
        memcpy(&h, data, sizeof(h));
        if (memcmp(h.magic, MAGIC, sizeof(h.magic)) != 0)
                return -EBADMSG;
        if (le32toh(h.version) != TREE_TABLE_VERSION)
                return le32toh(h.version) > TREE_TABLE_VERSION ? -EPROTONOSUPPORT : -EBADMSG;

        x.n_entries = le32toh(h.n_entries);
        if (le64toh(h.size) != size || x.n_entries < 1 || x.n_entries > size / sizeof(Record))
                return -EBADMSG;
        tree_table_hash(data, size, sum);
        if (memcmp(sum, h.hash, sizeof(sum)) != 0)
                return -EBADMSG;

        x.offsets = malloc(x.n_entries * sizeof(size_t));
        x.parents = malloc(x.n_entries * sizeof(uint32_t));
        if (!x.offsets || !x.parents)
                return -ENOMEM;
        r = check_entries(&x);
        if (r < 0)
                return r;

        *ret = x;
        x = (TreeIndex) {};
        return 0;
}

void tree_index_done(TreeIndex *x) {
        free(x->offsets);
        free(x->parents);
        *x = (TreeIndex) {};
}

void tree_index_get(const TreeIndex *x, uint32_t n, TreeEntry *ret) {
        size_t size;
        int r;

        assert(n < x->n_entries);
        r = parse_entry(x->data + x->offsets[n], x->size - x->offsets[n], ret, &size);
        assert(r == 0);
}
