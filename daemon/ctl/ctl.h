/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pkramctl: what its verbs share. */
#pragma once

#include <json-c/json.h>

#include "varlink-client.h"

/* Exit statuses, as documented in --help and pkramctl(1). */
enum {
        EXIT_OK = 0,
        EXIT_FAILED = 1,        /* Unexpected, and failures of pkramctl itself */
        EXIT_USAGE = 2,
        EXIT_NO_NODE = 3,       /* NoSuchNode */
        EXIT_EXISTS = 4,        /* NodeExists, NodeBusy */
        EXIT_DENIED = 5,        /* PermissionDenied */
        EXIT_LIMIT = 6,         /* QuotaExceeded, NoMemory */
        EXIT_DAMAGED = 7,       /* NodeDamaged */
        EXIT_REFUSED = 8,       /* InvalidName, NotPreservable */
        EXIT_UNSUPPORTED = 9,   /* NotSupported: the kernel or the backend cannot do it */
        EXIT_NO_DAEMON = 10,    /* no connection to pkramd */
        EXIT_WOULD_LOSE = 11,   /* check, kexec: the kexec would lose nodes or trees */
        EXIT_TRY_AGAIN = 12,    /* TryAgain */
        EXIT_DIRECTORY = 13,    /* NotEmpty, BadDirectory, and files that exist already */
        EXIT_TOO_LARGE = 14,    /* ReplyTooLarge */
        EXIT_KIND = 15,         /* WrongKind, NodeVersion */
};

typedef enum JsonMode {
        JSON_OFF,
        JSON_PRETTY,
        JSON_SHORT,
} JsonMode;

extern JsonMode arg_json;
extern bool arg_pager, arg_legend, arg_keep, arg_replace, arg_verify, arg_force, arg_reboot, arg_reuse_cmdline, arg_tree, arg_skip_special;
extern const char *arg_socket, *arg_kernel, *arg_append, *arg_object_name, *arg_owner;
extern const char **arg_initrds;
extern size_t arg_n_initrds;
extern bool arg_no_initrd;

/*
 * Verbs get their arguments after their own name, which is argv[0], and return an
 * exit status. They say what went wrong themselves.
 */
int verb_status(int argc, char *argv[]);
int verb_list(int argc, char *argv[]);
int verb_show(int argc, char *argv[]);
int verb_store(int argc, char *argv[]);
int verb_retrieve(int argc, char *argv[]);
int verb_remove(int argc, char *argv[]);
int verb_monitor(int argc, char *argv[]);
int verb_check(int argc, char *argv[]);
int verb_kexec(int argc, char *argv[]);

/* --- ctl-tree.c: what store and retrieve do with --tree. An exit status. --- */
int store_tree(const char *name, const char *path);
int retrieve_tree(const char *name, const char *path);

/* --- ctl-call.c --- */

/* Says what went wrong, with "pkramctl: " in front, and returns the status. */
int fail(int status, const char *format, ...) _printf_(2, 3);
int fail_memory(void);

/* Connects to the daemon. 0, or a status after saying what went wrong. */
int ctl_connect(VarlinkClient **ret);

/* Sends and receives. 0, or a status after saying what went wrong, error replies included. parameters is taken over. */
int ctl_send(VarlinkClient *c, const char *method, struct json_object *parameters, const int *fds, size_t n_fds, bool more);
int ctl_receive(VarlinkClient *c, VarlinkReply *ret);
int ctl_call(VarlinkClient *c, const char *method, struct json_object *parameters, const int *fds, size_t n_fds, VarlinkReply *ret);

/* The same for methods that tell how far they are, which is shown, as what, if there is somebody to see it. */
int ctl_call_progress(
                VarlinkClient *c,
                const char *method,
                struct json_object *parameters,
                const int *fds,
                size_t n_fds,
                const char *what,
                VarlinkReply *ret);

/* Returns parameters with the name of a node, NULL for none, and with --owner= if it was given. NULL without memory. */
struct json_object *ctl_parameters(const char *name);

/* Prints JSON the way the user asked for. */
void ctl_print_json(struct json_object *o);

/* Prints text that came from elsewhere, without anything a terminal would obey. */
void ctl_print_text(const char *text);

/* --- ctl-terminal.c --- */

typedef enum Color {
        COLOR_NORMAL, /* ends what the others begin */
        COLOR_HEADING,
        COLOR_GOOD,
        COLOR_WARNING,
        COLOR_BAD,
} Color;

/* What has to be printed for it on standard output, "" without colours; the same for standard error. */
const char *color(Color c);
const char *color_stderr(Color c);

/* Columns of standard output, SIZE_MAX if it is no terminal. */
size_t terminal_width(void);

/* Sends standard output through a pager, if it is a terminal and one is wanted, until the end of the program. */
void pager_open(void);
bool pager_is_open(void);
void pager_close(void);

/* --- ctl-table.c --- */

typedef struct Table Table;

/* A table with those headings; those that begin with '>' are aligned to the right. Ends the program without memory. */
Table *table_new(size_t n_columns, const char *const *headings);
void table_add(Table *t, const char *text);
/* Prints it, fitted to the terminal, with what is counted in a last line if legends are wanted. */
void table_print(const Table *t, const char *counted);
Table *table_free(Table *t);
DEFINE_CLEANUP(Table *, table_free)

/* --- ctl-progress.c --- */

/* How far something is that takes long, with its rate and the time that is left: one line on standard error. */
typedef struct Progress {
        const char *what; /* borrowed */
        uint64_t size;    /* bytes there will be, 0 if nobody knows; may be changed at any time */
        uint64_t done;
        uint64_t begin_usec, shown_usec;
        bool wanted;      /* standard error is a terminal */
        bool shown;
} Progress;

void progress_begin(Progress *p, const char *what, uint64_t size);

/* So many bytes are done. Draws now and then, and not before it has taken half a second. */
void progress_set(Progress *p, uint64_t done);

/* Clears the line. */
void progress_end(Progress *p);

/* --- ctl-copy.c --- */

/*
 * Copies everything from one descriptor to another, holes as holes if both are
 * regular files. Shows how far it is on standard error if that is a terminal and
 * it takes long. size: how much there will be, 0 if nobody knows. -errno.
 */
int copy_descriptor(int from, int to, uint64_t size, const char *what);
