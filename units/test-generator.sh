#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later

# What the generator makes of fstab and of mount units. $1: pkram-generator.
set -euo pipefail

generator=$1
dir=$(mktemp -d)
trap 'rm -rf -- "$dir"' EXIT
mkdir "$dir/out" "$dir/units"

cat >"$dir/fstab" <<'END'
# a comment
/dev/vda / ext4 defaults 0 1
web /var/cache/web pkram size=1G,nofail 0 0
odd /srv//a-b\040c/.d/ pkram defaults
tmp /tmp tmpfs defaults 0 0
END
printf '[Unit]\nDescription=x\n[Mount]\nWhat=db\nWhere=/srv/db\nType = pkram \n' >"$dir/units/srv-db.mount"
printf '[Mount]\nWhat=x\nWhere=/srv/x\nType=tmpfs\n# Type=pkram\n' >"$dir/units/srv-x.mount"
printf '[Unit]\nType=pkram\n[Mount]\nType=pkram\nType=\n' >"$dir/units/srv-y.mount"
printf '[Mount]\nType=pkram\n' >"$dir/units/other.service"

SYSTEMD_FSTAB=$dir/fstab SYSTEMD_UNIT_PATH=$dir/none:$dir/units "$generator" "$dir/out" "$dir/out" "$dir/out"

want=$(sort <<'END'
srv-a\x2db\x20c-.d.mount.d/50-pkram.conf
srv-db.mount.d/50-pkram.conf
var-cache-web.mount.d/50-pkram.conf
END
)
is=$(cd "$dir/out" && find . -type f -printf '%P\n' | sort)
if [ "$is" != "$want" ]; then
        printf 'made:\n%s\nwanted:\n%s\n' "$is" "$want"
        exit 1
fi
# systemd has to agree about the names.
for path in /var/cache/web '/srv//a-b c/.d/'; do
        [ -e "$dir/out/$(systemd-escape --path --suffix=mount "$path").d/50-pkram.conf" ] || { echo "$path has another name"; exit 1; }
done
grep -q '^Requires=pkramd.socket$' "$dir/out/var-cache-web.mount.d/50-pkram.conf"

SYSTEMD_FSTAB=$dir/none SYSTEMD_UNIT_PATH=$dir/none "$generator" "$dir/none" "$dir/none" "$dir/none"
if "$generator" 2>/dev/null; then
        echo "it takes anything"
        exit 1
fi
echo "the generator finds mounts of type pkram, and no others"
