#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later

# The library exports exactly the functions that pkram.h declares, each with the version in libpkram.sym.
# $1: libpkram.so.0, $2: libpkram.sym, $3: pkram.h
set -euo pipefail

exported=$(nm -D --defined-only --with-symbol-versions "$1" | awk '$2 == "T" { print $3 }' | sort)
listed=$(sed -n 's/^ *\(pkram_[a-z_]*\);$/\1@@LIBPKRAM_0/p' "$2" | sort)
declared=$(grep -oE '\bpkram_[a-z_]+\(' "$3" | tr -d '(' | sort -u | sed 's/$/@@LIBPKRAM_0/' |
        grep -v '^pkram_list_func')
# AddressSanitizer adds symbols of its own.
exported=$(grep '^pkram_' <<<"$exported")
[ "$exported" = "$listed" ] || { diff <(echo "$listed") <(echo "$exported"); exit 1; }
for f in $listed; do
        grep -qx "$f" <<<"$declared" || { echo "$f is not declared in pkram.h"; exit 1; }
done
