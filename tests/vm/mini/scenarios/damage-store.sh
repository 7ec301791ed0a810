# SPDX-License-Identifier: LGPL-2.1-or-later
# Super block, map and directory are spoilt after the seal: what is damaged is refused as a whole, with one clear line,
# or costs what it describes, and the kernel boots.
# stages: 10
# memory: 384M
# timeout: 360
# expect: 2 pkram: nothing restored: super block at pfn 0x[0-9a-f]+ or its map is damaged
# expect: 4 pkram: directory page at pfn 0x[0-9a-f]+ is damaged: 64 nodes dropped, names unknown
# expect: 8 pkram: nothing restored: super block at pfn 0x[0-9a-f]+ was not sealed for this boot

stage_any() { damage_stages 1 store:0 store:1 store:2 store:3 store:4 store:5 store:6 store:20 store:21; }
