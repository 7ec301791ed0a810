/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verbs that look, and do not change anything but remove. */
#include <stdio.h>

#include "ctl.h"
#include "format.h"
#include "json-util.h"

/* One call without descriptors. 0 or a status. */
static int simple_call(const char *method, struct json_object *parameters, VarlinkReply *ret) {
        _cleanup_json_ struct json_object *p = parameters;
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        int r;

        r = ctl_connect(&c);
        return r ?: ctl_call(c, method, TAKE_PTR(p), NULL, 0, ret);
}

static int no_arguments(int argc, char *argv[]) {
        return argc > 1 ? fail(EXIT_USAGE, "%s takes no arguments.", argv[0]) : 0;
}

static void line(const char *key, const char *value) {
        printf("%17s: ", key);
        ctl_print_text(value);
        (void) putchar('\n');
}

/* The same in a colour. */
static void line_in(Color c, const char *key, const char *value) {
        printf("%17s: %s", key, color(c));
        ctl_print_text(value);
        printf("%s\n", color(COLOR_NORMAL));
}

static void line_bytes(const char *key, int64_t bytes) {
        char text[FORMAT_MAX];

        line(key, format_bytes(text, (uint64_t) MAX(bytes, 0)));
}

static void line_int(const char *key, int64_t value) {
        printf("%17s: %lli\n", key, (long long) value);
}

static void line_timestamp(const char *key, int64_t usec) {
        char text[FORMAT_MAX];

        line(key, format_timestamp(text, (uint64_t) MAX(usec, 0)));
}

/* --- status --- */

