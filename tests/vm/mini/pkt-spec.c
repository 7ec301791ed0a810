/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Specifications, and the bytes they stand for. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "pkt.h"

static int parse_number(const char *text, uint64_t *ret) {
        char *end;
        uint64_t v;

        errno = 0;
        v = strtoull(text, &end, 0);
        if (errno || end == text)
                return -EINVAL;
        switch (*end) {
        case 'G': v <<= 10; /* fall through */
        case 'M': v <<= 10; /* fall through */
        case 'K': v <<= 10; end++; break;
        }
        if (*end)
                return -EINVAL;
        *ret = v;
        return 0;
}

static int parse_seals(char *text, unsigned *ret) {
        static const struct { const char *name; unsigned seal; } table[] = {
                { "seal", F_SEAL_SEAL }, { "shrink", F_SEAL_SHRINK }, { "grow", F_SEAL_GROW },
                { "write", F_SEAL_WRITE }, { "future", 0x0010 /* F_SEAL_FUTURE_WRITE */ },
                { "exec", 0x0020 /* F_SEAL_EXEC */ },
        };
        char *save, *word;

        *ret = 0;
        for (word = strtok_r(text, "+", &save); word; word = strtok_r(NULL, "+", &save)) {
                size_t i;

                for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
                        if (strcmp(word, table[i].name) == 0)
                                break;
                if (i == sizeof(table) / sizeof(table[0]))
                        return -EINVAL;
                *ret |= table[i].seal;
        }
        return 0;
}

int spec_parse(const char *text, struct pkt_spec *ret) {
        struct pkt_spec s = { .run = 1, .keeprun = 1, .mode = 0777, .seed = 1 };
        char buffer[512], *save, *word;
        uint64_t v;

        if (strncmp(text, "file:", 5) == 0)
                s.is_file = true;
        else if (strncmp(text, "bytes:", 6) != 0)
                return complain("'%s' begins with neither file: nor bytes:", text), -EINVAL;
        text = strchr(text, ':') + 1;
        if (strlen(text) >= sizeof(buffer))
                return complain("the specification is too long"), -EINVAL;
        strcpy(buffer, text);

        for (word = strtok_r(buffer, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
                char *value = strchr(word, '=');
                bool flag = !value;

                if (value)
                        *value++ = 0;
                if (flag && strcmp(word, "thp") == 0) { s.thp = true; continue; }
                if (flag && strcmp(word, "scatter") == 0) { s.scatter = true; continue; }
                if (flag && strcmp(word, "fallocate") == 0) { s.fallocate = true; continue; }
                if (flag && strcmp(word, "tmpfs") == 0) { s.tmpfs = true; continue; }
                if (flag && strcmp(word, "shuffle") == 0) { s.shuffle = true; continue; }
                if (flag && strcmp(word, "hog") == 0) { s.hog = true; continue; }
                if (flag && strcmp(word, "light") == 0) { s.light = true; continue; }
                if (flag && strcmp(word, "swap") == 0) { s.swap = true; continue; }
                if (flag && strcmp(word, "lost") == 0) { s.lost = true; continue; }
                if (flag)
                        return complain("unknown word '%s' in a specification", word), -EINVAL;
                if (strcmp(word, "seals") == 0) {
                        if (parse_seals(value, &s.seals) < 0)
                                return complain("unknown seal"), -EINVAL;
                        continue;
                }
                if (parse_number(value, &v) < 0)
                        return complain("'%s' is no number", value), -EINVAL;
                if (strcmp(word, "size") == 0) s.size = v;
                else if (strcmp(word, "seed") == 0) s.seed = v;
                else if (strcmp(word, "hole") == 0) s.hole = v;
                else if (strcmp(word, "run") == 0) s.run = v ? v : 1;
                else if (strcmp(word, "bytes") == 0) s.bytes = v;
                else if (strcmp(word, "mode") == 0) s.mode = v;
                else if (strcmp(word, "uid") == 0) s.uid = v;
                else if (strcmp(word, "gid") == 0) s.gid = v;
                else if (strcmp(word, "mtime") == 0) s.mtime_ns = v;
                else if (strcmp(word, "ranges") == 0) s.ranges = v;
                else if (strcmp(word, "mix") == 0) s.mix = v;
                else if (strcmp(word, "keep") == 0) s.keep = v;
                else if (strcmp(word, "keeprun") == 0) s.keeprun = v ? v : 1;
                else if (strcmp(word, "most") == 0) s.most = v;
                else if (strcmp(word, "pages") == 0) s.pages = v;
                else if (strcmp(word, "node") == 0) s.node = v + 1;
                else if (strcmp(word, "poison") == 0) s.poison = v + 1;
                else if (strcmp(word, "order") == 0) s.order = v;
                else
                        return complain("unknown word '%s' in a specification", word), -EINVAL;
        }
        *ret = s;
        return 0;
}

/* A finaliser with full avalanche (the constants are those of the well-known splitmix64 generator), so that a page in
 * the wrong place never looks right. */
uint64_t pattern_word(uint64_t seed, uint64_t offset) {
        uint64_t x = seed * 0x9e3779b97f4a7c15ULL + (offset / 8 + 1) * 0xd1342543de82ef95ULL;

        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
        x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
        return (x ^ (x >> 31)) | 1;
}

/* offset must be a multiple of 8; length need not. */
void pattern_fill(uint64_t seed, uint64_t offset, void *buffer, size_t length) {
        uint8_t *p = buffer;

        for (; length >= 8; length -= 8, offset += 8, p += 8) {
                uint64_t w = pattern_word(seed, offset);

                memcpy(p, &w, 8);
        }
        if (length) {
                uint64_t w = pattern_word(seed, offset);

                memcpy(p, &w, length);
        }
}

bool spec_is_hole(const struct pkt_spec *spec, uint64_t page) {
        return spec->hole && (page / spec->run) % spec->hole == spec->hole - 1;
}

void spec_page(const struct pkt_spec *spec, uint64_t i, void *buffer, size_t n) {
        size_t filled = spec->light && n > 64 ? 64 : n;

        pattern_fill(spec->seed, i * PKT_PAGE, buffer, filled);
        memset((uint8_t *) buffer + filled, 0, n - filled);
}
