/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pkramctl: declarations shared by its verbs. */
#pragma once

#include <json-c/json.h>

#include "config.h"
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
extern bool arg_pager, arg_legend, arg_quiet, arg_dry_run, arg_bytes;
extern const char *arg_socket, *arg_owner, *arg_sort;
extern int arg_persist; /* importance on disk, PERSIST_NEVER or PERSIST_DEFAULT */
extern bool arg_check_reboot;
extern bool arg_replace, arg_verify, arg_tree, arg_sysv, arg_skip_special, arg_release, arg_force;
extern const char *arg_object_name; /* NULL for the default */
extern bool arg_reboot, arg_reuse_cmdline, arg_fast, arg_no_initrd, arg_ask_password;
extern const char *arg_entry, *arg_kernel, *arg_append, *arg_when, *arg_check_inhibitors;
extern const char **arg_initrds;
extern size_t arg_n_initrds;

/*
 * Verbs get their own name as argv[0] and their arguments after it. They return an
 * exit status, and print a message if that is not EXIT_OK.
 */
int verb_status(int argc, char *argv[]);
int verb_list(int argc, char *argv[]);
int verb_show(int argc, char *argv[]);
int verb_store(int argc, char *argv[]);
int verb_retrieve(int argc, char *argv[]);
int verb_release(int argc, char *argv[]);
int verb_remove(int argc, char *argv[]);
int verb_monitor(int argc, char *argv[]);
int verb_analyze(int argc, char *argv[]);
int verb_metrics(int argc, char *argv[]);
int verb_check(int argc, char *argv[]);
int verb_kexec(int argc, char *argv[]);

/* --- ctl-tree.c: store and retrieve for directory trees. Both return an exit status. --- */
int store_tree(const char *name, const char *path);
int retrieve_tree(const char *name, const char *path);

/* --- ctl-sysv.c: store and retrieve for segments, a list that ends with NULL. Both return an exit status. --- */
int store_segments(VarlinkClient *c, char *const *segments);
int retrieve_segments(VarlinkClient *c, char *const *segments);

/* --- ctl-retrieve.c: releases a node, whichever it is if id is 0. Returns an exit status. --- */
int release_node(VarlinkClient *c, const char *name, int64_t id);

/* --- ctl-call.c --- */

/* Prints a message with prefix "pkramctl: " to standard error, and returns the status. */
int fail(int status, const char *format, ...) _printf_(2, 3);
int fail_memory(void);

/* Prints a message to standard error if that is a terminal and --quiet was not given. */
void hint(const char *format, ...) _printf_(1, 2);

/* Connects to the daemon. Returns 0, or an exit status after printing a message. */
int ctl_connect(VarlinkClient **ret);

/* Send and receive. Return 0, or an exit status after printing a message, also for error replies. Take ownership of
 * parameters. */
int ctl_send(VarlinkClient *c, const char *method, struct json_object *parameters, const int *fds, size_t n_fds,
             bool more);
int ctl_receive(VarlinkClient *c, VarlinkReply *ret);

/* Like ctl_receive(), but returns 0 with ret->error set if the reply is this error, which may be NULL. */
int ctl_receive_unless(VarlinkClient *c, const char *error, VarlinkReply *ret);

int ctl_call(VarlinkClient *c, const char *method, struct json_object *parameters, const int *fds, size_t n_fds,
             VarlinkReply *ret);

/* The same for methods that report progress, which is shown on a terminal, labelled with what. */
int ctl_call_progress(
                VarlinkClient *c,
                const char *method,
                struct json_object *parameters,
                const int *fds,
                size_t n_fds,
                const char *what,
                VarlinkReply *ret);

/* Returns parameters with the name of a node, NULL for none, and with --owner= if it was given. NULL without
 * memory. */
struct json_object *ctl_parameters(const char *name);

/* Prints JSON as selected with --json=. */
void ctl_print_json(struct json_object *o);

