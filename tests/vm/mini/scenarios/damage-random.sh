# SPDX-License-Identifier: LGPL-2.1-or-later
# The long run: random bits with a seed of today, 48 nodes a boot, half of the rounds with checksums made right.
# suite: campaign
# stages: 25
# memory: 384M
# timeout: 900

stage_any() {
        local seed rounds=
        seed=$(word pkramtest.seed)
        [ -n "$seed" ] || seed=$(($(od -A n -N 4 -t u4 /dev/urandom)))
        [ "$STAGE" -gt 1 ] || pass "the seed is $seed"
        for n in 0 1 2 3 4 5 6 7 8 9 10 11; do
                rounds="$rounds random:$n forged:$n"
        done
        # shellcheck disable=SC2086
        damage_stages "$seed" $rounds
}
