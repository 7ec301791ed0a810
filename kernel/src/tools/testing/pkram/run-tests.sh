#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Run test programs that print TAP, all at once, and print one TAP stream for all of
# them, in the order of the arguments. A program that dies, or that ends without a
# plan, is a failed case of its own.
#
# usage: run-tests.sh LABEL PROGRAM [LABEL PROGRAM]...

set -u

bad=0
nr=0
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

started=0
pids=
for word; do
	started=$((started + 1))
	# Labels stand before programs.
	[ $((started % 2)) -eq 0 ] || continue
	"$word" >"$tmp/$started" &
	pids="$pids $!"
done

ended=0
for pid in $pids; do
	label=$1
	shift 2
	ended=$((ended + 2))

	wait "$pid"
	status=$?
	[ $status -eq 0 ] || bad=1
	awk -v label="$label" -v nr="$nr" -v status="$status" -v count="$tmp/count" '
		/^1\.\.[0-9]+$/ { plan = substr($0, 4) + 0; next }
		/^ok [0-9]+ - / || /^not ok [0-9]+ - / {
			seen++
			if ($1 == "not")
				bad++
			word = $1 == "not" ? "not ok" : "ok"
			sub(/^(not )?ok [0-9]+ - /, "")
			printf "%s %d - %s: %s\n", word, nr + seen, label, $0
			next
		}
		{ print }
		END {
			# Death counts even if all cases up to it have passed.
			if (!plan || plan != seen || (status && !bad)) {
				seen++
				printf "not ok %d - %s: ended with status %d",
				       nr + seen, label, status
				printf " after %d cases of %d\n", seen - 1, plan
			}
			print nr + seen >count
		}' "$tmp/$ended"
	new=$(cat "$tmp/count")
	[ "$new" -gt "$nr" ] || bad=1
	nr=$new
done

echo "1..$nr"
[ "$nr" -gt 0 ] || bad=1
exit $bad
