#!/usr/bin/env bash
# Renews the time zones that the binary carries, from the newest tzdata that Debian has (apt-get update first). The zip and the
# note beside it are committed.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

(cd "$work" && apt-get download -qq tzdata 2>/dev/null && dpkg-deb -x tzdata_*.deb package)
source=$work/package/usr/share/zoneinfo/tzdata.zi
version=$(sed -n '1s/^# version //p' "$source")
zic -b slim -d "$work/zones" "$source"
go run internal/civil/zones_make.go "$work/zones" internal/civil/zoneinfo.zip
cat >internal/civil/zoneinfo.txt <<END
$version
The tz database of IANA, compiled by zic -b slim. Renewed by scripts/zones.sh.
Source: https://www.iana.org/time-zones, from Debian's package $(basename "$work"/tzdata_*.deb _all.deb)
tzdata.zi $(sha256sum <"$source" | cut -d' ' -f1)
zoneinfo.zip $(sha256sum <internal/civil/zoneinfo.zip | cut -d' ' -f1)
Licence: public domain
END
cat internal/civil/zoneinfo.txt
