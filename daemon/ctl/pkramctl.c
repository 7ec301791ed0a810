/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>

#include "ctl.h"
#include "pkram-call.h"


JsonMode arg_json = JSON_OFF;
bool arg_pager = true, arg_legend = true, arg_quiet, arg_dry_run, arg_bytes;
const char *arg_socket = SOCKET_PATH, *arg_owner, *arg_sort;
int arg_persist;
bool arg_check_reboot;
bool arg_replace, arg_verify, arg_tree, arg_sysv, arg_skip_special, arg_release, arg_force;
const char *arg_object_name;
bool arg_reboot = true, arg_reuse_cmdline, arg_fast, arg_no_initrd, arg_ask_password = true;
const char *arg_entry, *arg_kernel, *arg_append, *arg_when, *arg_check_inhibitors;
const char **arg_initrds;
size_t arg_n_initrds;

static void pkramctl_help(void) {
        pager_open();
        puts("pkramctl [OPTIONS...] COMMAND ...\n"
             "\n"
             "Store, retrieve and inspect preserved memory, and kexec without losing it.\n"
             "\n"
             "Commands:\n"
             "  status                    Show the store and the last kexec (default)\n"
             "  list [PATTERN...]         List stored nodes\n"
             "  show NAME...              Show nodes and their objects\n"
             "  store NAME [FILE...]      Store files, or standard input, as a node\n"
             "  store NAME DIR            Store a tmpfs directory without copying\n"
             "  retrieve NAME [DIR]       Write the objects of a node to DIR, or a single one\n"
             "                            to standard output if DIR is -, or restore a tree\n"
             "                            into DIR; keep the node\n"
             "  release NAME...           Remove nodes, but keep the files retrieved from\n"
             "                            them; contents that were not retrieved are lost\n"
             "  remove NAME...            Remove nodes and free their memory\n"
             "  monitor                   Show events as they happen\n"
             "  analyze [time]            Show how long each step of the last kexec took\n"
             "  analyze blame             Show how long each unit took to stop and to start\n"
             "  analyze plot              Draw steps and slow units as an SVG image\n"
             "  metrics                   Show the store as metrics for Prometheus\n"
             "  check                     Check whether a kexec would preserve all nodes\n"
             "  kexec                     Load a kernel and kexec into it\n"
             "  help                      Show this help\n"
             "\n"
             "Options:\n"
             "  -h --help                 Show this help\n"
             "     --version              Show the version\n"
             "     --json=pretty|short|off\n"
             "                            Generate JSON output\n"
             "  -j                        Same as --json=pretty on a terminal, otherwise\n"
             "                            --json=short\n"
             "     --no-pager             Do not pipe output into a pager\n"
             "     --no-legend            Do not show headings and footers\n"
             "  -q --quiet                Suppress informational output; with list, show names\n"
             "                            only\n"
             "  -n --dry-run              With release, remove and kexec, only show what would\n"
             "                            be done\n"
             "     --owner=OWNER          Act on the nodes of this owner (root only)\n"
             "     --socket=PATH          Connect to this socket\n"
             "\n"
             "Options for list:\n"
             "     --sort=COLUMN          Sort by this column, in reverse with a leading -\n"
             "\n"
             "Options for list, show, release and remove:\n"
             "     --bytes                Show sizes in bytes\n"
             "\n"
             "Options for store:\n"
             "     --replace              Replace an existing node\n"
             "     --verify               Store checksums and verify them on retrieval\n"
             "     --persist[=IMPORTANCE] Write the node to disk at a shutdown without kexec\n"
             "     --object=NAME          Object name for standard input\n"
             "     --tree                 Fail if the argument is not a directory\n"
             "     --skip-special         With DIR, leave out sockets and device nodes\n"
             "     --sysv                 Store System V segments, named by key (0x...) or ID\n"
             "\n"
             "Options for retrieve:\n"
             "     --release              Release the node once its contents are safe\n"
             "     --keep                 Keep the node stored (default)\n"
             "     --force                Replace existing files\n"
             "     --tree                 Fail if the node is not a directory tree\n"
             "     --sysv                 Recreate System V segments, named by key (0x...)\n"
             "\n"
             "Options for check:\n"
             "     --reboot               Check a reboot or poweroff instead of a kexec\n"
             "\n"
             "Options for kexec:\n"
             "     --kernel=FILE          Kernel image or unified kernel image to load\n"
             "     --boot-loader-entry=ID Boot loader entry to load; help lists the entries\n"
             "     --initrd=FILE          Initial RAM disk, may be repeated, empty for none\n"
             "     --append=TEXT          Kernel command line, without pkram=\n"
             "     --reuse-cmdline        Use the command line of the running kernel\n"
             "     --fast                 Add options to the command line for a faster boot\n"
             "     --force                Proceed even if nodes would be lost\n"
             "     --no-reboot            Load the kernel but do not reboot\n"
             "     --when=TIME            Schedule the kexec, see systemctl(1)\n"
             "     --check-inhibitors=MODE\n"
             "                            Whether to respect inhibitors, see systemctl(1)\n"
             "     --no-ask-password      Do not ask for passwords\n"
             "\n"
             "Exit status:\n"
             "   0  success; check: a kexec would preserve everything\n"
             "   1  failure; the message gives the reason\n"
             "   2  invalid arguments\n"
             "   3  no such node\n"
             "   4  node exists or is busy\n"
             "   5  permission denied\n"
             "   6  limit exceeded or out of memory\n"
             "   7  node is damaged\n"
             "   8  invalid name or contents\n"
             "   9  not supported by the kernel or the backend\n"
             "  10  cannot connect to pkramd\n"
             "  11  check, kexec: the kexec or reboot would lose nodes\n"
             "  12  resource temporarily exhausted, try again\n"
             "  13  target directory not usable, or file exists\n"
             "  14  contents too large for one reply\n"
             "  15  node is of another kind or version\n"
             "\n"
             "See pkramctl(1) for details.");
}

