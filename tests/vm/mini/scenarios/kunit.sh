# SPDX-License-Identifier: LGPL-2.1-or-later
# The KUnit suites of the kernel part. Each case counts as one test; a suite that does not run is a failure.
# stages: 1
# memory: 512M
# timeout: 240
# kunit: yes
# suite: kunit
# append: kunit.enable=1 kunit.filter_glob=pkram*

stage1() { pass "booted after the suites"; }
