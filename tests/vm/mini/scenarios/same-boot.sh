# SPDX-License-Identifier: LGPL-2.1-or-later
# What was stored can be loaded and removed in the same boot, replaced in one step, and is in memory once only.
# stages: 1
# memory: 384M
# timeout: 90

stage1() {
        boot_result NONE
        check "saved" pkt save here "file:size=32M,seed=51,hole=7" "bytes:size=5000,seed=52"
        before=$(free_pages)
        check "the same" pkt verify --keep --generation=0 here "file:size=32M,seed=51,hole=7" "bytes:size=5000,seed=52"
        within "pages used by a load" $((before - $(free_pages))) -2000 2000
        check_not "a name that is taken" pkt save here "bytes:size=1,seed=53"
        check "the old one is untouched" pkt verify --keep here "file:size=32M,seed=51,hole=7" \
                "bytes:size=5000,seed=52"
        check "replaced" pkt save --replace here "bytes:size=77,seed=54"
        nodes 1
        check "the new one is there" pkt verify here "bytes:size=77,seed=54"
        nodes 0
        check_not "removed is removed" pkt verify here "bytes:size=77,seed=54"
        check "in ranges of 2 MiB" pkt save ranges "file:size=9M,seed=55,hole=5,ranges=2M"
        check "ranges are the same" pkt verify ranges "file:size=9M,seed=55,hole=5"
}