static int parse_json_mode(const char *s) {
        static const char *const modes[] = {
                [JSON_OFF] = "off",
                [JSON_PRETTY] = "pretty",
                [JSON_SHORT] = "short",
        };

        for (size_t i = 0; i < ELEMENTSOF(modes); i++)
                if (streq(s, modes[i])) {
                        arg_json = (JsonMode) i;
                        return 0;
                }

        return fail(EXIT_USAGE, "--json= takes pretty, short or off, not '%s'.", s);
}

/* text: NULL without a number */
static int parse_importance(const char *text) {
        arg_persist = PERSIST_MARKED;
        if (text && persist_parse(text, &arg_persist) < 0)
                return fail(EXIT_USAGE, "Invalid importance '%s': expected a number from 0 to %i.", text, PERSIST_MAX);
        return 0;
}

static int add_initrd(const char *path) {
        static size_t allocated;

        arg_no_initrd = !*path;
        if (arg_no_initrd) {
                arg_n_initrds = 0;
                return 0;
        }

        if (GREEDY_REALLOC(arg_initrds, allocated, arg_n_initrds + 1) < 0)
                return fail_memory();
        arg_initrds[arg_n_initrds++] = path;
        return 0;
}

enum {
        ARG_VERSION = 0x100,
        ARG_JSON,
        ARG_DRY_RUN,
        ARG_NO_PAGER,
        ARG_NO_LEGEND,
        ARG_QUIET,
        ARG_OWNER,
        ARG_SOCKET,
        ARG_SORT,
        ARG_BYTES,
        ARG_REPLACE,
        ARG_VERIFY,
        ARG_PERSIST,
        ARG_REBOOT,
        ARG_OBJECT,
        ARG_TREE,
        ARG_SKIP_SPECIAL,
        ARG_SYSV,
        ARG_RELEASE,
        ARG_KEEP,
        ARG_FORCE,
        ARG_KERNEL,
        ARG_ENTRY,
        ARG_INITRD,
        ARG_APPEND,
        ARG_REUSE_CMDLINE,
        ARG_FAST,
        ARG_NO_REBOOT,
        ARG_WHEN,
        ARG_CHECK_INHIBITORS,
        ARG_NO_ASK_PASSWORD,
};