static const char *boot_result_text(const char *result) {
        static const char *const table[][2] = {
                { "none",     "this kernel was not asked to take anything over" },
                { "restored", "everything the previous kernel kept is here" },
                { "partial",  "taken over, but damaged nodes were dropped: see 'journalctl -t pkramd'" },
                { "nothing",  "pkram= pointed at memory that holds nothing; nothing was taken over" },
                { "stale",    "pkram= pointed at what was not sealed for this boot; nothing was taken over" },
                { "damaged",  "what the previous kernel kept was damaged as a whole; nothing was taken over" },
                { "version",  "what the previous kernel kept has a format this kernel does not read" },
                { "off",      "PKRAM is off in this kernel" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (streq(result, table[i][0]))
                        return table[i][1];
        return result;
}

static Color boot_result_color(const char *result) {
        return streq(result, "restored") ? COLOR_GOOD : streq(result, "none") ? COLOR_NORMAL :
                streq(result, "partial") || streq(result, "damaged") ? COLOR_BAD : COLOR_WARNING;
}

static const char *image_state_text(const char *state) {
        static const char *const table[][2] = {
                { "none",        "no kernel is loaded" },
                { "keeps",       "the loaded kernel keeps what is stored" },
                { "noSupport",   "the loaded kernel has no PKRAM and would lose what is stored" },
                { "noParameter", "the loaded kernel lacks pkram= and would lose what is stored" },
                { "version",     "the loaded kernel reads another format and would lose what is stored" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (streq(state, table[i][0]))
                        return table[i][1];
        return state;
}

/* A time, and how long that is after the step before it, which *before becomes. */
static void line_step(const char *key, struct json_object *o, const char *member, int64_t *before) {
        int64_t usec = json_get_int(o, member, -1);
        char when[FORMAT_MAX], after[FORMAT_MAX], text[2 * FORMAT_MAX + 8];

        if (usec < 0)
                return;
        (void) snprintf(text, sizeof(text), "%s", format_timestamp(when, (uint64_t) usec));
        /* The clock of a new kernel begins with that of the hardware, which knows whole seconds only. */
        if (*before >= 0 && usec >= *before)
                (void) snprintf(text, sizeof(text), "%s, after %s", when, format_usec(after, (uint64_t) (usec - *before)));
        line(key, text);
        *before = usec;
}

static void print_last_kexec(struct json_object *o) {
        struct json_object *lost = json_get_array(o, "lost");
        char bytes[FORMAT_MAX], text[2 * FORMAT_MAX];
        int64_t before = -1;

        line_step("Kexec asked for", o, "requestedUSec", &before);
        line_step("Services stopped", o, "stoppedUSec", &before);
        line_step("Sealed", o, "sealedUSec", &before);
        line_step("Kernel started", o, "startedUSec", &before);
        line_step("Restored", o, "restoredUSec", &before);
        line_step("Services up", o, "upUSec", &before);
        if (json_get(o, "downUSec"))
                line("Services down for", format_usec(text, (uint64_t) MAX(json_get_int(o, "downUSec", 0), 0)));

        (void) snprintf(text, sizeof(text), "%lli node%s, %s", (long long) json_get_int(o, "restoredNodes", 0),
                        json_get_int(o, "restoredNodes", 0) == 1 ? "" : "s", format_bytes(bytes, (uint64_t) MAX(json_get_int(o, "restoredBytes", 0), 0)));
        line("Came back", text);
        line_int("Did not come back", json_get_int(o, "lostNodes", 0));
        for (size_t i = 0; lost && i < json_object_array_length(lost); i++) {
                struct json_object *l = json_object_array_get_idx(lost, i);

                printf("%17s: ", "Lost");
                ctl_print_text(json_get_string(l, "name") ?: "(unknown)");
                printf(", ");
                ctl_print_text(json_get_string(l, "reason") ?: "");
                (void) putchar('\n');
        }
        if (json_get_int(o, "logLines", 0) > 0) {
                (void) snprintf(text, sizeof(text), "%lli lines: see 'journalctl -b -t pkram-replay'", (long long) json_get_int(o, "logLines", 0));
                line("Old system's log", text);
        }
}

static void print_kernel_status(struct json_object *p) {
        const char *previous = json_get_string(p, "previousKernel");
        char text[FORMAT_MAX], line_text[2 * FORMAT_MAX], maximum[FORMAT_MAX];
        int64_t max = INT64_MAX;
        struct json_object *limits = json_get_array(p, "limits");

        const char *boot = json_get_string(p, "bootResult") ?: "unknown", *image = json_get_string(p, "imageState") ?: "unknown";

        line_in(boot_result_color(boot), "Boot", boot_result_text(boot));
        if (previous)
                line("Previous kernel", previous);
        if (json_get(p, "lastKexec"))
                print_last_kexec(json_get(p, "lastKexec"));
        else if (json_get(p, "sealedUSec"))
                line_timestamp("Sealed", json_get_int(p, "sealedUSec", 0));
        if (json_get_int(p, "generation", 0) > 0)
                line("Restored in", format_usec(text, (uint64_t) json_get_int(p, "restoreUSec", 0)));
        line_int("Generation", json_get_int(p, "generation", 0));
        if (json_get_string(p, "superBlock"))
                line("Super block", json_get_string(p, "superBlock"));
        line_int("Nodes", json_get_int(p, "nodes", 0));
        if (json_get_int(p, "droppedNodes", 0) > 0)
                line_int("Dropped nodes", json_get_int(p, "droppedNodes", 0));

        for (size_t i = 0; limits && i < json_object_array_length(limits); i++) {
                struct json_object *l = json_object_array_get_idx(limits, i);

                if (streq(json_get_string(l, "name") ?: "", "TotalBytesMax"))
                        max = json_get_int(l, "maximum", INT64_MAX);
        }
        (void) snprintf(line_text, sizeof(line_text), "%s of %s", format_bytes(text, (uint64_t) json_get_int(p, "bytes", 0)),
                        max == INT64_MAX ? "what there is" : format_bytes(maximum, (uint64_t) max));
        line("Memory", line_text);
        line_bytes("Metadata", json_get_int(p, "metadataBytes", 0));
        line_in(streq(image, "keeps") ? COLOR_GOOD : streq(image, "none") ? COLOR_NORMAL : COLOR_BAD, "Next kexec", image_state_text(image));
}

int verb_status(int argc, char *argv[]) {
        _cleanup_reply_ VarlinkReply reply = {};
        int r;

        r = no_arguments(argc, argv) ?: simple_call("io.pkram.Store.GetStatus", NULL, &reply);
        if (r != 0)
                return r;

        if (arg_json != JSON_OFF) {
                ctl_print_json(reply.parameters);
                return EXIT_OK;
        }

        bool supported = json_get_bool(reply.parameters, "supported", false);
        pager_open();
        line("pkramd", json_get_string(reply.parameters, "version") ?: "");
        line_in(supported ? COLOR_GOOD : COLOR_BAD, "PKRAM", supported ? "supported by this kernel" : json_get_string(reply.parameters, "reason") ?: "not supported");
        line("You are", json_get_string(reply.parameters, "owner") ?: "");
        line("Kexec policy", json_get_string(reply.parameters, "kexecPolicy") ?: "");
        if (supported)
                print_kernel_status(reply.parameters);
        return EXIT_OK;
}

/* --- list --- */

static void add_row(Table *t, struct json_object *node) {
        char text[FORMAT_MAX];

        table_add(t, json_get_string(node, "name") ?: "");
        table_add(t, json_get_string(node, "owner") ?: "");
        (void) snprintf(text, sizeof(text), "%lli", (long long) json_get_int(node, "objects", 0));
        table_add(t, text);
        table_add(t, format_bytes(text, (uint64_t) json_get_int(node, "bytes", 0)));
        table_add(t, format_bytes(text, (uint64_t) json_get_int(node, "dataBytes", 0)));
        (void) snprintf(text, sizeof(text), "%lli", (long long) json_get_int(node, "generation", 0));
        table_add(t, text);
        table_add(t, format_timestamp(text, (uint64_t) json_get_int(node, "storedUSec", 0)));
}

int verb_list(int argc, char *argv[]) {
        static const char *const headings[] = { "NAME", "OWNER", ">OBJECTS", ">SIZE", ">MEMORY", ">KEXECS", "STORED" };
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        _cleanup_(table_freep) Table *t = NULL;
        _cleanup_json_ struct json_object *array = NULL;
        bool more = true;
        int r;

        r = no_arguments(argc, argv) ?: ctl_connect(&c);
        r = r ?: ctl_send(c, "io.pkram.Store.List", arg_owner ? ctl_parameters(/* name= */ NULL) : NULL, NULL, 0, /* more= */ true);
        if (r != 0)
                return r;

        t = table_new(ELEMENTSOF(headings), headings);
        array = json_object_new_array();
        if (!array)
                return fail_memory();

        while (more) {
                _cleanup_reply_ VarlinkReply reply = {};
                struct json_object *node;

                r = ctl_receive(c, &reply);
                if (r != 0)
                        return r;
                more = reply.continues;

                node = json_get(reply.parameters, "node");
                if (node && arg_json == JSON_OFF)
                        add_row(t, node);
                else if (node && json_append(array, json_object_get(node)) < 0)
                        return fail_memory();
        }

        if (arg_json != JSON_OFF)
                ctl_print_json(array);
        else {
                pager_open();
                table_print(t, "node");
        }
        return EXIT_OK;
}

/* --- show --- */

static void print_objects(struct json_object *objects) {
        static const char *const headings[] = { ">INDEX", "NAME", "KIND", ">SIZE", ">MEMORY", "MODE", ">UID", ">GID", "CHECKSUM" };
        _cleanup_(table_freep) Table *t = table_new(ELEMENTSOF(headings), headings);

        for (size_t i = 0; i < json_object_array_length(objects); i++) {
                struct json_object *o = json_object_array_get_idx(objects, i);
                char text[FORMAT_MAX];

                (void) snprintf(text, sizeof(text), "%lli", (long long) json_get_int(o, "index", 0));
                table_add(t, text);
                table_add(t, json_get_string(o, "name") ?: "-");
                table_add(t, json_get_string(o, "kind") ?: "-");
                table_add(t, format_bytes(text, (uint64_t) json_get_int(o, "size", 0)));
                table_add(t, format_bytes(text, (uint64_t) json_get_int(o, "dataBytes", 0)));
                (void) snprintf(text, sizeof(text), json_get(o, "mode") ? "%04llo" : "-", (unsigned long long) json_get_int(o, "mode", 0));
                table_add(t, text);
                (void) snprintf(text, sizeof(text), json_get(o, "uid") ? "%lli" : "-", (long long) json_get_int(o, "uid", 0));
                table_add(t, text);
                (void) snprintf(text, sizeof(text), json_get(o, "gid") ? "%lli" : "-", (long long) json_get_int(o, "gid", 0));
                table_add(t, text);
                table_add(t, json_get_string(o, "checksum") ?: "-");
        }

        table_print(t, "object");
}

int verb_show(int argc, char *argv[]) {
        _cleanup_reply_ VarlinkReply reply = {};
        struct json_object *p, *node, *objects;
        int r;

        if (argc != 2)
                return fail(EXIT_USAGE, "show needs the name of a node: pkramctl show NAME");

        p = ctl_parameters(argv[1]);
        r = p ? simple_call("io.pkram.Store.Describe", p, &reply) : fail_memory();
        if (r != 0)
                return r;
        if (arg_json != JSON_OFF) {
                ctl_print_json(reply.parameters);
                return EXIT_OK;
        }

        pager_open();
        node = json_get(reply.parameters, "node");
        line("Name", json_get_string(node, "name") ?: "");
        line_int("Id", json_get_int(node, "id", 0));
        line("Owner", json_get_string(node, "owner") ?: "");
        line_timestamp("Stored", json_get_int(node, "storedUSec", 0));
        if (json_get_string(reply.parameters, "kernel"))
                line("Stored under", json_get_string(reply.parameters, "kernel"));
        line_int("Kexecs survived", json_get_int(node, "generation", 0));
        line_bytes("Size", json_get_int(node, "bytes", 0));
        line_bytes("Memory", json_get_int(node, "dataBytes", 0));
        line_bytes("Metadata", json_get_int(node, "metadataBytes", 0));
        line("Checksums", json_get_string(reply.parameters, "verify") ?: "none");
        line("State", json_get_bool(node, "busy", false) ? "being retrieved" :
             json_get_bool(node, "retrieved", false) ? "in use, frozen" : "stored");

        objects = json_get_array(reply.parameters, "objects");
        if (objects && json_object_array_length(objects) > 0) {
                (void) putchar('\n');
                print_objects(objects);
        }
        return EXIT_OK;
}

/* --- remove --- */

int verb_remove(int argc, char *argv[]) {
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        int r, status = EXIT_OK;

        if (argc < 2)
                return fail(EXIT_USAGE, "remove needs the name of a node: pkramctl remove NAME...");

        r = ctl_connect(&c);
        if (r != 0)
                return r;

        /* What can be removed is, and the first that cannot gives the status. */
        for (int i = 1; i < argc; i++) {
                _cleanup_reply_ VarlinkReply reply = {};
                struct json_object *p = ctl_parameters(argv[i]);

                r = p ? ctl_call(c, "io.pkram.Store.Remove", p, NULL, 0, &reply) : fail_memory();
                if (r == EXIT_NO_DAEMON)
                        return r;
                status = status ?: r;
        }

        return status;
}

/* --- monitor --- */

int verb_monitor(int argc, char *argv[]) {
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        int r;

        r = no_arguments(argc, argv) ?: ctl_connect(&c);
        r = r ?: ctl_send(c, "io.pkram.Store.Monitor", NULL, NULL, 0, /* more= */ true);
        if (r != 0)
                return r;

        for (;;) {
                _cleanup_reply_ VarlinkReply reply = {};
                char bytes[FORMAT_MAX];

                r = ctl_receive(c, &reply);
                if (r != 0)
                        return r;

                if (arg_json != JSON_OFF)
                        ctl_print_json(reply.parameters);
                else if (json_get_string(reply.parameters, "name")) {
                        printf("%-9s ", json_get_string(reply.parameters, "event") ?: "");
                        ctl_print_text(json_get_string(reply.parameters, "name"));
                        printf(" of ");
                        ctl_print_text(json_get_string(reply.parameters, "owner") ?: "");
                        printf(", %lli objects, %s\n", (long long) json_get_int(reply.parameters, "objects", 0),
                               format_bytes(bytes, (uint64_t) json_get_int(reply.parameters, "bytes", 0)));
                }
                (void) fflush(stdout);

                if (!reply.continues)
                        return EXIT_OK;
        }
}

/* --- check --- */

int verb_check(int argc, char *argv[]) {
        _cleanup_reply_ VarlinkReply reply = {};
        int r;

        r = no_arguments(argc, argv) ?: simple_call("io.pkram.Store.CheckKexec", NULL, &reply);
        if (r != 0)
                return r;

        if (arg_json != JSON_OFF)
                ctl_print_json(reply.parameters);
        else {
                ctl_print_text(json_get_string(reply.parameters, "text") ?: "");
                (void) putchar('\n');
        }
        return json_get_bool(reply.parameters, "keeps", false) ? EXIT_OK : EXIT_WOULD_LOSE;
}
