#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later

# Checks the manual pages: well-formed and valid XML, every page that one points at exists or is not ours, and the
# formatted pages have nothing that man complains about. $1: source directory, $2: where they were made ("": not).
set -euo pipefail

src=$1 made=$2
fail=0

complain() {
        echo "$*"
        fail=1
}

pages=("$src"/*.xml)
[ "${#pages[@]}" -ge 7 ] || complain "only ${#pages[@]} pages"

if command -v xmllint >/dev/null; then
        # Validity needs the document type, which packages install locally.
        valid=()
        if xmlcatalog /etc/xml/catalog '-//OASIS//DTD DocBook XML V4.5//EN' 2>/dev/null | grep -q '^file:'; then
                valid=(--postvalid)
        fi
        for page in "${pages[@]}"; do
                xmllint --noout --nonet --xinclude "${valid[@]}" "$page" || complain "$page: see above"
        done
fi

# Every reference to a page of ours leads somewhere.
known=$(sed -n 's|.*<refname>\(.*\)</refname>.*|\1|p' "${pages[@]}")
while IFS= read -r name; do
        case $name in
        *pkram*) grep -qxF "$name" <<<"$known" || complain "there is no page $name, but one points at it" ;;
        esac
done < <(sed -n 's|.*<refentrytitle>\(.*\)</refentrytitle>.*|\1|p' "${pages[@]}" | sort -u)

# Units have a page each.
for unit in "$src"/../units/*.service.in "$src"/../units/*.socket; do
        name=$(basename "${unit%.in}")
        grep -qxF "$name" <<<"$known" || complain "no page describes $name"
        # And they name pages that exist.
        while IFS= read -r page; do
                page=${page#man:}
                case ${page%(*} in
                *pkram*) grep -qxF "${page%(*}" <<<"$known" ||
                        complain "$unit points at $page, which does not exist" ;;
                esac
        done < <(sed -n 's/^Documentation=//p' "$unit" | tr ' ' '\n')
done

if [ -n "$made" ]; then
        for page in "$made"/*.[1-8]; do
                # Files of one line lead to another page.
                if grep -q '^\.so ' "$page"; then
                        target=$(sed -n 's/^\.so man[0-9]\///p' "$page")
                        [ -e "$made/$target" ] || complain "$page leads to $target, which does not exist"
                        continue
                fi
                if command -v man >/dev/null; then
                        out=$(LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=100 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" \
                                2>&1 >/dev/null |
                                grep -v "cannot adjust line\|can't break line" || true)
                        [ -z "$out" ] || complain "$page: $out"
                fi
                if command -v mandoc >/dev/null; then
                        # DocBook's output has its ways; what would be shown wrong counts.
                        mandoc -T lint -W error "$page" || complain "$page: see above"
                fi
        done
fi

# The programs in the examples are the ones that the tests run.
formatted() { LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=250 man -E UTF-8 -l -Tutf8 "$1" 2>/dev/null | col -bx; }
if [ -n "$made" ] && command -v man >/dev/null && command -v col >/dev/null; then
        compared=0
        while IFS=: read -r page file; do
                text=$(formatted "$made/$(basename "$page" .xml)".[1-8])
                first=$(head -n 1 "$src/$file")
                indent=$(grep -m 1 -F -- "$first" <<<"$text") || { complain "$page does not show $file"; continue; }
                indent=${indent%%[^ ]*}
                wanted=$(sed "s/^./$indent&/" "$src/$file")
                [[ $text == *"$wanted"* ]] || complain "$page does not show $file as it is"
                compared=$((compared + 1))
        done < <(grep -o 'href="examples/[^"]*" parse="text"' "${pages[@]}" | sed 's/href="\([^"]*\)".*/\1/')
        [ "$compared" -ge 4 ] || complain "only $compared examples are in pages"
fi

exit "$fail"
