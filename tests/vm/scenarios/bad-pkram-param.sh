# SPDX-License-Identifier: LGPL-2.1-or-later
# pkram= that points at nothing: the system boots, one kernel line says so, and so does pkramctl status.
# stages: 1
# timeout: 240
# append: pkram=deadbeef
# expect: 1 pkram: .*

stage1() {
        lines=$(journalctl -q -b -k -o cat | grep '^pkram: ')
        printf '%s\n' "$lines"
        matches "one line says so" "$(grep -ciE 'deadbeef' <<<"$lines")" '^1$'
        equal "the status says so" "$(status_field bootResult)" nothing
        matches "pkramctl status says so" "$(pkramctl status)" '[Nn]othing|no preserved|holds no'
        check "and the store works" bash -c \
                'printf hello | pkramctl store hello - && [ "$(pkramctl list | grep -c hello)" = 1 ] && pkramctl remove hello'
}
