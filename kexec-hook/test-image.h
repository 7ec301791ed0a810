/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Builds the skeleton of a bzImage: everything a loader looks at, and no code. */

#include <endian.h>

#include "test-util.h"

enum {
        IMG_SETUP_SECTS = 3,            /* as the header counts: without the boot sector */
        IMG_SETUP       = (IMG_SETUP_SECTS + 1) * 512,
        IMG_CODE        = 4096,
        IMG_INFO        = 1024,         /* kernel_info, from the start of the code */
        IMG_SIZE        = IMG_SETUP + IMG_CODE,
};

static inline void put16(uint8_t *p, uint16_t v) {
        v = htole16(v);
        memcpy(p, &v, sizeof(v));
}

static inline void put32(uint8_t *p, uint32_t v) {
        v = htole32(v);
        memcpy(p, &v, sizeof(v));
}

/* An image as a kernel with PKRAM has it: format version 7, features 0x5. */
static inline void make_image(uint8_t image[static IMG_SIZE]) {
        uint8_t *info = image + IMG_SETUP + IMG_INFO;

        memset(image, 0, IMG_SIZE);
        memcpy(image, "MZ", 2);
        image[0x1f1] = IMG_SETUP_SECTS;
        put32(image + 0x1f4, IMG_CODE / 16);
        put16(image + 0x1fe, 0xaa55);
        image[0x200] = 0xeb;
        image[0x201] = 0x6a;                    /* the header ends at 0x26c */
        memcpy(image + 0x202, "HdrS", 4);
        put16(image + 0x206, 0x020f);
        put16(image + 0x20e, 0x400);            /* release at 0x600 */
        image[0x211] = 1;                       /* LOADED_HIGH */
        image[0x234] = 1;                       /* relocatable */
        put16(image + 0x236, 0x3f);             /* 64 bit and more */
        put32(image + 0x238, 2047);
        put32(image + 0x268, IMG_INFO);
        strcpy((char*) image + 0x600, "6.12.107-pkram (builder@host) #1 SMP");

        memcpy(info, "LToP", 4);
        put32(info + 4, 16);
        put32(info + 8, 48);
        put32(info + 12, 8);
        memcpy(info + 16, "PKRM", 4);
        put32(info + 20, 32);
        put32(info + 24, 7);
        put32(info + 32, 5);
        put32(info + 36, 0x80000000);
        put32(info + 40, 9);
}