/* Writes what standard output has buffered. Returns 0, or the negative errno of the first failure so far, -EIO if it
 * is not known. The program reports it when it ends. */
int ctl_flush(void);

/* Prints text from outside to standard output, with control characters escaped. */
void ctl_print_text(const char *text);

/* --- ctl-info.c --- */

/* Formats a number of bytes for people, or exactly with --bytes. buffer: FORMAT_MAX bytes. */
const char *format_size(char *buffer, int64_t bytes);

/* --- ctl-programs.c --- */

/* Prints a line for each guest of pkram-qemu and process of pkram-criu in a reply of GetStatus. */
void programs_print_status(struct json_object *status);

/* Prints those that a kexec saves, and those that it cannot save, from a reply of CheckKexec. */
void programs_print_check(struct json_object *check);

/* Prints a node if it holds shared memory, and adds the name of that to an array. -ENOMEM. */
int shared_print_node(struct json_object *node, struct json_object *array);

/* Prints names of shared memory that was restored: all but those that are still stored. */
void shared_print_restored(struct json_object *names, struct json_object *stored);

/* --- ctl-terminal.c --- */

typedef enum Color {
        COLOR_NORMAL, /* resets the others */
        COLOR_HEADING,
        COLOR_GOOD,
        COLOR_WARNING,
        COLOR_BAD,
} Color;

/* Return the escape sequence for standard output or standard error, "" if colours are off. */
const char *color(Color c);
const char *color_stderr(Color c);

/* Returns the number of columns of standard output, SIZE_MAX if it is not a terminal. */
size_t terminal_width(void);

/* Pipes standard output into a pager until the end of the program, if it is a terminal and --no-pager was not
 * given. */
void pager_open(void);
bool pager_is_open(void);
void pager_close(void);

/* --- ctl-table.c --- */

typedef struct Table Table;

/* Creates a table with these headings; columns whose heading begins with '>' are aligned to the right. Exits the
 * program without memory. */
Table *table_new(size_t n_columns, const char *const *headings);
void table_add(Table *t, const char *text);
/* Prints the table, fitted to the terminal, with a count of counted (a noun) as footer unless --no-legend was
 * given. */
void table_print(const Table *t, const char *counted);
Table *table_free(Table *t);
DEFINE_CLEANUP(Table *, table_free)

/* --- ctl-progress.c --- */

/* Progress of a long operation, with its rate and the time left: one line on standard error. */
typedef struct Progress {
        const char *what; /* borrowed */
        uint64_t size;    /* total bytes, 0 if unknown; may be changed at any time */
        uint64_t done;
        uint64_t begin_usec, shown_usec;
        bool wanted;      /* standard error is a terminal */
        bool shown;
} Progress;

void progress_begin(Progress *p, const char *what, uint64_t size);

/* Sets the number of bytes done. Draws the line ten times a second, after the first half second. */
void progress_set(Progress *p, uint64_t done);

/* Clears the line. */
void progress_end(Progress *p);

/* --- ctl-attributes.c --- */

/*
 * Gives a new file the owner, mode, times, extended attributes, ACL and inode flags (as of chattr(1)) of another one.
 * The owner is left out if the caller may not set it. All else is set or the call fails, so that nothing is lost
 * silently and no permission is added. Returns 0 or a negative errno, with *ret_what saying what could not be copied.
 */
int copy_attributes(int from, int to, const char **ret_what);

/* Makes a new file private to its owner. Returns 0 or a negative errno. */
int reset_attributes(int fd);

/* --- ctl-copy.c --- */

/*
 * Copies everything from one descriptor to another, and keeps holes if both are
 * regular files and to is empty and not open for appending. Shows progress, labelled
 * with what. size: bytes to copy, 0 if unknown. Returns 0 or a negative errno.
 */
int copy_descriptor(int from, int to, uint64_t size, const char *what);
