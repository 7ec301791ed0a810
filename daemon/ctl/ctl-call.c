/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdio.h>

#include "ctl.h"
#include "format.h"
#include "json-util.h"
#include "utf8.h"

static void print_text(FILE *f, const char *text) {
        size_t n = strlen(text);

        while (n > 0) {
                int k = utf8_char_length(text, n);
                uint32_t c = k < 0 ? 0xfffd : utf8_decode(text, k);

                if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xfffd)
                        (void) fputs("\xef\xbf\xbd", f);
                else
                        (void) fwrite(text, 1, (size_t) k, f);
                text += k < 0 ? 1 : k;
                n -= k < 0 ? 1 : (size_t) k;
        }
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

        /* Below what was printed before it, and not behind a pager. */
        pager_close();
        (void) fprintf(stderr, "%spkramctl: ", color_stderr(COLOR_BAD));
        print_text(stderr, text ?: "There is not enough memory.");
        (void) fprintf(stderr, "%s\n", color_stderr(COLOR_NORMAL));
        return status;
}

int fail_memory(void) {
        return fail(EXIT_LIMIT, "There is not enough memory.");
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
        (void) fflush(stdout);
}

struct json_object *ctl_parameters(const char *key, const char *value) {
        _cleanup_json_ struct json_object *o = json_object_new_object();

        if (!o || json_add_string(o, key, value) < 0)
                return NULL;
        return TAKE_PTR(o);
}

int ctl_connect(VarlinkClient **ret) {
        int r;

        r = varlink_client_connect(arg_socket, ret);
        if (r == -ENOENT || r == -ECONNREFUSED)
                return fail(EXIT_NO_DAEMON, "pkramd is not running: nothing listens on %s. "
                            "Start it with 'systemctl start pkramd.socket'.", arg_socket);
        if (r == -EACCES || r == -EPERM)
                return fail(EXIT_DENIED, "%s cannot be opened: you may not. Ask the administrator, or use sudo.", arg_socket);
        if (r < 0)
                return fail(EXIT_NO_DAEMON, "pkramd cannot be reached at %s: %s. "
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
                return fail(EXIT_NO_DAEMON, "The connection to pkramd broke: %s. See 'journalctl -u pkramd.service'.", strerror(-r));
        return 0;
}

static int fail_quota(struct json_object *p) {
        const char *limit = json_get_string(p, "limit") ?: "?";
        int64_t current = json_get_int(p, "current", 0), requested = json_get_int(p, "requested", 0);
        char a[FORMAT_MAX], b[FORMAT_MAX];

        if (streq(limit, "NextKernelMemory"))
                return fail(EXIT_LIMIT, "The next kernel would not have enough memory left to start: "
                            "remove nodes that are not needed any more, or store less.");

        if (strstr(limit, "Bytes"))
                return fail(EXIT_LIMIT, "This needs %s more, with %s in use, which is over the limit %s=: "
                            "remove nodes that are not needed any more, or raise it in pkramd.conf.",
                            format_bytes(a, (uint64_t) MAX(requested, 0)), format_bytes(b, (uint64_t) MAX(current, 0)), limit);
        return fail(EXIT_LIMIT, "This needs %lli more, with %lli in use, which is over the limit %s=: "
                    "remove what is not needed any more, or raise it in pkramd.conf.",
                    (long long) requested, (long long) current, limit);
}

static int fail_reply(const VarlinkReply *reply) {
        const char *e = startswith(reply->error, "io.pkram.Store.");
        const char *name = json_get_string(reply->parameters, "name") ?: "";
        const char *reason = json_get_string(reply->parameters, "reason") ?: "";

        if (e) {
                if (streq(e, "NoSuchNode"))
                        return fail(EXIT_NO_NODE, "There is no node '%s'. See 'pkramctl list' for what there is.", name);
                if (streq(e, "NodeExists"))
                        return fail(EXIT_EXISTS, "There is a node '%s' already: remove it, or use --replace.", name);
                if (streq(e, "NodeBusy"))
                        return fail(EXIT_EXISTS, "Node '%s' is being retrieved at this moment: try again.", name);
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
                        return fail(EXIT_LIMIT, "The system has not enough memory for this: free some and try again.");
        }

        if (streq(reply->error, "org.varlink.service.PermissionDenied"))
                return fail(EXIT_DENIED, "The node belongs to somebody else: only its owner and root may do this.");
        if (streq(reply->error, "org.varlink.service.MethodNotFound") ||
            streq(reply->error, "org.varlink.service.MethodNotImplemented"))
                return fail(EXIT_FAILED, "The pkramd that runs is too old for this: restart pkramd.service.");

        return fail(EXIT_FAILED, "pkramd refused: %s %s. Update and restart it, so that it fits pkramctl.", reply->error,
                    json_get_string(reply->parameters, "parameter") ?: "");
}

/* Says what went wrong: r is what varlink_client_receive() returned. */
static int finish_receive(int r, const VarlinkReply *reply) {
        if (r == -ENOMEM)
                return fail_memory();
        if (r < 0)
                return fail(EXIT_NO_DAEMON, "The connection to pkramd broke before it answered%s%s. See 'journalctl -u pkramd.service'.",
                            r == -ECONNRESET ? "" : ": ", r == -ECONNRESET ? "" : strerror(-r));
        return reply->error ? fail_reply(reply) : 0;
}

int ctl_receive(VarlinkClient *c, VarlinkReply *ret) {
        return finish_receive(varlink_client_receive(c, ret), ret);
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

                /* What went wrong is said on a line of its own. */
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
