# SPDX-License-Identifier: LGPL-2.1-or-later
# The long run: every field of super block, map and directory, one a boot.
# suite: campaign
# stages: 79
# memory: 384M
# timeout: 2200

stage_any() {
        local rounds=
        for n in $(seq 7 84); do
                rounds="$rounds store:$n"
        done
        # shellcheck disable=SC2086
        damage_stages 1 $rounds
}
