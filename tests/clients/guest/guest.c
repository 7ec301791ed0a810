/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest of a few KiB without an operating system, which QEMU loads with -kernel (multiboot). It fills a part of its
 * RAM, checks it in each round, writes a block to a virtio disk and reads it back, and says so on its serial port:
 *
 *     guest tick 7 bad 0 disk 0 rtc 16:04:59
 *
 * tick counts in RAM, bad are words that are not what they were, disk is the number of blocks that came back wrong.
 * When the power button is pressed it says "guest off" and switches itself off.
 */
#include <stddef.h>
#include <stdint.h>

#define RAM ((volatile uint32_t *) 0x1000000)
#define RAM_WORDS (1U << 18)

/* --- ports --- */

static inline void out8(uint16_t port, uint8_t v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static inline void out16(uint16_t port, uint16_t v) { __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port)); }
static inline void out32(uint16_t port, uint32_t v) { __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port)); }

static inline uint8_t in8(uint16_t port) {
        uint8_t v;

        __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
        return v;
}

static inline uint16_t in16(uint16_t port) {
        uint16_t v;

        __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
        return v;
}

static inline uint32_t in32(uint16_t port) {
        uint32_t v;

        __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
        return v;
}

/* --- serial port --- */

static void put_char(char c) {
        while (!(in8(0x3fd) & 0x20))
                ;
        out8(0x3f8, (uint8_t) c);
}

static void put_text(const char *s) {
        while (*s)
                put_char(*s++);
}

static void put_number(uint32_t n, unsigned digits) {
        char text[12];
        unsigned i = 0;

        do
                text[i++] = (char) ('0' + n % 10);
        while ((n /= 10) || i < digits);
        while (i > 0)
                put_char(text[--i]);
}

/* --- clock --- */

static uint8_t clock_read(uint8_t index) {
        uint8_t v;

        out8(0x70, index);
        v = in8(0x71);
        return (uint8_t) (v / 16 * 10 + v % 16);
}

static void put_clock(void) {
        put_number(clock_read(4), 2);
        put_char(':');
        put_number(clock_read(2), 2);
        put_char(':');
        put_number(clock_read(0), 2);
}

/* --- disk: virtio over its legacy ports, one request at a time --- */

#define QUEUE_MAX 1024U
#define QUEUE_ALIGN 4096U
#define SECTOR 512U
#define BLOCK 4096U

struct descriptor {
        uint64_t address;
        uint32_t length;
        uint16_t flags, next;
};

/* Descriptors and the ring of requests take five of these at most, the ring of answers three. */
static uint8_t queue[8 * QUEUE_ALIGN] __attribute__((aligned(QUEUE_ALIGN)));
static uint8_t block[BLOCK] __attribute__((aligned(16)));
static struct {
        uint32_t type, reserved;
        uint64_t sector;
} request __attribute__((aligned(16)));
static volatile uint8_t request_status;
static uint16_t disk_port, queue_size;

static uint32_t config_read(uint32_t device, uint32_t offset) {
        out32(0xcf8, 0x80000000U | device << 11 | offset);
        return in32(0xcfc);
}

static void disk_find(void) {
        for (uint32_t device = 0; device < 32; device++) {
                if (config_read(device, 0) != 0x10011af4U)
                        continue;
                /* I/O ports and bus mastering. */
                uint32_t command = config_read(device, 4);

                out32(0xcf8, 0x80000000U | device << 11 | 4);
                out32(0xcfc, command | 5);
                disk_port = (uint16_t) (config_read(device, 0x10) & ~3U);
        }
        if (!disk_port)
                return;
        out8(disk_port + 18, 0);
        out8(disk_port + 18, 3);
        out32(disk_port + 4, 0);
        out16(disk_port + 14, 0);
        queue_size = in16(disk_port + 12);
        if (queue_size > QUEUE_MAX) {
                disk_port = 0;
                return;
        }
        out32(disk_port + 8, (uint32_t) (uintptr_t) queue / QUEUE_ALIGN);
        out8(disk_port + 18, 7);
}

/* Reads or writes the block. */
static void disk_request(uint32_t type, uint32_t number) {
        struct descriptor *d = (struct descriptor *) (void *) queue;
        volatile uint16_t *available = (volatile uint16_t *) (void *) (queue + sizeof(*d) * queue_size);
        size_t used_offset = (sizeof(*d) * queue_size + 2U * (3U + queue_size) + QUEUE_ALIGN -
                              1) / QUEUE_ALIGN * QUEUE_ALIGN;
        volatile uint16_t *used = (volatile uint16_t *) (void *) (queue + used_offset);
        uint16_t before = used[1];

        request.type = type;
        request.sector = (uint64_t) number * (BLOCK / SECTOR);
        request_status = 0xff;
        d[0] = (struct descriptor) { (uintptr_t) &request, sizeof(request), 1, 1 };
        d[1] = (struct descriptor) { (uintptr_t) block, BLOCK, type == 0 ? 3 : 1, 2 };
        d[2] = (struct descriptor) { (uintptr_t) &request_status, 1, 2, 0 };
        available[2 + available[1] % queue_size] = 0;
        __sync_synchronize();
        available[1]++;
        __sync_synchronize();
        out16(disk_port + 16, 0);
        while (used[1] == before)
                ;
}

static uint32_t word_of_block(uint32_t tick, uint32_t i) {
        return (tick * 2654435761U) ^ (i * 40503U);
}

/* Writes a block, and reads back that of an earlier round, perhaps of before a kexec of the host. Returns whether it
 * is wrong. */
static uint32_t disk_check(uint32_t tick) {
        uint32_t *words = (uint32_t *) (void *) block, old = tick > 3 ? tick - 3 : 1;

        if (!disk_port)
                return 0;
        for (uint32_t i = 0; i < BLOCK / 4; i++)
                words[i] = word_of_block(tick, i);
        disk_request(1, tick % 64);
        if (request_status != 0)
                return 1;
        for (uint32_t i = 0; i < BLOCK / 4; i++)
                words[i] = 0;
        disk_request(0, old % 64);
        if (request_status != 0)
                return 1;
        for (uint32_t i = 0; i < BLOCK / 4; i++)
                if (words[i] != word_of_block(old, i))
                        return 1;
        return 0;
}

/* --- power button, at the ports that SeaBIOS gives to the ACPI registers of q35 --- */

static void power_prepare(void) {
        out16(0x602, 0x100);
}

static void power_check(void) {
        if (!(in16(0x600) & 0x100))
                return;
        put_text("guest off\n");
        out16(0x604, 0x2000);
}

void guest_main(void);
void guest_main(void) {
        uint32_t disk = 0;

        for (uint32_t i = 0; i < RAM_WORDS; i++)
                RAM[i] = i * 2654435761U;
        disk_find();
        power_prepare();
        put_text(disk_port ? "guest boots\n" : "guest boots without a disk\n");

        for (uint32_t tick = 1;; tick++) {
                uint32_t bad = 0;

                for (uint32_t i = 0; i < RAM_WORDS; i++)
                        bad += RAM[i] != i * 2654435761U;
                disk += disk_check(tick);
                put_text("guest tick ");
                put_number(tick, 1);
                put_text(" bad ");
                put_number(bad, 1);
                put_text(" disk ");
                put_number(disk, 1);
                put_text(" rtc ");
                put_clock();
                put_char('\n');
                power_check();
        }
}
