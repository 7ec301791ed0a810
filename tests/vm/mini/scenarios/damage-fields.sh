# SPDX-License-Identifier: LGPL-2.1-or-later
# Metadata is spoilt after the seal: every field of every structure of a node, with a wrong checksum and with a right
# one; then random bits. Damaged nodes are dropped and named, with the reason; the others come back bit for bit.
# stages: 8
# memory: 384M
# timeout: 300
# expect: 2 pkram: node '.*' .*dropped: bad page header
# expect: 2 pkram: node '.*' .*dropped: page claimed twice
# expect: 2 pkram: node '.*' .*dropped: bad checksum
# expect: * pkram: node '.*' .*dropped: value out of bounds
# expect: * pkram: node '.*' .*dropped: page outside preserved memory
# expect: * pkram: node '.*' .*dropped: totals do not add up
# expect: * pkram: node '.*' .*dropped: it needs a feature that this kernel lacks
# expect: * pkram: node '.*' .*dropped: bad or duplicate name

stage_any() { damage_stages 4711 fields:0 fields:1 fields:2 fields:3 fields:4 random:0 forged:0; }
