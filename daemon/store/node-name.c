/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <xxhash.h>

#include "name.h"
#include "node-name.h"
#include "peer.h"
#include "utf8.h"

#define HASH_HEX_LENGTH 32U

static void hash_to_hex(const char *text, char ret[HASH_HEX_LENGTH + 1]) {
        XXH128_hash_t hash = XXH3_128bits(text, strlen(text));

        (void) snprintf(ret, HASH_HEX_LENGTH + 1, "%016llx%016llx",
                        (unsigned long long) hash.high64, (unsigned long long) hash.low64);
}

KernelName node_name_encode(const char *owner, const char *name) {
        char owner_hash[HASH_HEX_LENGTH + 1], name_hash[HASH_HEX_LENGTH + 1];
        size_t n, rest = strlen(name), k = 0;
        KernelName ret = {};

        n = strlen(NODE_NAME_PREFIX) + strlen(owner) + 1;
        if (n + rest <= PKRAM_NODE_NAME_MAX) {
                char *end = stpcpy(stpcpy(ret.text, NODE_NAME_PREFIX), owner);

                /* The sum above is what fits; snprintf() would make gcc 14 warn that it might not. */
                *end++ = '|';
                memcpy(end, name, rest + 1);
                return ret;
        }

        hash_to_hex(owner, owner_hash);
        hash_to_hex(name, name_hash);
        n = (size_t) snprintf(ret.text, sizeof(ret.text), NODE_NAME_PREFIX "%s#%s#", owner_hash, name_hash);

        /* As many whole characters as there is room for. */
        while (k < rest) {
                int c = utf8_char_length(name + k, rest - k);

                if (c < 0 || n + k + (size_t) c > PKRAM_NODE_NAME_MAX)
                        break;
                k += (size_t) c;
        }
        memcpy(ret.text + n, name, k);
        return ret;
}

bool node_name_is_encoded(const char *kernel_name) {
        const char *rest = startswith(kernel_name, NODE_NAME_PREFIX);

        return rest && strpbrk(rest, "|#");
}

bool node_name_decode(const char *kernel_name, KernelName *ret_owner, KernelName *ret_name) {
        const char *rest = startswith(kernel_name, NODE_NAME_PREFIX), *end;

        *ret_owner = *ret_name = (KernelName) {};
        end = rest ? strpbrk(rest, "|#") : NULL;
        if (!end || *end != '|' || (size_t) (end - rest) > PKRAM_NODE_NAME_MAX)
                return false;

        memcpy(ret_owner->text, rest, (size_t) (end - rest));
        if (!owner_is_valid(ret_owner->text) || name_validate(end + 1, /* reterr_error= */ NULL) < 0) {
                *ret_owner = (KernelName) {};
                return false;
        }
        (void) snprintf(ret_name->text, sizeof(ret_name->text), "%s", end + 1);
        return true;
}
