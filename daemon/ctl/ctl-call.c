/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdio.h>

#include "ctl.h"
#include "format.h"
#include "json-util.h"
#include "pkram-call.h"
#include "utf8.h"

static void print_text(FILE *f, const char *text) {
        _cleanup_free_ char *escaped = utf8_escape(text);

        (void) fputs(escaped ?: "?", f);
}

int fail(int status, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);

        if (n < 0)
                text = NULL;

        /* Close the pager first: the message belongs below the output and must stay visible. */
        pager_close();
        (void) fprintf(stderr, "%spkramctl: ", color_stderr(COLOR_BAD));
        print_text(stderr, text ?: "Not enough memory.");
        (void) fprintf(stderr, "%s\n", color_stderr(COLOR_NORMAL));
        return status;
}

void hint(const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int n;

        if (arg_quiet || !isatty(STDERR_FILENO))
                return;

        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0) {
                text = NULL;
                return;
        }
        print_text(stderr, text);
        (void) fputc('\n', stderr);
}

int fail_memory(void) {
        return fail(EXIT_LIMIT, "Not enough memory.");
}

void ctl_print_text(const char *text) {
        print_text(stdout, text);
}

void ctl_print_json(struct json_object *o) {
        int flags = arg_json == JSON_PRETTY ?
                JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE :
                JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
        const char *text = json_object_to_json_string_ext(o, flags);

        if (text)
                puts(text);
        (void) ctl_flush();
}

int ctl_flush(void) {
        static int first;

        /* A later fflush() succeeds, because glibc discards what it failed to write. */
        if (fflush(stdout) != 0 && first == 0)
                first = -errno;
        /* stdio flushed a full buffer by itself, so its errno is not known. */
        if (first == 0 && ferror(stdout))
                first = -EIO;
        return first;
}

struct json_object *ctl_parameters(const char *name) {
        _cleanup_json_ struct json_object *o = json_object_new_object();

        if (!o || (name && json_add_string(o, "name", name) < 0) ||
            (arg_owner && json_add_string(o, "owner", arg_owner) < 0))
                return NULL;
        return TAKE_PTR(o);
}

int ctl_connect(VarlinkClient **ret) {
        int r;

        r = varlink_client_connect(arg_socket, ret);
        if (r == -ENOENT || r == -ECONNREFUSED)
                return fail(EXIT_NO_DAEMON, "Nothing is listening on '%s'. "
                            "Start pkramd with 'systemctl start pkramd.socket'.", arg_socket);
        if (r == -EACCES || r == -EPERM)
                return fail(EXIT_DENIED, "Permission denied when connecting to '%s'. Try again with sudo.",
                            arg_socket);
        if (r < 0)
                return fail(EXIT_NO_DAEMON, "Failed to connect to pkramd at '%s': %s. "
                            "See 'systemctl status pkramd.service'.", arg_socket, strerror(-r));
        return 0;
}

int ctl_send(
                VarlinkClient *c,
                const char *method,
                struct json_object *parameters,
                const int *fds,
                size_t n_fds,
                bool more) {

        int r;

        r = varlink_client_send(c, method, parameters, fds, n_fds, more);
        if (r == -ENOMEM)
                return fail_memory();
        if (r < 0)
                return fail(EXIT_NO_DAEMON, "Lost connection to pkramd: %s. See 'journalctl -u pkramd.service'.",
                            strerror(-r));
        return 0;
}

/* Formats a member of QuotaExceeded as bytes or as a number, "?" if it is missing. */
static const char *format_amount(char *buffer, struct json_object *p, const char *key, bool bytes) {
        int64_t n = json_get_int(p, key, -1);

        if (n < 0)
                (void) snprintf(buffer, FORMAT_MAX, "?");
        else if (bytes)
                (void) format_bytes(buffer, (uint64_t) n);
        else
                (void) snprintf(buffer, FORMAT_MAX, "%lli", (long long) n);
        return buffer;
}

static int fail_quota(struct json_object *p) {
        const char *limit = json_get_string(p, "limit") ?: "?", *text = limit_to_text(limit);
        char requested[FORMAT_MAX], current[FORMAT_MAX], maximum[FORMAT_MAX];
        bool bytes = strstr(limit, "Bytes");

        if (text)
                return fail(EXIT_LIMIT, "%s", text);
        return fail(EXIT_LIMIT, "%s=%s exceeded: %s requested, %s in use. "
                    "Remove nodes that are no longer needed, or raise the limit in pkramd.conf.", limit,
                    format_amount(maximum, p, "maximum", bytes), format_amount(requested, p, "requested", bytes),
                    format_amount(current, p, "current", bytes));
}

