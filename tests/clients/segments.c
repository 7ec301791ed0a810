/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Uses System V shared memory as a database does.
 *
 *     segments create KEY SIZE MODE   creates a segment with that key, and fills it
 *     segments private SIZE           the same without a key
 *     segments huge KEY SIZE          creates a segment of huge pages, of which there need not be any
 *     segments lock KEY               locks it in memory (SHM_LOCK), as "check" shows
 *     segments check KEY SIZE MODE    fails if it is not there, or not what was created
 *     segments hold KEY               attaches it for writing, prints "attached", and waits
 *     segments change KEY             changes and restores a word
 *     segments remove KEY
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

static uint32_t word(unsigned long key, size_t i) {
        /* Every fourth page stays a hole. */
        return i / 1024 % 4 == 3 ? 0 : (uint32_t) (i * 2654435761U ^ key);
}

static int die(const char *what) {
        (void) fprintf(stderr, "segments: %s: %s\n", what, strerror(errno));
        return EXIT_FAILURE;
}

static int create(key_t key, size_t size, int flags) {
        int id = shmget(key, size, IPC_CREAT | IPC_EXCL | flags);
        uint32_t *p;

        if (id < 0)
                return die("shmget");
        p = shmat(id, NULL, 0);
        if (p == (void *) -1)
                return die("shmat");
        for (size_t i = 0; i < size / 4; i++)
                if (word((unsigned long) key, i))
                        p[i] = word((unsigned long) key, i);
        (void) printf("%i\n", id);
        return EXIT_SUCCESS;
}

static int check(key_t key, size_t size, unsigned mode) {
        int id = shmget(key, size, 0);
        struct shmid_ds ds;
        const uint32_t *p;
        size_t bad = 0;

        if (id < 0 || shmctl(id, IPC_STAT, &ds) < 0)
                return die("shmget");
        p = shmat(id, NULL, SHM_RDONLY);
        if (p == (const void *) -1)
                return die("shmat");
        for (size_t i = 0; i < size / 4; i++)
                bad += p[i] != word((unsigned long) key, i);
        if (bad || ds.shm_segsz != size || (ds.shm_perm.mode & 0777U) != mode) {
                (void) fprintf(stderr, "segments: %zu words are wrong, %zu bytes, mode %04o\n", bad,
                               (size_t) ds.shm_segsz, ds.shm_perm.mode & 0777U);
                return EXIT_FAILURE;
        }
        (void) printf("uid %u gid %u%s\n", ds.shm_perm.uid, ds.shm_perm.gid,
                      ds.shm_perm.mode & SHM_LOCKED ? " locked" : "");
        return EXIT_SUCCESS;
}

int main(int argc, char *argv[]) {
        const char *verb = argc > 2 ? argv[1] : "";
        key_t key = argc > 2 ? (key_t) strtoul(argv[2], NULL, 0) : 0;
        size_t size = argc > 3 ? strtoul(argv[3], NULL, 0) : 0;
        unsigned mode = argc > 4 ? (unsigned) strtoul(argv[4], NULL, 8) : 0600;
        volatile uint32_t *p;
        int id;

        if (!strcmp(verb, "create"))
                return create(key, size, (int) mode);
        if (!strcmp(verb, "private"))
                return create(IPC_PRIVATE, strtoul(argv[2], NULL, 0), 0600);
        if (!strcmp(verb, "huge"))
                return shmget(key, size, IPC_CREAT | IPC_EXCL | SHM_HUGETLB | SHM_NORESERVE | 0600) < 0 ?
                        die("shmget") : EXIT_SUCCESS;
        if (!strcmp(verb, "check"))
                return check(key, size, mode);

        id = shmget(key, 0, 0);
        if (id < 0)
                return die("shmget");
        if (!strcmp(verb, "lock"))
                return shmctl(id, SHM_LOCK, NULL) < 0 ? die("shmctl") : EXIT_SUCCESS;
        if (!strcmp(verb, "remove"))
                return shmctl(id, IPC_RMID, NULL) < 0 ? die("shmctl") : EXIT_SUCCESS;
        p = shmat(id, NULL, 0);
        if (p == (volatile void *) -1)
                return die("shmat");
        if (!strcmp(verb, "change")) {
                p[0] = ~p[0];
                p[0] = ~p[0];
                return EXIT_SUCCESS;
        }
        if (!strcmp(verb, "hold")) {
                (void) puts("attached");
                (void) fflush(stdout);
                (void) pause();
        }
        return EXIT_FAILURE;
}
