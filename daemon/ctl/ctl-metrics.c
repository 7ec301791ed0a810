/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verb metrics: the state of the store as Prometheus reads it. */
#include <stdio.h>

#include "ctl.h"
#include "json-util.h"
#include "time-util.h"
#include "utf8.h"

/* Prints the lines that precede a metric. All of them are gauges: a restart of pkramd or a kexec changes them in any
 * direction. */
static void metric_declare(const char *name, const char *about) {
        printf("# HELP %s %s\n# TYPE %s gauge\n", name, about, name);
}

static void metric_print_int(const char *name, const char *about, int64_t value) {
        metric_declare(name, about);
        printf("%s %lli\n", name, (long long) value);
}

/* Prints a value of o, unless it is missing. */
static void metric_print_member(const char *name, const char *about, struct json_object *o, const char *member) {
        if (json_get(o, member))
                metric_print_int(name, about, json_get_int(o, member, 0));
}

/* The same for a time in microseconds, which is printed in seconds. */
static void metric_print_usec(const char *name, const char *about, struct json_object *o, const char *member) {
        int64_t usec = json_get_int(o, member, -1);

        if (usec < 0)
                return;
        metric_declare(name, about);
        printf("%s %lli.%06lli\n", name, (long long) (usec / (int64_t) USEC_PER_SEC),
               (long long) (usec % (int64_t) USEC_PER_SEC));
}

/* Prints the value of a label. Control characters are escaped first, so that no line feed is left. */
static void label_print(const char *name, const char *value) {
        _cleanup_free_ char *escaped = utf8_escape(value);

        printf("%s=\"", name);
        for (const char *p = escaped ?: "?"; *p; p++) {
                if (*p == '\\' || *p == '"')
                        (void) putchar('\\');
                (void) putchar(*p);
        }
        (void) putchar('"');
}

static void metrics_print_limit(struct json_object *limits, const char *limit, const char *name, const char *about) {
        for (size_t i = 0; limits && i < json_object_array_length(limits); i++) {
                struct json_object *l = json_object_array_get_idx(limits, i);
                int64_t maximum = json_get_int(l, "maximum", INT64_MAX);

                if (!streq(json_get_string(l, "name") ?: "", limit))
                        continue;
                metric_declare(name, about);
                if (maximum == INT64_MAX)
                        printf("%s +Inf\n", name);
                else
                        printf("%s %lli\n", name, (long long) maximum);
        }
}

static void metrics_print_info(struct json_object *status) {
        const char *previous = json_get_string(status, "previousKernel");

        metric_declare("pkram_info", "Version of pkramd, where nodes are kept, and the policy for a kexec that loses "
                       "nodes.");
        printf("pkram_info{");
        label_print("version", json_get_string(status, "version") ?: "");
        printf(",");
        label_print("place", json_get_string(status, "place") ?: "");
        printf(",");
        label_print("kexec_policy", json_get_string(status, "kexecPolicy") ?: "");
        if (previous) {
                printf(",");
                label_print("previous_kernel", previous);
        }
        printf("} 1\n");
        metric_print_int("pkram_supported", "Whether nodes can be stored.",
                         json_get_bool(status, "supported", false));
}

static void metrics_print_store(struct json_object *status) {
        struct json_object *limits = json_get_array(status, "limits");

        metric_print_member("pkram_nodes", "Number of stored nodes.", status, "nodes");
        metrics_print_limit(limits, "NodesMax", "pkram_limit_nodes", "Value of NodesMax= in pkramd.conf.");
        metric_print_member("pkram_data_bytes", "Memory of the contents of all stored nodes.", status, "bytes");
        metric_print_member("pkram_metadata_bytes", "Memory of the metadata of all stored nodes.", status,
                            "metadataBytes");
        metrics_print_limit(limits, "TotalBytesMax", "pkram_limit_bytes", "Value of TotalBytesMax= in pkramd.conf.");
        metric_print_member("pkram_generation", "Number of kexecs that the store has survived.", status,
                            "generation");
        metric_print_member("pkram_dropped_nodes", "Number of damaged nodes that this kernel dropped at boot.", status,
                            "droppedNodes");
}

static void metrics_print_last_kexec(struct json_object *last) {
        if (!last)
                return;
        metric_print_usec("pkram_last_kexec_timestamp_seconds", "When the kernel started by the last kexec began.",
                          last, "startedUSec");
        metric_print_usec("pkram_last_kexec_blackout_seconds", "Time from the request of the last kexec until "
                          "services were up again.", last, "downUSec");
        metric_print_member("pkram_last_kexec_restored_nodes", "Number of nodes that the last kexec preserved.", last,
                            "restoredNodes");
        metric_print_member("pkram_last_kexec_restored_bytes", "Size of the nodes that the last kexec preserved, "
                            "holes included.", last, "restoredBytes");
        metric_print_member("pkram_last_kexec_lost_nodes", "Number of nodes and mounted trees that the last kexec "
                            "lost.", last, "lostNodes");
}

static void metrics_print_next_kexec(struct json_object *check) {
        metric_print_int("pkram_kexec_preserves", "Whether a kexec now would preserve everything.",
                         json_get_bool(check, "keeps", false));
        metric_print_int("pkram_kexec_refused", "Whether a kexec now would be refused.",
                         json_get_bool(check, "refused", false));
        metric_declare("pkram_kexec_info", "The reason for the judgement of a kexec now.");
        printf("pkram_kexec_info{");
        label_print("reason", json_get_string(check, "reason") ?: "unknown");
        printf("} 1\n");
}

int verb_metrics(int argc, char *argv[]) {
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        _cleanup_reply_ VarlinkReply status = {}, check = {};
        bool supported;
        int r;

        if (argc > 1)
                return fail(EXIT_USAGE, "Command '%s' takes no arguments.", argv[0]);
        r = ctl_connect(&c);
        if (r == 0)
                r = ctl_call(c, "io.pkram.Store.GetStatus", NULL, NULL, 0, &status);
        if (r != 0)
                return r;
        supported = json_get_bool(status.parameters, "supported", false);
        if (supported)
                r = ctl_call(c, "io.pkram.Store.CheckKexec", NULL, NULL, 0, &check);
        if (r != 0)
                return r;

        /* Print nothing before all calls have succeeded: half of a file could be taken for a whole one. */
        metrics_print_info(status.parameters);
        metrics_print_store(status.parameters);
        metrics_print_last_kexec(json_get(status.parameters, "lastKexec"));
        if (supported)
                metrics_print_next_kexec(check.parameters);
        return EXIT_OK;
}
