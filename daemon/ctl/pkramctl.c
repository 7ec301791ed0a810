/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <locale.h>
#include <stdio.h>

#include "ctl.h"

#define SOCKET_PATH "/run/pkram/io.pkram.Store"

JsonMode arg_json = JSON_OFF;
bool arg_pager = true, arg_legend = true, arg_keep, arg_replace, arg_verify, arg_force, arg_reboot = true, arg_reuse_cmdline, arg_no_initrd,
        arg_tree, arg_skip_special;
const char *arg_socket = SOCKET_PATH, *arg_kernel, *arg_append, *arg_object_name = "stdin", *arg_owner;
const char **arg_initrds;
size_t arg_n_initrds;

static void help(void) {
        pager_open();
        puts("pkramctl [OPTIONS...] COMMAND ...\n"
             "\n"
             "Keep data in memory across kexec.\n"
             "\n"
             "Commands:\n"
             "  status                    Show what is stored and what this boot brought back\n"
             "  list                      List stored nodes\n"
             "  show NAME                 Show a node and its objects\n"
             "  store NAME [FILE...]      Store files as a node, standard input without FILE or for -\n"
             "  retrieve NAME [DIR]       Write the objects of a node to DIR, to standard output for -,\n"
             "                            and release it\n"
             "  remove NAME...            Remove nodes and free their memory\n"
             "  monitor                   Follow what happens to nodes\n"
             "  check                     Tell whether a kexec would keep everything\n"
             "  kexec                     Load a kernel that keeps everything, and start it\n"
             "\n"
             "Options:\n"
             "  -h --help                 Show this help\n"
             "     --version              Show the version\n"
             "     --json=pretty|short|off  Print JSON (or not, the default)\n"
             "     --no-legend            Print no headings and no count\n"
             "     --no-pager             Do not use a pager\n"
             "     --socket=PATH          Connect to this socket\n"
             "     --owner=OWNER          Act on the nodes of this owner (root only)\n"
             "\n"
             "Options for store:\n"
             "     --replace              Take the place of an older node of this name\n"
             "     --verify               Keep checksums, and check them when it is retrieved\n"
             "     --object=NAME          What to call standard input in the node\n"
             "     --tree                 NAME DIR: store all that is in a directory of a tmpfs, in place\n"
             "     --skip-special         With --tree, leave out sockets and device nodes\n"
             "\n"
             "Options for retrieve:\n"
             "     --keep                 Do not release the node\n"
             "     --tree                 NAME DIR: restore such a tree into an empty directory of a tmpfs\n"
             "\n"
             "Options for kexec:\n"
             "     --kernel=FILE          The kernel to start\n"
             "     --initrd=FILE          Its initial RAM disk; can be given several times; none if empty\n"
             "     --append=TEXT          Its command line, without pkram=\n"
             "     --reuse-cmdline        The running kernel's command line (the default)\n"
             "     --force                Go on even if nodes would be lost\n"
             "     --no-reboot            Only load it\n"
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
             "  11  check, kexec: the kexec would lose nodes\n"
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
        ARG_NO_LEGEND,
        ARG_NO_PAGER,
        ARG_SOCKET,
        ARG_OWNER,
        ARG_REPLACE,
        ARG_VERIFY,
        ARG_OBJECT,
        ARG_KEEP,
        ARG_KERNEL,
        ARG_INITRD,
        ARG_APPEND,
        ARG_REUSE_CMDLINE,
        ARG_FORCE,
        ARG_NO_REBOOT,
        ARG_TREE,
        ARG_SKIP_SPECIAL,
};

/* Returns an exit status, or -1 to go on. */
static int parse_argv(int argc, char *argv[]) {
        static const struct option options[] = {
                { "help",          no_argument,       NULL, 'h'               },
                { "version",       no_argument,       NULL, ARG_VERSION       },
                { "json",          required_argument, NULL, ARG_JSON          },
                { "no-legend",     no_argument,       NULL, ARG_NO_LEGEND     },
                { "no-pager",      no_argument,       NULL, ARG_NO_PAGER      },
                { "socket",        required_argument, NULL, ARG_SOCKET        },
                { "owner",         required_argument, NULL, ARG_OWNER         },
                { "replace",       no_argument,       NULL, ARG_REPLACE       },
                { "verify",        no_argument,       NULL, ARG_VERIFY        },
                { "object",        required_argument, NULL, ARG_OBJECT        },
                { "keep",          no_argument,       NULL, ARG_KEEP          },
                { "kernel",        required_argument, NULL, ARG_KERNEL        },
                { "initrd",        required_argument, NULL, ARG_INITRD        },
                { "append",        required_argument, NULL, ARG_APPEND        },
                { "reuse-cmdline", no_argument,       NULL, ARG_REUSE_CMDLINE },
                { "force",         no_argument,       NULL, ARG_FORCE         },
                { "no-reboot",     no_argument,       NULL, ARG_NO_REBOOT     },
                { "tree",          no_argument,       NULL, ARG_TREE          },
                { "skip-special",  no_argument,       NULL, ARG_SKIP_SPECIAL  },
                {}
        };
        bool wants_help = false;
        int c, r = 0;

        while (r == 0 && (c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        wants_help = true;
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
                case ARG_OWNER:
                        arg_owner = optarg;
                        break;
                case ARG_REPLACE:
                        arg_replace = true;
                        break;
                case ARG_VERIFY:
                        arg_verify = true;
                        break;
                case ARG_OBJECT:
                        arg_object_name = optarg;
                        break;
                case ARG_KEEP:
                        arg_keep = true;
                        break;
                case ARG_KERNEL:
                        arg_kernel = optarg;
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
                case ARG_FORCE:
                        arg_force = true;
                        break;
                case ARG_NO_REBOOT:
                        arg_reboot = false;
                        break;
                case ARG_TREE:
                        arg_tree = true;
                        break;
                case ARG_SKIP_SPECIAL:
                        arg_skip_special = true;
                        break;
                default:
                        return EXIT_USAGE; /* getopt said what is wrong */
                }

        if (r == 0 && wants_help) {
                help();
                return EXIT_OK;
        }
        return r != 0 ? r : -1;
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *name;
                int (*run)(int argc, char *argv[]);
        } verbs[] = {
                { "status",   verb_status   },
                { "list",     verb_list     },
                { "show",     verb_show     },
                { "store",    verb_store    },
                { "retrieve", verb_retrieve },
                { "remove",   verb_remove   },
                { "monitor",  verb_monitor  },
                { "check",    verb_check    },
                { "kexec",    verb_kexec    },
        };
        int r;

        /* Only for the width of characters: numbers and messages do not depend on the locale. */
        (void) setlocale(LC_CTYPE, "");

        r = parse_argv(argc, argv);
        if (r >= 0)
                return r;
        if (optind >= argc)
                return fail(EXIT_USAGE, "What shall be done? See 'pkramctl --help'.");

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (streq(argv[optind], verbs[i].name)) {
                        r = verbs[i].run(argc - optind, argv + optind);
                        /* Whoever has left the pager has seen enough. */
                        if (fflush(stdout) != 0 && r == EXIT_OK && !pager_is_open())
                                r = fail(EXIT_FAILED, "Standard output cannot be written: %s.", strerror(errno));
                        free(arg_initrds);
                        return r;
                }

        return fail(EXIT_USAGE, "There is no command '%s'. See 'pkramctl --help'.", argv[optind]);
}
