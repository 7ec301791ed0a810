/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/shm.h>
#include <sys/stat.h>

#include "config.h"
#include "log.h"
#include "name.h"
#include "pkram-call.h"
#include "peer.h"
#include "shm-node.h"

struct json_object *shm_parameters(const char *name) {
        _cleanup_json_ struct json_object *p = json_object_new_object();

        if (!p || json_add_string(p, "owner", OWNER_ROOT) < 0 || (name && json_add_string(p, "name", name) < 0))
                return NULL;
        return TAKE_PTR(p);
}

/* Calls a method and logs what is wrong, as "Failed to VERB WHAT: ...". */
static int shm_node_call(VarlinkClient *c, const char *method, struct json_object *p, int fd, const char *verb,
                         const char *what, VarlinkReply *ret) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = p ? pkram_call(c, method, p, fd, ret) : -ENOMEM;
        if (r < 0)
                return log_error_errno(r, "Failed to %s %s", verb, what);
        if (!ret->error)
                return 0;
        text = reply_to_text(ret);
        log_error("Failed to %s %s: %s", verb, what, text ?: ret->error);
        return -EREMOTEIO;
}

/* Makes way for a node: removes one that was stored in this boot under that name, which has frozen what it was made
 * of, maybe the same file. Returns 0, -EEXIST if the node came from an earlier kernel and holds what could not be
 * restored, or another negative errno. */
static int node_forget(VarlinkClient *c, const char *node) {
        _cleanup_reply_ VarlinkReply described = {}, removed = {};
        struct json_object *p = shm_parameters(node), *n;
        int r;

        r = p ? pkram_call(c, "Describe", p, -EBADF, &described) : -ENOMEM;
        if (r < 0 || described.error)
                return r;
        n = json_get(described.parameters, "node");
        if (json_get_bool(n, "inherited", true))
                return -EEXIST;
        p = shm_parameters(node);
        if (!p || json_add_int(p, "id", json_get_int(n, "id", 0)) < 0) {
                json_object_unref(p);
                return -ENOMEM;
        }
        return pkram_call(c, "Remove", p, -EBADF, &removed);
}

int shm_store(VarlinkClient *c, const char *node, const char *object, int fd, const char *what) {
        _cleanup_json_ struct json_object *p = shm_parameters(node), *objects = json_object_new_array();
        _cleanup_reply_ VarlinkReply reply = {};
        size_t n_fds = 0;
        int fds[1], r;

        if (!p || !objects ||
            store_objects_add(objects, object, fd, /* data= */ NULL, /* size= */ 0, fds, &n_fds) < 0 ||
            json_add(p, "objects", TAKE_PTR(objects)) < 0 || json_add_bool(p, "replace", true) < 0 ||
            /* A kernel without PKRAM would go by the copy, which the one after it would take for new. */
            persist_add(p, PERSIST_NEVER) < 0)
                return log_error_errno(-ENOMEM, "Failed to store %s", what);
        r = node_forget(c, node);
        if (r == -EEXIST) {
                log_error("Refusing to store %s: node '%s' holds contents that were not restored. Restore them with "
                          "'systemctl restart pkram-shm.service', or remove them with 'pkramctl --owner=root remove "
                          "%s'.", what, node, node);
                return r;
        }
        if (r < 0)
                return log_error_errno(r, "Failed to store %s", what);
        r = shm_node_call(c, "Store", TAKE_PTR(p), fd, "store", what, &reply);
        if (r >= 0)
                log_info("Stored %s.", what);
        return r;
}

int segment_save(VarlinkClient *c, const Segment *s) {
        _cleanup_free_ char *object = segment_to_object_name(s), *writers = NULL;
        const char *obstacle;
        char what[64], node[32];
        _cleanup_close_ int fd = -EBADF;
        int r;

        (void) snprintf(what, sizeof(what), "segment 0x%08x (%i)", s->key, s->id);
        if (!object)
                return log_error_errno(-ENOMEM, "Failed to store %s", what);
        r = segment_obstacle(s, &obstacle);
        if (r < 0)
                return log_error_errno(r, "Failed to open %s", what);
        if (obstacle) {
                log_error("Refusing to store %s: %s.", what, obstacle);
                return -EOPNOTSUPP;
        }
        writers = s->attached > 0 ? segment_writers(s->id) : NULL;
        if (writers) {
                log_error("Refusing to store %s: it is attached for writing by %s. " STOP_THEM_FIRST, what, writers);
                return -EBUSY;
        }
        fd = segment_open(s, /* write= */ false);
        if (fd < 0)
                return log_error_errno(fd, "Failed to open %s", what);
        (void) snprintf(node, sizeof(node), SYSV_PREFIX "0x%08x", s->key);
        return shm_store(c, node, object, fd, what);
}

static int node_end(VarlinkClient *c, const char *method, const char *name, int64_t id, const char *verb,
                    const char *what) {
        _cleanup_json_ struct json_object *p = shm_parameters(name);
        _cleanup_reply_ VarlinkReply reply = {};

        if (!p || json_add_int(p, "id", id) < 0)
                return log_error_errno(-ENOMEM, "Failed to %s %s", verb, what);
        return shm_node_call(c, method, TAKE_PTR(p), -EBADF, verb, what, &reply);
}

/* Puts the contents of a node into an empty file. */
static int node_load(VarlinkClient *c, const char *name, int fd, const char *what) {
        _cleanup_json_ struct json_object *p = shm_parameters(name);
        _cleanup_reply_ VarlinkReply reply = {};

        if (!p || json_add_int(p, "into", 0) < 0)
                return log_error_errno(-ENOMEM, "Failed to restore %s", what);
        return shm_node_call(c, "Retrieve", TAKE_PTR(p), fd, "restore", what, &reply);
}

