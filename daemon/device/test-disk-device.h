/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device for nodes in files, for the tests of its parts, with what is stored through it, and its files. */
#pragma once

#include "test-disk-fixture.h"

#define DATA "what is stored is there again"

typedef struct Fixture {
        DiskFixture d;
        char notices[4096]; /* since the last start, a line each */
        DiskDevice *disk;
        PkramDevice device;
} Fixture;

/* For cmocka. The first boot has begun, and there is no directory yet. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Another pkramd, in this boot or in the next one. */
void fixture_restart(Fixture *f, bool reboot);

/* The next one of a sequence that is the same in each run. */
uint8_t random_byte(void);

/* A file with data at 0, at 3 MiB and a half, and a hole up to 5 MiB and 10 bytes. */
int make_file(void);

/* Stores a node of a byte stream and, with fd, a file. */
int put(Fixture *f, const char *name, const char *data, int fd, bool replace);

/* Returns the byte stream of a node, to be freed, or NULL, and errno says why. */
char *get(Fixture *f, const char *name);

/* Loads the file of a node, to be closed. */
int get_file(Fixture *f, const char *name, int *ret);

/* Removes a node. */
int drop(Fixture *f, const char *name);

/* Checks the byte stream of a node. data: NULL if there must be none. */
void assert_node(Fixture *f, const char *name, const char *data);

/* Returns how many nodes there are, up to n of them. flags: those of PKRAM_IOC_LIST. */
uint32_t list(Fixture *f, uint32_t flags, struct pkram_node_info *nodes, uint32_t n);

/* Path of the directory of the nodes, or of the file of one. */
void node_path(Fixture *f, const char *name, char *ret, size_t size);

/* Runs a command, which has to succeed. */
_printf_(1, 2) void shell(const char *format, ...);

/* Damages a byte of a file, or restores it. */
void flip(const char *path, off_t offset);