static const struct option options[] = {
        { "help",              no_argument,       NULL, 'h'                  },
        { "quiet",             no_argument,       NULL, ARG_QUIET            },
        { "dry-run",           no_argument,       NULL, ARG_DRY_RUN          },
        { "version",           no_argument,       NULL, ARG_VERSION          },
        { "json",              required_argument, NULL, ARG_JSON             },
        { "no-pager",          no_argument,       NULL, ARG_NO_PAGER         },
        { "no-legend",         no_argument,       NULL, ARG_NO_LEGEND        },
        { "owner",             required_argument, NULL, ARG_OWNER            },
        { "socket",            required_argument, NULL, ARG_SOCKET           },
        { "sort",              required_argument, NULL, ARG_SORT             },
        { "bytes",             no_argument,       NULL, ARG_BYTES            },
        { "replace",           no_argument,       NULL, ARG_REPLACE          },
        { "verify",            no_argument,       NULL, ARG_VERIFY           },
        { "persist",           optional_argument, NULL, ARG_PERSIST          },
        { "object",            required_argument, NULL, ARG_OBJECT           },
        { "tree",              no_argument,       NULL, ARG_TREE             },
        { "skip-special",      no_argument,       NULL, ARG_SKIP_SPECIAL     },
        { "sysv",              no_argument,       NULL, ARG_SYSV             },
        { "release",           no_argument,       NULL, ARG_RELEASE          },
        { "keep",              no_argument,       NULL, ARG_KEEP             },
        { "force",             no_argument,       NULL, ARG_FORCE            },
        { "reboot",            no_argument,       NULL, ARG_REBOOT           },
        { "kernel",            required_argument, NULL, ARG_KERNEL           },
        { "boot-loader-entry", required_argument, NULL, ARG_ENTRY            },
        { "initrd",            required_argument, NULL, ARG_INITRD           },
        { "append",            required_argument, NULL, ARG_APPEND           },
        { "reuse-cmdline",     no_argument,       NULL, ARG_REUSE_CMDLINE    },
        { "fast",              no_argument,       NULL, ARG_FAST             },
        { "no-reboot",         no_argument,       NULL, ARG_NO_REBOOT        },
        { "when",              required_argument, NULL, ARG_WHEN             },
        { "check-inhibitors",  required_argument, NULL, ARG_CHECK_INHIBITORS },
        { "no-ask-password",   no_argument,       NULL, ARG_NO_ASK_PASSWORD  },
        {}
};

/* The bit of an option in a set of them. */
#define OPTION(name) (UINT64_C(1) << (ARG_##name - ARG_VERSION))

/* The options that were given, other than --json=off. */
static uint64_t options_given;

typedef struct Verb {
        const char *name;
        int (*run)(int argc, char *argv[]);
        uint64_t options; /* those it takes, in addition to options_common */
} Verb;

/* How to connect, and how to show what there is to show. */
static const uint64_t options_common = OPTION(SOCKET) | OPTION(NO_PAGER) | OPTION(NO_LEGEND) | OPTION(QUIET);

static const uint64_t options_store = OPTION(JSON) | OPTION(OWNER) | OPTION(REPLACE) | OPTION(VERIFY) |
        OPTION(PERSIST) | OPTION(OBJECT) | OPTION(TREE) | OPTION(SKIP_SPECIAL) | OPTION(SYSV);
static const uint64_t options_retrieve = OPTION(JSON) | OPTION(OWNER) | OPTION(RELEASE) | OPTION(KEEP) |
        OPTION(FORCE) | OPTION(TREE) | OPTION(SYSV);
