/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pkramd.conf and its drop-ins. Built-in defaults stand in one table in config.c. */
#pragma once

#include "kexec-check.h"
#include "macro.h"

struct json_object;

/* Single objects in one call, unless MessageDescriptorsMax= is more. Each takes memory while the message is parsed. */
#define MESSAGE_OBJECTS_MAX 4096U

typedef enum LimitId {
        LIMIT_TOTAL_BYTES,
        LIMIT_OWNER_BYTES,
        LIMIT_USER_BYTES,
        LIMIT_NODE_BYTES,
        LIMIT_NODES,
        LIMIT_OWNER_NODES,
        LIMIT_USER_NODES,
        LIMIT_OBJECTS,
        LIMIT_CONNECTIONS,
        LIMIT_OWNER_CONNECTIONS,
        LIMIT_MESSAGE_BYTES,
        LIMIT_MESSAGE_DESCRIPTORS,
        LIMIT_OUTPUT_BYTES,
        LIMIT_BUFFER_BYTES,
        LIMIT_OWNER_BUFFER_BYTES,
        LIMIT_OWNER_DESCRIPTORS,
        _LIMIT_MAX,
} LimitId;

/* Bytes of a line of the configuration, and so of a list in it. */
#define CONFIG_LINE_MAX 1024U

/* Lists of words in the section [SharedMemory], which pkram-shm reads. */
typedef enum SharedMemoryId {
        SHARED_MEMORY_KEYS,
        SHARED_MEMORY_USERS,
        SHARED_MEMORY_FILES,
        SHARED_MEMORY_FILE_USERS,
        _SHARED_MEMORY_MAX,
} SharedMemoryId;

/* Importance of a node on disk. Nodes without one are less important than all others. */
enum {
        PERSIST_NEVER = -1,   /* it is never written to disk */
        PERSIST_DEFAULT = 0,  /* Persist=all writes it, Persist=marked does not */
        PERSIST_MARKED = 50,  /* a mark without a number */
        PERSIST_MAX = 100,
};

/* Parses the importance of a node, 0 to PERSIST_MAX, where 0 stands for PERSIST_NEVER. Returns 0 or -EINVAL. */
int persist_parse(const char *text, int *ret);

/* Adds the importance to the parameters of Store or StoreTree, unless it is PERSIST_DEFAULT. Returns 0 or a negative
 * errno. */
int persist_add(struct json_object *parameters, int persist);

/* Which nodes in memory are written to disk when the system shuts down without a kexec that preserves them. */
typedef enum PersistMode {
        PERSIST_NO,
        PERSIST_MODE_MARKED,
        PERSIST_ALL,
        _PERSIST_MODE_MAX,
} PersistMode;

typedef struct Config {
        uint64_t limit[_LIMIT_MAX]; /* UINT64_MAX: no limit */
        KexecPolicy kexec_policy;
        bool disk;               /* nodes may be on disk; true by default */
        uint64_t disk_keep_days; /* how long nodes on disk that were set aside are kept */
        PersistMode persist;     /* Persist=; PERSIST_NO also without disk, see config_persist() */
        bool persist_drop;       /* PersistPolicy=drop: a shutdown goes on if not all of them fit */
        uint64_t persist_bytes;  /* PersistBytesMax= */
        uint64_t persist_sec;    /* PersistSecMax= */
        char fdstore_units[CONFIG_LINE_MAX]; /* Units=: "all", "none", or patterns of unit names with spaces between */
        /* RequireRestore=: a unit whose descriptors cannot be restored does not start */
        bool fdstore_require_restore;
        uint64_t fdstore_unit_bytes;                 /* UnitBytesMax=; UINT64_MAX: no limit */
        uint64_t fdstore_unit_descriptors;           /* UnitDescriptorsMax= */
        uint64_t memory; /* what percentages refer to: bytes of RAM */
        char shared_memory[_SHARED_MEMORY_MAX][CONFIG_LINE_MAX]; /* "" if it is not set */
} Config;

/* The name of a limit, as in pkramd.conf and in QuotaExceeded. */
const char *limit_name(LimitId id);

/* Returns true if current and requested together are more than maximum, and then sets *ret_needed to their sum,
 * UINT64_MAX if that is too large. */
bool limit_exceeded(uint64_t maximum, uint64_t current, uint64_t requested, uint64_t *ret_needed);

/* The limit of that name, or -ENOENT. */
int limit_from_name(const char *name);

/* Returns which nodes are written to disk: none if the disk is not used, since no later boot would look for them. */
static inline PersistMode config_persist(const Config *c) {
        return c->disk ? c->persist : PERSIST_NO;
}

/* Told about every line that is ignored; line 0 means the file as a whole. path and text are valid during the call. */
typedef void (*ConfigWarning)(const char *path, unsigned line, const char *text, void *userdata);

/* A ConfigWarning that logs. */
void config_log_warning(const char *path, unsigned line, const char *text, void *userdata);

/* Sets the defaults, for this machine's RAM. */
void config_init(Config *c);

/* The same for a machine with that much RAM, in bytes. */
void config_init_memory(Config *c, uint64_t memory);

/*
 * Reads pkram/pkramd.conf of /etc, /run or /usr/lib, whichever is there first,
 * and then pkram/pkramd.conf.d/NAME.conf of all three in the order of their names,
 * where a file in /etc hides one of the same name in /run, and that one in
 * /usr/lib. root is put before these paths, "" for the real ones. Files that are
 * not there are no error, and lines that make no sense are left out with a
 * warning, which may be NULL. -ENOMEM, or what opening a directory said.
 */
int config_load(Config *c, const char *root, ConfigWarning warning, void *userdata);

/* One file's text, as above; path is for warnings only. */
void config_parse(Config *c, const char *path, const char *text, size_t length, ConfigWarning warning, void *userdata);
