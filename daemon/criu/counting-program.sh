#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Counts, in the file $COUNT, from $FIRST on. It ends when it is told to, unless $PROGRAM is "stubborn"; "daemon": it
# leaves a process behind that is no child of its own; "ends": it does so by itself; "crashes".
n=${FIRST-0}
trap 'echo "ended after $n"; exit 0' TERM
[[ ${PROGRAM-} == stubborn ]] && trap '' TERM
trap 'echo "asked to reload"' HUP
echo "counts from $n as $(id -un) in $PWD${NOTIFY_SOCKET+ with a socket}${EXTRA+ with $EXTRA}, process $$"
[[ ${PROGRAM-} == daemon ]] && (sleep 1000 &)
while :; do
    echo $((++n)) >"$COUNT.new"
    mv "$COUNT.new" "$COUNT"
    [[ ${PROGRAM-} == ends ]] && exit 0
    [[ ${PROGRAM-} == crashes ]] && exit 3
    sleep 0.05
done
