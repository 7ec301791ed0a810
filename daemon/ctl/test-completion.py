#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shell completion of pkramctl in interactive shells, with hostile names. Prints TAP.
Usage: test-completion.py PKRAMCTL PKRAMD-MOCK"""
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))

# The name of a node, and what is typed before the tab key.
NAMES = [
    ("plain", "pl"),
    ("a b  c", "a\\ b"),
    ("it's", "it"),
    ('quote"d', "quo"),
    ("back\\slash", "bac"),
    ("$(touch pwned)", "\\$\\("),
    ("`touch pwned`", "\\`"),
    ("${HOME}$IFS", "\\$\\{"),
    ("i[$(touch pwned)]", "i\\["),
    ("x;y&z|w<>(){}[]*?~#!", "x\\;"),
    ("~root", "\\~"),
    ("colon:and=equals", "colon:an"),
    ("\u00e4\u20ac\U0001f600", "\u00e4"),
    ("-rf", "-- -r"),
    ("--version", "-- --v"),
]
# The same within quotes. Readline and zle close them.
QUOTED = [("a b  c", "'a b"), ("a b  c", '"a b'), ("it's", "'it"), ('quote"d', '"quo'), ("${HOME}$IFS", "'${"),
          ("~root", "'~")]

SETUP = {
    "bash": "bind 'set enable-bracketed-paste off' 'set bell-style none'; set +H\n. {here}/bash-completion/pkramctl\n",
    "zsh": "unset zle_bracketed_paste; setopt no_list_ambiguous no_bang_hist; fpath=({here}/zsh-completion $fpath)\n"
           "autoload -U compinit; compinit -u -D\n",
}
# Completion reaches the mock through this function, and the line that was completed ends in a file.
FUNCTION = """pkramctl() {{
    case " $* " in *" --json=short list "*) command pkramctl --socket={dir}/socket "$@"; return ;; esac
    printf '%s\\0' "$@" >{dir}/out.tmp; mv {dir}/out.tmp {dir}/out
}}
touch {dir}/ready
"""

n_tests = n_failed = 0


def ok(good, name, detail=""):
    global n_tests, n_failed
    n_tests += 1
    n_failed += not good
    if not good and detail:
        print(f"# {detail}")
    print(f"{'ok' if good else 'not ok'} {n_tests} - {name}", flush=True)


class Shell:
    """An interactive shell on a terminal of its own."""
    def __init__(self, kind, directory):
        self.directory = directory
        env = dict(os.environ, PATH=f"{directory}/bin:{os.environ['PATH']}", TERM="dumb", LC_ALL="C.UTF-8",
                   INPUTRC="/dev/null",
                   HISTFILE="", PS1="$ ")
        command = ["bash", "--norc", "--noprofile", "-i"] if kind == "bash" else ["zsh", "-f", "-i"]
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            os.execvpe(command[0], command, env)
        self.output = b""
        self.send(SETUP[kind].format(here=HERE) + FUNCTION.format(dir=directory))
        if self.wait("ready") is None:
            raise SystemExit(f"Bail out! {kind} does not start: {self.output!r}")

    def send(self, text):
        os.write(self.fd, text.encode())

    def wait(self, name, seconds=20):
        """Waits for a file, reading what the shell prints meanwhile, and returns its contents."""
        path = os.path.join(self.directory, name)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.02)[0]:
                try:
                    self.output = (self.output + os.read(self.fd, 65536))[-4000:]
                except OSError:
                    return None
            if os.path.exists(path):
                with open(path, "rb") as f:
                    data = f.read()
                os.unlink(path)
                return data
        return None

    def complete(self, line):
        """Types a line, tab and return. Returns the arguments that pkramctl was called with."""
        self.output = b""
        self.send("\x15" + line + "\t")
        # What follows a tab is read as text by some versions while completion runs.
        time.sleep(0.1)
        self.send("\n")
        data = self.wait("out", 10)
        return None if data is None else [x.decode() for x in data.split(b"\0")[:-1]]

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def check_names(kind, directory):
    shell = Shell(kind, directory)
    for name, typed in NAMES + QUOTED:
        got = shell.complete(f"pkramctl show {typed}")
        want = ["show"] + (["--"] if typed.startswith("-- ") else []) + [name]
        ok(got == want, f"{kind}: {typed} becomes {name!r}".replace("#", "\\#"), f"{got!r} {shell.output!r}")
    shell.send("\x15pkramctl show \t\t\t\x15\npkramctl end\n")
    ok(shell.wait("out") is not None, f"{kind}: a list of all names")
    ok(not os.path.exists(f"{directory}/pwned"), f"{kind}: no name was evaluated")

    for typed, want in (("li", ["list"]), ("store --repl", ["store", "--replace"]),
                        ("list --repl", ["list", "--repl"]),
                        ("retrieve --rel", ["retrieve", "--release"]), ("show --rel", ["show", "--rel"])):
        got = shell.complete(f"pkramctl {typed}")
        ok(got == want, f"{kind}: {typed} becomes {' '.join(want)}", f"{got!r} {shell.output!r}")
    shell.close()


def offered(verb):
    """The options that bash offers for a verb."""
    text = f". {HERE}/bash-completion/pkramctl; COMP_WORDS=(pkramctl {verb} -); COMP_CWORD=2; _pkramctl; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    out = subprocess.run(["bash", "-c", text], stdout=subprocess.PIPE, check=True, text=True).stdout
    return {x.rstrip("=") for x in out.split() if x.startswith("--") and x != "--"}


def check_options(ctl):
    """Each option of --help is offered for the verbs of its section, and for no others."""
    text = subprocess.run([ctl, "--help"], stdout=subprocess.PIPE, check=True, text=True).stdout
    verbs = re.findall(r"^  ([a-z]+)\b", text.split("\nCommands:\n")[1].split("\n\n")[0], re.M)
    everywhere = {"--help", "--version", "--socket"}
    sections = {m[1]: set(re.findall(r"--[a-z-]+", m[2]))
                for m in re.finditer(r"^Options for ([a-z, ]+):\n(.*?)\n\n", text, re.M | re.S)}
    ok(len(verbs) > 9 and len(sections) > 3, "help has commands and sections", f"{verbs} {sections}")
    for verb in verbs:
        if verb == "help":
            continue
        own = set().union(*(v for k, v in sections.items() if verb in re.split(r", | and ", k)))
        others = set().union(*sections.values()) - own
        got = offered(verb)
        ok(own | everywhere <= got and not got & others, f"bash: the options of {verb}",
           f"missing {(own | everywhere) - got}, wrong {got & others}")


def main():
    ctl, mock = map(os.path.realpath, sys.argv[1:3])
    with tempfile.TemporaryDirectory() as directory:
        os.mkdir(f"{directory}/bin")
        os.symlink(ctl, f"{directory}/bin/pkramctl")
        with subprocess.Popen([mock, f"{directory}/socket"], stderr=subprocess.DEVNULL) as daemon:
            for _ in range(500):
                if os.path.exists(f"{directory}/socket"):
                    break
                time.sleep(0.01)
            for name, _ in NAMES:
                subprocess.run([ctl, f"--socket={directory}/socket", "store", "--", name, "/etc/hostname"],
                               stdout=subprocess.DEVNULL, check=True)
            for kind in SETUP:
                if shutil.which(kind):
                    check_names(kind, directory)
                else:
                    ok(True, f"{kind} # SKIP it is not installed")
            check_options(ctl)
            daemon.kill()
    print(f"1..{n_tests}")
    return n_failed > 0


if __name__ == "__main__":
    sys.exit(main())