static int segment_fill(VarlinkClient *c, const char *name, const Segment *s, const char *what) {
        _cleanup_close_ int fd = segment_open(s, /* write= */ true);
        int r;

        if (fd < 0 || ftruncate(fd, 0) < 0)
                return log_error_errno(fd < 0 ? fd : -errno, "Failed to open %s", what);
        r = node_load(c, name, fd, what);
        if (r < 0)
                return r;
        r = segment_publish(s, s->id);
        return r < 0 ? log_error_errno(r, "Failed to set the owner and mode of %s", what) : 0;
}

/* A node that was stored in this boot is not needed: what it is about is there, and can be used again without the
 * node. */
static int segment_restore(VarlinkClient *c, const char *name, int64_t id, bool inherited, const char *object) {
        Segment s, other;
        char what[64];
        int r;

        if (segment_from_object_name(object, &s) < 0) {
                log_error("Failed to restore '%s': it does not say what segment it was.", name);
                return -EBADMSG;
        }
        (void) snprintf(what, sizeof(what), "segment 0x%08x", s.key);
        r = segment_find(s.key, /* by_id= */ false, &other);
        if (r >= 0 && !inherited)
                return node_end(c, "Remove", name, id, "unfreeze", what);
        if (r >= 0) {
                log_error("Failed to restore %s: another segment with this key exists already, from uid %u with %llu "
                          "bytes. What was stored stays in the node '%s'.", what, other.uid,
                          (unsigned long long) other.size, name);
                return -EEXIST;
        }
        r = r == -ENOENT ? segment_create(&s, &s.id) : r;
        if (r < 0)
                return log_error_errno(r, "Failed to create %s", what);
        r = segment_fill(c, name, &s, what);
        if (r < 0) {
                (void) shmctl(s.id, IPC_RMID, NULL);
                return r;
        }
        log_info("Restored %s: %llu bytes.", what, (unsigned long long) s.size);
        /* It stays if this fails: the node may be gone nevertheless. */
        return node_end(c, "Release", name, id, "release", what);
}

static int file_restore(VarlinkClient *c, const char *name, int64_t id, bool inherited, struct json_object *object,
                        const char *shm) {
        const char *file = json_get_string(object, "name");
        _cleanup_close_ int dir = -EBADF, fd = -EBADF;
        _cleanup_free_ char *what = NULL;
        mode_t mode;
        int r;

        if (!file || name_validate(file, /* reterr_error= */ NULL) < 0) {
                log_error("Failed to restore '%s': it does not say what file it was.", name);
                return -EBADMSG;
        }
        if (asprintf(&what, "shared memory '%s'", file) < 0) {
                what = NULL;
                return -ENOMEM;
        }
        dir = open(shm, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                return log_error_errno(-errno, "Failed to open '%s'", shm);
        if (!inherited && faccessat(dir, file, F_OK, AT_SYMLINK_NOFOLLOW) >= 0)
                return node_end(c, "Remove", name, id, "unfreeze", what);
        fd = openat(dir, file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return log_error_errno(-errno, "Failed to create %s, which stays in the node '%s'", what, name);
        mode = (mode_t) json_get_int(object, "mode", 0600) & 07777;
        /* Any user can set these bits on a file. They have no meaning in shared memory, and this process may not set
         * them. */
        if (mode & (S_ISUID | S_ISGID))
                log_warning("Ignoring the set-user-ID and set-group-ID bits of %s.", what);
        mode &= ~(mode_t) (S_ISUID | S_ISGID);
        r = node_load(c, name, fd, what);
        if (r >= 0 && (fchown(fd, (uid_t) json_get_int(object, "uid", 0),
                              (gid_t) json_get_int(object, "gid", 0)) < 0 || fchmod(fd, mode) < 0))
                r = log_error_errno(-errno, "Failed to set the owner and mode of %s", what);
        if (r < 0) {
                (void) unlinkat(dir, file, 0);
                return r;
        }
        log_info("Restored %s.", what);
        /* It stays if this fails: the node may be gone nevertheless. */
        return node_end(c, "Release", name, id, "release", what);
}

int shm_restore(VarlinkClient *c, struct json_object *node, const char *shm) {
        const char *name = json_get_string(node, "name");
        bool inherited = json_get_bool(node, "inherited", false);
        int64_t id = json_get_int(node, "id", 0);
        _cleanup_reply_ VarlinkReply reply = {};
        struct json_object *objects, *object;
        int r;

        r = shm_node_call(c, "Describe", shm_parameters(name), -EBADF, "describe", name, &reply);
        if (r < 0)
                return r;
        objects = json_get_array(reply.parameters, "objects");
        object = objects && json_object_array_length(objects) == 1 ? json_object_array_get_idx(objects, 0) : NULL;
        return startswith(name, SYSV_PREFIX) ? segment_restore(c, name, id, inherited,
                                                               json_get_string(object, "name") ?: "") :
                file_restore(c, name, id, inherited, object, shm);
}

int segment_restore_key(VarlinkClient *c, uint32_t key) {
        _cleanup_reply_ VarlinkReply reply = {};
        char name[32];
        int r;

        (void) snprintf(name, sizeof(name), SYSV_PREFIX "0x%08x", key);
        r = shm_node_call(c, "Describe", shm_parameters(name), -EBADF, "restore", name, &reply);
        if (r == -EREMOTEIO && reply_is_error(&reply, "NoSuchNode"))
                return -ENOENT;
        return r < 0 ? r : shm_restore(c, json_get(reply.parameters, "node"), "/dev/shm");
}
