/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verbs status, list, show, release, remove, monitor and check. */
#include <fnmatch.h>
#include <stdio.h>

#include "ctl.h"
#include "fdstore-node.h"
#include "format.h"
#include "json-util.h"
#include "time-util.h"

/* Makes one call without descriptors. Returns 0 or an exit status. */
static int simple_call(const char *method, struct json_object *parameters, VarlinkReply *ret) {
        _cleanup_json_ struct json_object *p = parameters;
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        int r;

        r = ctl_connect(&c);
        return r ?: ctl_call(c, method, TAKE_PTR(p), NULL, 0, ret);
}

static int no_arguments(int argc, char *argv[]) {
        return argc > 1 ? fail(EXIT_USAGE, "Command '%s' takes no arguments.", argv[0]) : 0;
}

static void print_line(const char *key, const char *value) {
        printf("%17s: ", key);
        ctl_print_text(value);
        (void) putchar('\n');
}

/* Prints a key and a value in a colour. */
static void print_line_in(Color c, const char *key, const char *value) {
        printf("%17s: %s", key, color(c));
        ctl_print_text(value);
        printf("%s\n", color(COLOR_NORMAL));
}

const char *format_size(char *buffer, int64_t bytes) {
        if (!arg_bytes)
                return format_bytes(buffer, (uint64_t) MAX(bytes, 0));
        (void) snprintf(buffer, FORMAT_MAX, "%lli", (long long) bytes);
        return buffer;
}

static void print_line_bytes(const char *key, int64_t bytes) {
        char text[FORMAT_MAX];

        print_line(key, format_size(text, bytes));
}

static void print_line_int(const char *key, int64_t value) {
        printf("%17s: %lli\n", key, (long long) value);
}

static void print_line_timestamp(const char *key, int64_t usec) {
        char text[FORMAT_MAX];

        print_line(key, format_timestamp(text, (uint64_t) MAX(usec, 0)));
}

/* --- nodes of other programs --- */

/* Returns the unit whose file descriptor store the node holds, borrowed, or NULL if it is another node. */
static const char *node_fdstore_unit(struct json_object *node) {
        return fdstore_node_flags(json_get_string(node, "name") ?: "") >= 0 ? json_get_string(node, "owner") : NULL;
}

/* Prints which units have descriptors in the store, and which shared memory is in a node. Returns the names of that
 * memory, or NULL if this cannot be determined: the rest of the status is still useful. */
static struct json_object *print_nodes_of_programs(void) {
        _cleanup_json_ struct json_object *shared = json_object_new_array();
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        bool more = shared && varlink_client_connect(arg_socket, &c) >= 0 &&
                varlink_client_send(c, "io.pkram.Store.List", NULL, NULL, 0, /* more= */ true) >= 0;

        while (more) {
                _cleanup_reply_ VarlinkReply reply = {};
                struct json_object *node;

                if (varlink_client_receive(c, &reply) < 0 || reply.error)
                        return NULL;
                more = reply.continues;
                node = json_get(reply.parameters, "node");
                if (node_fdstore_unit(node))
                        print_line("Descriptors of", node_fdstore_unit(node));
                else if (shared_print_node(node, shared) < 0)
                        return NULL;
        }
        return TAKE_PTR(shared);
}

static void print_special_nodes(struct json_object *status) {
        struct json_object *restored = json_get_array(json_get(status, "lastKexec"), "sharedMemory");
        _cleanup_json_ struct json_object *stored = NULL;

        if (json_get_int(status, "nodes", 0) > 0)
                stored = print_nodes_of_programs();
        if (stored || json_get_int(status, "nodes", 0) == 0)
                shared_print_restored(restored, stored);
}

/* --- status --- */

