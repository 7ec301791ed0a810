#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Run one fuzzer and sum up in one line.
#
# usage: run-fuzzer.sh BUILD NAME SECONDS RUNS; 0 runs or 0 seconds: no limit

set -u

build=$1
name=$2
seconds=$3
runs=$4

[ "$runs" -gt 0 ] || runs=-1
log=$build/$name.log
mkdir -p "$build/corpus/$name" "$build/findings" "corpus/$name" || exit 1

"$build/$name" -max_total_time="$seconds" -runs="$runs" -max_len=512 -timeout=10 \
	-rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$build/findings/$name-" \
	"$build/corpus/$name" "corpus/$name" >"$log" 2>&1
status=$?

count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
if [ $status -ne 0 ] || [ -z "$count" ]; then
	tail -n 60 "$log"
	echo "$name: ${count:-unknown number of} executions, FINDING (status $status)"
	echo "see $log and $build/findings"
	exit 1
fi
echo "$name: $count executions, no finding"