/* Segments always belong to root, and are released when they are created again. */
static const uint64_t options_sysv = OPTION(SYSV) | OPTION(RELEASE);
static const uint64_t options_kexec = OPTION(DRY_RUN) | OPTION(KERNEL) | OPTION(ENTRY) | OPTION(INITRD) |
        OPTION(APPEND) | OPTION(REUSE_CMDLINE) | OPTION(FAST) | OPTION(FORCE) | OPTION(NO_REBOOT) | OPTION(WHEN) |
        OPTION(CHECK_INHIBITORS) | OPTION(NO_ASK_PASSWORD);

/* Returns an exit status, or -1 to continue with the verb. */
static int parse_argv(int argc, char *argv[]) {
        bool wants_help = false;
        int c, r = 0;

        while (r == 0 && (c = getopt_long(argc, argv, "hjqn", options, NULL)) >= 0) {
                if (c > ARG_VERSION)
                        options_given |= UINT64_C(1) << (c - ARG_VERSION);
                switch (c) {
                case 'h':
                        wants_help = true;
                        break;
                case 'j':
                        arg_json = isatty(STDOUT_FILENO) ? JSON_PRETTY : JSON_SHORT;
                        options_given |= OPTION(JSON);
                        break;
                case 'q':
                case ARG_QUIET:
                        arg_quiet = true;
                        break;
                case 'n':
                case ARG_DRY_RUN:
                        arg_dry_run = true;
                        options_given |= OPTION(DRY_RUN);
                        break;
                case ARG_VERSION:
                        puts("pkramctl " PKRAM_VERSION);
                        return EXIT_OK;
                case ARG_JSON:
                        r = parse_json_mode(optarg);
                        break;
                case ARG_NO_LEGEND:
                        arg_legend = false;
                        break;
                case ARG_NO_PAGER:
                        arg_pager = false;
                        break;
                case ARG_SOCKET:
                        arg_socket = optarg;
                        break;
                case ARG_REPLACE:
                        arg_replace = true;
                        break;
                case ARG_VERIFY:
                        arg_verify = true;
                        break;
                case ARG_REBOOT:
                        arg_check_reboot = true;
                        break;
                case ARG_PERSIST:
                        r = parse_importance(optarg);
                        break;
                case ARG_OBJECT:
                        arg_object_name = optarg;
                        break;
                case ARG_KEEP:
                        arg_release = false;
                        break;
                case ARG_RELEASE:
                        arg_release = true;
                        break;
                case ARG_OWNER:
                        arg_owner = optarg;
                        break;
                case ARG_SORT:
                        arg_sort = optarg;
                        break;
                case ARG_BYTES:
                        arg_bytes = true;
                        break;
                case ARG_WHEN:
                        arg_when = optarg;
                        break;
                case ARG_CHECK_INHIBITORS:
                        arg_check_inhibitors = optarg;
                        break;
                case ARG_NO_ASK_PASSWORD:
                        arg_ask_password = false;
                        break;
                case ARG_KERNEL:
                        arg_kernel = optarg;
                        break;
                case ARG_ENTRY:
                        arg_entry = optarg;
                        break;
                case ARG_INITRD:
                        r = add_initrd(optarg);
                        break;
                case ARG_APPEND:
                        arg_append = optarg;
                        break;
                case ARG_REUSE_CMDLINE:
                        arg_reuse_cmdline = true;
                        break;
                case ARG_FAST:
                        arg_fast = true;
                        break;
                case ARG_FORCE:
                        arg_force = true;
                        break;
                case ARG_NO_REBOOT:
                        arg_reboot = false;
                        break;
                case ARG_TREE:
                        arg_tree = true;
                        break;
                case ARG_SYSV:
                        arg_sysv = true;
                        break;
                case ARG_SKIP_SPECIAL:
                        arg_skip_special = true;
                        break;
                default:
                        return EXIT_USAGE; /* getopt has printed the reason */
                }
        }

        if (arg_json == JSON_OFF)
                options_given &= ~OPTION(JSON);
        if (r == 0 && wants_help) {
                pkramctl_help();
                return EXIT_OK;
        }
        return r != 0 ? r : -1;
}