static const char *boot_result_text(const char *result) {
        static const char *const table[][2] = {
                { "none",     "no pkram= on the kernel command line" },
                { "restored", "all nodes restored" },
                { "partial",  "restored, but damaged nodes were dropped, see 'journalctl -t pkramd'" },
                { "nothing",  "nothing restored: no super block at the address in pkram=" },
                { "stale",    "nothing restored: super block was not sealed for this boot" },
                { "damaged",  "nothing restored: super block or block map is damaged" },
                { "version",  "nothing restored: format is not supported by this kernel" },
                { "off",      "PKRAM is disabled in this kernel" },
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
                { "keeps",       "the loaded kernel preserves all nodes" },
                { "noSupport",   "the loaded kernel does not support PKRAM and would lose all nodes" },
                { "noParameter", "the loaded kernel lacks pkram= and would lose all nodes" },
                { "version",     "the loaded kernel reads another format and would lose all nodes" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (streq(state, table[i][0]))
                        return table[i][1];
        return state;
}

/* Prints the time of a step, and the time since the previous step, *before. Sets *before to the time of the step. */
static void print_line_step(const char *key, struct json_object *o, const char *member, int64_t *before) {
        int64_t usec = json_get_int(o, member, -1);
        char when[FORMAT_MAX], after[FORMAT_MAX], text[2 * FORMAT_MAX + 8];

        if (usec < 0)
                return;
        (void) snprintf(text, sizeof(text), "%s", format_timestamp(when, (uint64_t) usec));
        /* A new kernel starts with the hardware clock, which has a resolution of one second. */
        if (*before >= 0 && usec >= *before)
                (void) snprintf(text, sizeof(text), "%s, after %s", when,
                                format_usec(after, (uint64_t) (usec - *before)));
        print_line(key, text);
        *before = usec;
}

static void print_last_kexec(struct json_object *o) {
        struct json_object *lost = json_get_array(o, "lost");
        char bytes[FORMAT_MAX], text[2 * FORMAT_MAX];
        int64_t before = -1;

        print_line_step("Kexec requested", o, "requestedUSec", &before);
        print_line_step("Services stopped", o, "stoppedUSec", &before);
        print_line_step("Sealed", o, "sealedUSec", &before);
        print_line_step("Kernel started", o, "startedUSec", &before);
        print_line_step("Nodes restored", o, "restoredUSec", &before);
        print_line_step("Services up", o, "upUSec", &before);
        if (json_get(o, "downUSec"))
                print_line("Services down for", format_usec(text, (uint64_t) MAX(json_get_int(o, "downUSec", 0), 0)));

        (void) snprintf(text, sizeof(text), "%lli node%s, %s", (long long) json_get_int(o, "restoredNodes", 0),
                        json_get_int(o, "restoredNodes", 0) == 1 ? "" : "s",
                        format_bytes(bytes, (uint64_t) MAX(json_get_int(o, "restoredBytes", 0), 0)));
        print_line("Restored", text);
        print_line_int("Lost", json_get_int(o, "lostNodes", 0));
        for (size_t i = 0; lost && i < json_object_array_length(lost); i++) {
                struct json_object *l = json_object_array_get_idx(lost, i);

                printf("%17s: ", "Lost node");
                ctl_print_text(json_get_string(l, "name") ?: "(unknown)");
                printf(", ");
                ctl_print_text(json_get_string(l, "reason") ?: "");
                (void) putchar('\n');
        }
        if (json_get_int(o, "logLines", 0) > 0) {
                (void) snprintf(text, sizeof(text), "%lli lines, see 'journalctl -b -t pkram-replay'",
                                (long long) json_get_int(o, "logLines", 0));
                print_line("Replayed log", text);
        }
}

static bool is_on_disk(struct json_object *o) {
        return streq(json_get_string(o, "place") ?: "", "disk");
}

static const char *disk_boot_text(const char *result) {
        return streq(result, "restored") ? "all nodes of the previous boot were restored" :
                streq(result, "none") ? "the previous boot left no nodes" :
                streq(result, "partial") ? "some nodes were set aside, see 'journalctl -u pkramd'" :
                streq(result, "damaged") ?
                        "the state was damaged and all nodes were set aside, see 'journalctl -u pkramd'" : result;
}

static void print_kernel_status(struct json_object *p) {
        const char *previous = json_get_string(p, "previousKernel");
        char text[FORMAT_MAX], line_text[2 * FORMAT_MAX], maximum[FORMAT_MAX];
        int64_t max = INT64_MAX;
        struct json_object *limits = json_get_array(p, "limits");

        const char *boot = json_get_string(p, "bootResult") ?: "unknown";
        const char *image = json_get_string(p, "imageState") ?: "unknown";
        bool disk = is_on_disk(p);

        print_line_in(boot_result_color(boot), "Boot", disk ? disk_boot_text(boot) : boot_result_text(boot));
        if (previous)
                print_line("Previous kernel", previous);
        if (json_get(p, "lastKexec"))
                print_last_kexec(json_get(p, "lastKexec"));
        else if (json_get(p, "sealedUSec"))
                print_line_timestamp("Sealed", json_get_int(p, "sealedUSec", 0));
        if (json_get_int(p, "generation", 0) > 0 && !disk)
                print_line("Adopted in", format_usec(text, (uint64_t) json_get_int(p, "restoreUSec", 0)));
        print_line_int("Generation", json_get_int(p, "generation", 0));
        if (json_get_string(p, "superBlock")) {
                (void) snprintf(text, sizeof(text), "0x%s", json_get_string(p, "superBlock"));
                print_line("Super block", text);
        }
        print_line_int("Nodes", json_get_int(p, "nodes", 0));
        if (json_get_int(p, "droppedNodes", 0) > 0)
                print_line_int("Dropped nodes", json_get_int(p, "droppedNodes", 0));

        for (size_t i = 0; limits && i < json_object_array_length(limits); i++) {
                struct json_object *l = json_object_array_get_idx(limits, i);

                if (streq(json_get_string(l, "name") ?: "", "TotalBytesMax"))
                        max = json_get_int(l, "maximum", INT64_MAX);
        }
        (void) snprintf(line_text, sizeof(line_text), "%s of %s",
                        format_bytes(text, (uint64_t) json_get_int(p, "bytes", 0)),
                        max == INT64_MAX ? "unlimited" : format_bytes(maximum, (uint64_t) max));
        print_line(disk ? "On disk" : "Memory", line_text);
        print_line_bytes("Metadata", json_get_int(p, "metadataBytes", 0));
        if (disk)
                print_line_in(COLOR_GOOD, "Next boot", "a kexec and a reboot preserve all nodes");
        else
                print_line_in(streq(image, "keeps") ? COLOR_GOOD : streq(image, "none") ? COLOR_NORMAL : COLOR_BAD,
                              "Next kexec", image_state_text(image));
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
        print_line("pkramd", json_get_string(reply.parameters, "version") ?: "");
        if (is_on_disk(reply.parameters)) {
                print_line_in(COLOR_WARNING, "PKRAM", "not supported by this kernel, nodes are kept on disk");
                print_line("Place", "/var/lib/pkram/disk: slower, stored files are copies and are not frozen");
        } else
                print_line_in(supported ? COLOR_GOOD : COLOR_BAD, "PKRAM",
                              supported ? "supported by this kernel" :
                              json_get_string(reply.parameters, "reason") ?: "not supported");
        if (json_get_string(reply.parameters, "diskProblem"))
                print_line_in(COLOR_BAD, "Disk", json_get_string(reply.parameters, "diskProblem"));
        print_line("Caller", json_get_string(reply.parameters, "owner") ?: "");
        print_line("Kexec policy", json_get_string(reply.parameters, "kexecPolicy") ?: "");
        if (supported)
                print_kernel_status(reply.parameters);
        programs_print_status(reply.parameters);
        if (supported)
                print_special_nodes(reply.parameters);
        return EXIT_OK;
}

/* --- list --- */

static void add_row(Table *t, struct json_object *node) {
        char text[FORMAT_MAX];

        table_add(t, json_get_string(node, "name") ?: "");
        table_add(t, json_get_string(node, "owner") ?: "");
        (void) snprintf(text, sizeof(text), "%lli", (long long) json_get_int(node, "objects", 0));
        table_add(t, text);
        table_add(t, format_size(text, json_get_int(node, "bytes", 0)));
        table_add(t, format_size(text, json_get_int(node, "dataBytes", 0)));
        (void) snprintf(text, sizeof(text), "%lli", (long long) json_get_int(node, "generation", 0));
        table_add(t, text);
        table_add(t, format_timestamp(text, (uint64_t) json_get_int(node, "storedUSec", 0)));
}

/* The columns by which list can sort, and the members of Node that they show. */
static const struct {
        const char *name, *member;
        bool is_string;
} sort_columns[] = {
        { "name",    "name",       true  },
        { "owner",   "owner",      true  },
        { "objects", "objects",    false },
        { "size",    "bytes",      false },
        { "memory",  "dataBytes",  false },
        { "kexecs",  "generation", false },
        { "stored",  "storedUSec", false },
};
static size_t sort_column;
static bool sort_reverse;

static int parse_sort(const char *text) {
        sort_reverse = *text == '-';
        for (size_t i = 0; i < ELEMENTSOF(sort_columns); i++)
                if (streq(text + sort_reverse, sort_columns[i].name)) {
                        sort_column = i;
                        return 0;
                }
        return fail(EXIT_USAGE, "Unknown column '%s'. Sort by name, owner, objects, size, memory, kexecs or stored.",
                    text);
}

static int node_compare(const void *a, const void *b) {
        struct json_object *x = *(struct json_object *const *) a, *y = *(struct json_object *const *) b;
        const char *member = sort_columns[sort_column].member;
        int r;

        if (sort_columns[sort_column].is_string)
                r = strcmp(json_get_string(x, member) ?: "", json_get_string(y, member) ?: "");
        else {
                int64_t m = json_get_int(x, member, 0), n = json_get_int(y, member, 0);

                r = m < n ? -1 : m > n;
        }
        return sort_reverse ? -r : r;
}

static bool name_matches(const char *name, char *const *patterns) {
        if (!*patterns)
                return true;
        for (; *patterns; patterns++)
                if (fnmatch(*patterns, name, 0) == 0)
                        return true;
        return false;
}

/* Receives the nodes of a List call that match, see fetch_nodes(). Returns 0 or a status. */
static int receive_nodes(VarlinkClient *c, char *const *patterns, struct json_object *array) {
        bool more = true;
        int r;

        while (more) {
                _cleanup_reply_ VarlinkReply reply = {};
                struct json_object *node;

                r = ctl_receive(c, &reply);
                if (r != 0)
                        return r;
                more = reply.continues;

                node = json_get(reply.parameters, "node");
                if (node && name_matches(json_get_string(node, "name") ?: "", patterns) &&
                    json_append(array, json_object_get(node)) < 0)
                        return fail_memory();
        }
        return 0;
}

/* Prints one name per line, escaped on a terminal and unchanged otherwise. */
static void print_names(struct json_object *array) {
        bool terminal = isatty(STDOUT_FILENO);

        for (size_t i = 0; i < json_object_array_length(array); i++) {
                const char *name = json_get_string(json_object_array_get_idx(array, i), "name") ?: "";

                if (terminal)
                        ctl_print_text(name);
                else
                        (void) fputs(name, stdout);
                (void) putchar('\n');
        }
}

static void print_nodes(struct json_object *array) {
        static const char *const headings[] = { "NAME", "OWNER", ">OBJECTS", ">SIZE", ">MEMORY", ">KEXECS", "STORED" };
        _cleanup_(table_freep) Table *t = table_new(ELEMENTSOF(headings), headings);
        size_t n_fdstores = 0;

        for (size_t i = 0; i < json_object_array_length(array); i++) {
                add_row(t, json_object_array_get_idx(array, i));
                n_fdstores += node_fdstore_unit(json_object_array_get_idx(array, i)) != NULL;
        }
        pager_open();
        table_print(t, "node");
        if (arg_legend && n_fdstores > 0)
                printf("%zu of them hold%s file descriptors of a unit, which gets them when it starts.\n", n_fdstores,
                       n_fdstores == 1 ? "s" : "");
}

/* Lists the nodes that match one of the patterns, or all if there are none. The caller frees *ret. Returns 0 or a
 * status. */
static int fetch_nodes(VarlinkClient *c, char *const *patterns, struct json_object **ret) {
        _cleanup_json_ struct json_object *array = json_object_new_array();
        struct json_object *p = ctl_parameters(/* name= */ NULL);
        int r;

        if (!array || !p) {
                json_object_put(p);
                return fail_memory();
        }
        r = ctl_send(c, "io.pkram.Store.List", p, NULL, 0, /* more= */ true);
        if (r != 0)
                return r;
        r = receive_nodes(c, patterns, array);
        if (r != 0)
                return r;
        *ret = TAKE_PTR(array);
        return 0;
}

int verb_list(_unused_ int argc, char *argv[]) {
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        _cleanup_json_ struct json_object *array = NULL;
        int r;

        if (arg_sort) {
                r = parse_sort(arg_sort);
                if (r != 0)
                        return r;
        }

        r = ctl_connect(&c);
        if (r != 0)
                return r;
        r = fetch_nodes(c, argv + 1, &array);
        if (r != 0)
                return r;
        if (arg_sort)
                json_object_array_sort(array, node_compare);

        if (arg_json != JSON_OFF)
                ctl_print_json(array);
        else if (arg_quiet)
                print_names(array);
        else
                print_nodes(array);
        return EXIT_OK;
}

/* --- show --- */

static void print_objects(struct json_object *objects) {
        static const char *const headings[] = { ">INDEX", "NAME", "KIND", ">SIZE", ">MEMORY", "MODE", ">UID", ">GID",
                                                "CHECKSUM" };
        _cleanup_(table_freep) Table *t = table_new(ELEMENTSOF(headings), headings);

        for (size_t i = 0; i < json_object_array_length(objects); i++) {
                struct json_object *o = json_object_array_get_idx(objects, i);
                char text[FORMAT_MAX];

                (void) snprintf(text, sizeof(text), "%lli", (long long) json_get_int(o, "index", 0));
                table_add(t, text);
                table_add(t, json_get_string(o, "name") ?: "-");
                table_add(t, json_get_string(o, "kind") ?: "-");
                table_add(t, format_size(text, json_get_int(o, "size", 0)));
                table_add(t, format_size(text, json_get_int(o, "dataBytes", 0)));
                (void) snprintf(text, sizeof(text), json_get(o, "mode") ? "%04llo" : "-",
                                (unsigned long long) json_get_int(o, "mode", 0));
                table_add(t, text);
                (void) snprintf(text, sizeof(text), json_get(o, "uid") ? "%lli" : "-",
                                (long long) json_get_int(o, "uid", 0));
                table_add(t, text);
                (void) snprintf(text, sizeof(text), json_get(o, "gid") ? "%lli" : "-",
                                (long long) json_get_int(o, "gid", 0));
                table_add(t, text);
                table_add(t, json_get_string(o, "checksum") ?: "-");
        }

        table_print(t, "object");
}

static void print_description(struct json_object *p) {
        struct json_object *node = json_get(p, "node"), *objects = json_get_array(p, "objects");

        print_line("Name", json_get_string(node, "name") ?: "");
        print_line_int("Id", json_get_int(node, "id", 0));
        print_line("Owner", json_get_string(node, "owner") ?: "");
        if (node_fdstore_unit(node)) {
                print_line("Contents", "file descriptor store");
                print_line("Waits for", node_fdstore_unit(node));
        }
        print_line_timestamp("Stored", json_get_int(node, "storedUSec", 0));
        if (json_get_string(p, "kernel"))
                print_line("Stored under", json_get_string(p, "kernel"));
        print_line_int("Kexecs survived", json_get_int(node, "generation", 0));
        print_line_bytes("Size", json_get_int(node, "bytes", 0));
        print_line("Place", json_get_string(node, "place") ?: "memory");
        print_line_bytes(is_on_disk(node) ? "On disk" : "Memory", json_get_int(node, "dataBytes", 0));
        print_line_bytes("Metadata", json_get_int(node, "metadataBytes", 0));
        print_line("Checksums", json_get_string(p, "verify") ?: "none");
        if (json_get(node, "persist"))
                print_line_int("Importance", json_get_int(node, "persist", 0));
        print_line("State", json_get_bool(node, "busy", false) ? "being retrieved" :
                   json_get_bool(node, "retrieved", false) ? "stored, files are frozen" : "stored");

        if (objects && json_object_array_length(objects) > 0) {
                (void) putchar('\n');
                print_objects(objects);
        }
}

/* Calls Describe for a node of this owner, or of the owner that pkramctl acts for if owner is NULL. If except is not
 * NULL, this error is accepted as a reply. */
static int describe_node(VarlinkClient *c, const char *name, const char *owner, const char *except,
                         VarlinkReply *ret) {

        _cleanup_json_ struct json_object *p = ctl_parameters(name);
        int r;

        if (!p || (owner && json_add_string(p, "owner", owner) < 0))
                return fail_memory();
        r = ctl_send(c, "io.pkram.Store.Describe", TAKE_PTR(p), NULL, 0, /* more= */ false);
        return r ?: ctl_receive_unless(c, except, ret);
}

/*
 * Calls a function for each name. All names are tried, unless the connection is lost, and the first failure gives the
 * exit status.
 */
static int for_each_name(int argc, char *argv[], int (*function)(VarlinkClient *c, const char *name)) {
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        int r, status = EXIT_OK;

        if (argc < 2)
                return fail(EXIT_USAGE, "Name required: pkramctl %s NAME...", argv[0]);

        r = ctl_connect(&c);
        if (r != 0)
                return r;
        for (int i = 1; i < argc; i++) {
                r = function(c, argv[i]);
                if (r == EXIT_NO_DAEMON)
                        return r;
                status = status ?: r;
        }
        return status;
}

/* Shows the reply to Describe. */
static void show_description(struct json_object *p) {
        static bool again;

        if (arg_json != JSON_OFF) {
                ctl_print_json(p);
                return;
        }

        pager_open();
        if (again)
                (void) putchar('\n');
        again = true;
        print_description(p);
}

static int show_node_of(VarlinkClient *c, const char *name, const char *owner) {
        _cleanup_reply_ VarlinkReply reply = {};
        int r;

        r = describe_node(c, name, owner, /* except= */ NULL, &reply);
        if (r != 0)
                return r;
        show_description(reply.parameters);
        return EXIT_OK;
}

/* Shows the nodes with this name that belong to owners other than root. */
static int show_nodes_of_others(VarlinkClient *c, const char *name) {
        _cleanup_json_ struct json_object *array = NULL;
        bool found = false;
        int r, status = EXIT_OK;

        r = fetch_nodes(c, (char *const[]) { NULL }, &array);
        if (r != 0)
                return r;
        for (size_t i = 0; i < json_object_array_length(array); i++) {
                struct json_object *node = json_object_array_get_idx(array, i);

                if (!streq(json_get_string(node, "name") ?: "", name))
                        continue;
                found = true;
                r = show_node_of(c, name, json_get_string(node, "owner") ?: "");
                status = status ?: r;
        }
        return found ? status : fail(EXIT_NO_NODE, "Node '%s' not found. See 'pkramctl list'.", name);
}

/* Shows a node. For root, list shows the nodes of all owners, so show must find all of these as well. */
static int show_node(VarlinkClient *c, const char *name) {
        _cleanup_reply_ VarlinkReply reply = {};
        bool any_owner = geteuid() == 0 && !arg_owner;
        int r;

        r = describe_node(c, name, /* owner= */ NULL, any_owner ? "io.pkram.Store.NoSuchNode" : NULL, &reply);
        if (r != 0)
                return r;
        if (reply.error)
                return show_nodes_of_others(c, name);
        show_description(reply.parameters);
        return EXIT_OK;
}

int verb_show(int argc, char *argv[]) {
        return for_each_name(argc, argv, show_node);
}

/* --- release, remove --- */

/* Shows what --dry-run would remove. Returns an exit status. */
static int announce_removal(VarlinkClient *c, const char *verb, const char *name) {
        _cleanup_reply_ VarlinkReply reply = {};
        struct json_object *node;
        char bytes[FORMAT_MAX];
        int64_t n;
        int r;

        r = describe_node(c, name, /* owner= */ NULL, /* except= */ NULL, &reply);
        if (r != 0)
                return r;

        node = json_get(reply.parameters, "node");
        n = json_get_int(node, "objects", 0);
        printf("Would %s node '", verb);
        ctl_print_text(name);
        printf("' of ");
        ctl_print_text(json_get_string(node, "owner") ?: "");
        printf(": %lli object%s, %s.\n", (long long) n, n == 1 ? "" : "s",
               format_size(bytes, json_get_int(node, "bytes", 0)));
        return EXIT_OK;
}

static int release_one(VarlinkClient *c, const char *name) {
        return arg_dry_run ? announce_removal(c, "release", name) : release_node(c, name, /* id= */ 0);
}

static int remove_one(VarlinkClient *c, const char *name) {
        _cleanup_reply_ VarlinkReply reply = {};
        struct json_object *p;

        if (arg_dry_run)
                return announce_removal(c, "remove", name);

        p = ctl_parameters(name);
        return p ? ctl_call(c, "io.pkram.Store.Remove", p, NULL, 0, &reply) : fail_memory();
}

int verb_release(int argc, char *argv[]) {
        return for_each_name(argc, argv, release_one);
}

int verb_remove(int argc, char *argv[]) {
        return for_each_name(argc, argv, remove_one);
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
                char bytes[FORMAT_MAX], when[FORMAT_MAX];
                int64_t n;

                r = ctl_receive(c, &reply);
                if (r != 0)
                        return r;

                if (arg_json != JSON_OFF)
                        ctl_print_json(reply.parameters);
                else if (json_get_string(reply.parameters, "name")) {
                        n = json_get_int(reply.parameters, "objects", 0);
                        printf("%s  %-9s ", format_timestamp(when, now_usec(CLOCK_REALTIME)),
                               json_get_string(reply.parameters, "event") ?: "");
                        ctl_print_text(json_get_string(reply.parameters, "name"));
                        printf(" of ");
                        ctl_print_text(json_get_string(reply.parameters, "owner") ?: "");
                        printf(", %lli object%s, %s\n", (long long) n, n == 1 ? "" : "s",
                               format_bytes(bytes, (uint64_t) json_get_int(reply.parameters, "bytes", 0)));
                }
                if (ctl_flush() < 0)
                        return EXIT_FAILED;

                if (!reply.continues)
                        return EXIT_OK;
        }
}

/* --- check --- */

/* Creates a RebootCheck for the case that nothing has to be written. Returns NULL if there is not enough memory. */
static struct json_object *reboot_check_of_nothing(const char *text, bool keeps) {
        _cleanup_json_ struct json_object *o = json_object_new_object();

        if (!o || json_add_bool(o, "keeps", keeps) < 0 || json_add_bool(o, "fits", true) < 0 ||
            json_add_bool(o, "refused", false) < 0 || json_add_string(o, "text", text) < 0 ||
            json_add_int(o, "bytes", 0) < 0 || json_add_int(o, "room", 0) < 0 || json_add_int(o, "usec", 0) < 0 ||
            json_add(o, "lost", json_object_new_array()) < 0)
                return NULL;
        return TAKE_PTR(o);
}

/* Prints what a reboot would lose. Returns an exit status. */
static int print_reboot_check(struct json_object *check) {
        _cleanup_json_ struct json_object *reboot = json_object_get(json_get(check, "reboot"));

        if (!reboot && json_get(check, "diskProblem"))
                /* The text of the kexec check applies to a reboot as well. */
                reboot = reboot_check_of_nothing(json_get_string(check, "text") ?: "",
                                                 json_get_bool(check, "keeps", false));
        else if (!reboot && streq(json_get_string(check, "reason") ?: "", "nothingStored"))
                reboot = reboot_check_of_nothing("Nothing is stored in memory, so a reboot loses nothing. Nodes on "
                                                 "disk are kept.", true);
        else if (!reboot)
                return fail(EXIT_FAILED, "pkramd cannot tell what a reboot would lose. "
                            "See 'journalctl -u pkramd.service'.");
        if (!reboot)
                return fail_memory();

        if (arg_json != JSON_OFF)
                ctl_print_json(reboot);
        else if (!arg_quiet) {
                ctl_print_text(json_get_string(reboot, "text") ?: "");
                (void) putchar('\n');
        }
        return json_get_bool(reboot, "keeps", false) ? EXIT_OK : EXIT_WOULD_LOSE;
}

int verb_check(int argc, char *argv[]) {
        _cleanup_reply_ VarlinkReply reply = {};
        int r;

        r = no_arguments(argc, argv) ?: simple_call("io.pkram.Store.CheckKexec", NULL, &reply);
        if (r != 0)
                return r;
        if (arg_check_reboot)
                return print_reboot_check(reply.parameters);

        if (arg_json != JSON_OFF)
                ctl_print_json(reply.parameters);
        else if (!arg_quiet) {
                ctl_print_text(json_get_string(reply.parameters, "text") ?: "");
                (void) putchar('\n');
                if (json_get_string(reply.parameters, "atOnce")) {
                        ctl_print_text(json_get_string(reply.parameters, "atOnce"));
                        (void) putchar('\n');
                }
                if (json_get_string(reply.parameters, "crashKernel")) {
                        ctl_print_text(json_get_string(reply.parameters, "crashKernel"));
                        (void) putchar('\n');
                }
                programs_print_check(reply.parameters);
        }
        return json_get_bool(reply.parameters, "keeps", false) ? EXIT_OK : EXIT_WOULD_LOSE;
}
