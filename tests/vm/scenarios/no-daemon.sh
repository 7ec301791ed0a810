# SPDX-License-Identifier: LGPL-2.1-or-later
# Without the daemon pkramctl says that it does not run, and how to start it; what is stored does not care.
# stages: 1
# timeout: 240

stage1() {
        check "stored" bash -c 'printf data | pkramctl store kept -'
        check "stopped" systemctl stop pkramd.socket pkramd.service
        for verb in status list "show kept" "retrieve kept /run/x" "remove kept"; do
                # shellcheck disable=SC2086
                refused "pkramctl $verb" 'pkramd' pkramctl $verb
                equal "one line" "$(wc -l <<<"$OUT")" 1
        done
        check "started again" systemctl start pkramd.socket
        equal "the node is there" "$(status_field nodes)" 1

        # Killed in the middle of everything: socket activation brings it back, and nothing is lost.
        pid=$(systemctl show -P MainPID pkramd.service)
        kill -KILL "$pid"
        equal "the node is there after a kill" "$(status_field nodes)" 1
        check "and is what it was" bash -c \
                'pkramctl retrieve kept /run/back >/dev/null && [ "$(cat /run/back/*)" = data ]'
}
