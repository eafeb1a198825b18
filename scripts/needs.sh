#!/usr/bin/env bash
# Installs what the tests run against and this machine lacks: PostgreSQL (15 or newer), chromium and Node, and with the argument "race" the
# C compiler of the race detector, as Debian packages. It says nothing when all is there and no test has to be left out.
set -euo pipefail

unshare --user --map-root-user --mount true 2>/dev/null ||
	echo "This machine gives a test no mounts of its own: the tests of disks that are full or can only be read are left out."

missing=()
command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
{ command -v node && command -v npm; } >/dev/null || missing+=(nodejs npm)
[ "${1:-}" != race ] || command -v gcc >/dev/null || missing+=(gcc libc6-dev)
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || { echo "The tests need ${missing[*]}: install them as root." >&2; exit 1; }
	as_root=(sudo)
fi
command -v apt-get >/dev/null || { echo "The tests need ${missing[*]}, and there is no apt-get here: install them by hand." >&2; exit 1; }
echo "Installing ${missing[*]} for the tests."
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
