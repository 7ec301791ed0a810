# SPDX-License-Identifier: LGPL-2.1-or-later
# What saving and loading 256 MiB of base pages costs, in instructions per 4 KiB, and the metadata in bytes per page.
# suite: bench
# stages: 2
# memory: 640M
# config: minimal
# icount: yes
# cpus: 1
# append: nolapic_timer
# timeout: 600

SPEC="file:size=256M,seed=201"

stage1() { bench_save base "$SPEC" meta_contiguous "B/page" 1; }
stage2() { bench_load base "$SPEC"; }