static int verb_help(_unused_ int argc, _unused_ char *argv[]) {
        pkramctl_help();
        return EXIT_OK;
}

/* The name of one of a set of options, as it is given. */
static const char *options_name(uint64_t set) {
        for (const struct option *o = options; o->name; o++)
                if (o->val >= ARG_VERSION && (set & (UINT64_C(1) << (o->val - ARG_VERSION))))
                        return o->name;
        return "?";
}

/* An option without effect is an error: the user would rely on it. Returns 0 or an exit status. */
static int check_options_of_verb(const Verb *verb) {
        uint64_t others = options_given & ~verb->options & ~options_common;

        if (others)
                return fail(EXIT_USAGE, "Command '%s' does not take --%s.", verb->name, options_name(others));
        others = options_given & ~options_sysv & ~options_common;
        if (arg_sysv && others)
                return fail(EXIT_USAGE, "--sysv and --%s may not be combined.", options_name(others));
        return 0;
}

static int verb_run(int argc, char *argv[]) {
        static const Verb verbs[] = {
                { "status",   verb_status,   OPTION(JSON)                                                 },
                { "list",     verb_list,     OPTION(JSON) | OPTION(OWNER) | OPTION(SORT) | OPTION(BYTES)  },
                { "show",     verb_show,     OPTION(JSON) | OPTION(OWNER) | OPTION(BYTES)                 },
                { "store",    verb_store,    options_store                                                },
                { "retrieve", verb_retrieve, options_retrieve                                             },
                { "release",  verb_release,  OPTION(OWNER) | OPTION(DRY_RUN) | OPTION(BYTES)              },
                { "remove",   verb_remove,   OPTION(OWNER) | OPTION(DRY_RUN) | OPTION(BYTES)              },
                { "monitor",  verb_monitor,  OPTION(JSON)                                                 },
                { "analyze",  verb_analyze,  OPTION(JSON)                                                 },
                { "metrics",  verb_metrics,  0                                                            },
                { "check",    verb_check,    OPTION(JSON) | OPTION(REBOOT)                                },
                { "kexec",    verb_kexec,    options_kexec                                                },
                { "help",     verb_help,     0                                                            },
        };
        static char *default_verb[] = { (char *) "status", NULL };
        int r;

        if (argc == 0) {
                argc = 1;
                argv = default_verb;
        }

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (streq(argv[0], verbs[i].name)) {
                        r = check_options_of_verb(verbs + i);
                        return r ?: verbs[i].run(argc, argv);
                }

        return fail(EXIT_USAGE, "Unknown command '%s'. See 'pkramctl --help'.", argv[0]);
}

/*
 * Makes sure that descriptors 0 to 2 are open. Otherwise the connection to pkramd could get the number of standard
 * output, and the output would be sent to pkramd. What is opened fails when it is used.
 */
static int reserve_standard_descriptors(void) {
        int fd;

        do {
                fd = open("/dev/null", O_PATH);
                if (fd < 0)
                        return fail(EXIT_FAILED, "Failed to open /dev/null: %s.", strerror(errno));
        } while (fd <= STDERR_FILENO);
        safe_close(fd);
        return 0;
}

/* Reports if output was not written. r: exit status so far. Returns the exit status of the program. */
static int finish_output(int r) {
        int error = ctl_flush(), status;

        /* Ignore write errors if the user has quit the pager. */
        if (error == 0 || pager_is_open())
                return r;
        status = error == -EIO ? fail(EXIT_FAILED, "Failed to write to standard output.") :
                fail(EXIT_FAILED, "Failed to write to standard output: %s.", strerror(-error));
        return r ?: status;
}

int main(int argc, char *argv[]) {
        int r;

        r = reserve_standard_descriptors();
        if (r != 0)
                return r;

        /* Only for the width of characters: numbers and messages do not depend on the locale. */
        (void) setlocale(LC_CTYPE, "");

        r = parse_argv(argc, argv);
        if (r < 0)
                r = verb_run(argc - optind, argv + optind);
        r = finish_output(r);
        free(arg_initrds);
        return r;
}