static int fail_reply(const VarlinkReply *reply) {
        const char *e = startswith(reply->error, "io.pkram.Store.");
        const char *name = json_get_string(reply->parameters, "name") ?: "";
        const char *reason = json_get_string(reply->parameters, "reason") ?: "";

        if (e) {
                if (streq(e, "NoSuchNode"))
                        return fail(EXIT_NO_NODE, "Node '%s' not found. See 'pkramctl list'%s.", name,
                                    geteuid() == 0 && !arg_owner ?
                                    ", and use --owner= for nodes of other owners" : "");
                if (streq(e, "NodeExists"))
                        return fail(EXIT_EXISTS, "Node '%s' already exists. Remove it or use --replace.", name);
                if (streq(e, "NodeBusy"))
                        return fail(EXIT_EXISTS, "Node '%s' is busy. Try again later.", name);
                if (streq(e, "NodeDamaged"))
                        return fail(EXIT_DAMAGED, "Node '%s' is damaged: %s", name, reason);
                if (streq(e, "InvalidName"))
                        return fail(EXIT_REFUSED, "'%s': %s", name, reason);
                if (streq(e, "NotPreservable"))
                        return fail(EXIT_REFUSED, "%s", reason);
                if (streq(e, "QuotaExceeded"))
                        return fail_quota(reply->parameters);
                if (streq(e, "NotSupported"))
                        return fail(EXIT_UNSUPPORTED, "%s", reason);
                if (streq(e, "NoMemory"))
                        return fail(EXIT_LIMIT, "Not enough memory. Free some and try again.");
                if (streq(e, "Unexpected"))
                        return fail(EXIT_FAILED, "%s", reason);
                if (streq(e, "TryAgain"))
                        return fail(EXIT_TRY_AGAIN, "%s", reason);
                if (streq(e, "NotEmpty") || streq(e, "BadDirectory"))
                        return fail(EXIT_DIRECTORY, "%s", reason);
                if (streq(e, "ReplyTooLarge"))
                        return fail(EXIT_TOO_LARGE, "%s", reason);
                if (streq(e, "WrongKind") || streq(e, "NodeVersion"))
                        return fail(EXIT_KIND, "%s", reason);
        }

        if (streq(reply->error, "org.varlink.service.PermissionDenied"))
                return fail(EXIT_DENIED, "Permission denied: only the owner of the node and root may do this.");
        if (streq(reply->error, "org.varlink.service.InvalidParameter") && arg_owner &&
            streq(json_get_string(reply->parameters, "parameter") ?: "", "owner"))
                return fail(EXIT_USAGE, "Invalid owner '%s': expected the name of a unit, uid: and a user ID, root, "
                            "or kernel.", arg_owner);
        if (streq(reply->error, "org.varlink.service.MethodNotFound") ||
            streq(reply->error, "org.varlink.service.MethodNotImplemented"))
                return fail(EXIT_FAILED, "The running pkramd is too old for this command. Restart pkramd.service.");

        return fail(EXIT_FAILED, "Unexpected error from pkramd: %s %s. Make sure that pkramd and pkramctl have the "
                    "same version.", reply->error, json_get_string(reply->parameters, "parameter") ?: "");
}

/* Prints a message if receiving failed, or the reply is an error. r: result of varlink_client_receive(). */
static int finish_receive(int r, const VarlinkReply *reply) {
        if (r == -ENOMEM)
                return fail_memory();
        if (r < 0)
                return fail(EXIT_NO_DAEMON, "Lost connection to pkramd before it replied%s%s. See 'journalctl -u "
                            "pkramd.service'.", r == -ECONNRESET ? "" : ": ", r == -ECONNRESET ? "" : strerror(-r));
        return reply->error ? fail_reply(reply) : 0;
}

int ctl_receive(VarlinkClient *c, VarlinkReply *ret) {
        return finish_receive(varlink_client_receive(c, ret), ret);
}

int ctl_receive_unless(VarlinkClient *c, const char *error, VarlinkReply *ret) {
        int r = varlink_client_receive(c, ret);

        if (r >= 0 && error && ret->error && streq(ret->error, error))
                return 0;
        return finish_receive(r, ret);
}

int ctl_call(
                VarlinkClient *c,
                const char *method,
                struct json_object *parameters,
                const int *fds,
                size_t n_fds,
                VarlinkReply *ret) {

        int r;

        r = ctl_send(c, method, parameters, fds, n_fds, /* more= */ false);
        return r ?: ctl_receive(c, ret);
}

int ctl_call_progress(
                VarlinkClient *c,
                const char *method,
                struct json_object *parameters,
                const int *fds,
                size_t n_fds,
                const char *what,
                VarlinkReply *ret) {

        Progress p;
        int r;

        progress_begin(&p, what, /* size= */ 0);
        r = ctl_send(c, method, parameters, fds, n_fds, /* more= */ p.wanted);
        while (r == 0) {
                _cleanup_reply_ VarlinkReply reply = {};
                struct json_object *progress;

                r = varlink_client_receive(c, &reply);
                if (r == 0 && !reply.error && reply.continues) {
                        progress = json_get(reply.parameters, "progress");
                        p.size = (uint64_t) MAX(json_get_int(progress, "total", 0), (int64_t) 0);
                        progress_set(&p, (uint64_t) MAX(json_get_int(progress, "done", 0), (int64_t) 0));
                        continue;
                }

                /* Messages go to a line of their own. */
                progress_end(&p);
                r = finish_receive(r, &reply);
                if (r == 0) {
                        *ret = reply;
                        reply = (VarlinkReply) {};
                }
                return r;
        }
        return r;
}
