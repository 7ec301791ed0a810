# SPDX-License-Identifier: LGPL-2.1-or-later
# The KUnit suites of the kernel part. Each case counts as one test; a suite that does not run is a failure.
# (kunit.autorun= is what Linux 7.3 asks for besides; 6.12 says that it does not know it.)
# stages: 1
# memory: 512M
# timeout: 240
# kunit: yes
# suite: kunit
# append: kunit.enable=1 kunit.autorun=1 kunit.filter_glob=pkram*

stage1() { pass "booted after the suites"; }
