#!/usr/bin/env bash
# Makes the vendored browser files anew from their npm packages: htmx, the sprite of the icons that
# are used (internal/web/ui/assets/icons.txt), and axe-core for the tests. The files are committed; this says where they come from.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

pack() { # name, version, SHA-256 of the package
	(cd "$work" && npm pack --silent "$1@$2" >"$1.name" && echo "$3  $(cat "$1.name")" | sha256sum --check --quiet && mkdir "$1" && tar xzf "$(cat "$1.name")" -C "$1" --strip-components 1)
}
pack htmx.org 4.0.1 5fba65616ca148a86d377e9771bcada7f35faee3558651feb929eea425e13b3c
pack lucide-static 1.62.0 386f9080c440d6f5049cefe3456ae8357f7a0c7f76e59670cd1cb83bc7050a44
pack axe-core 4.14.1 e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745

assets=internal/web/ui/assets
cp "$work/htmx.org/dist/htmx.min.js" "$assets/htmx.js"
cp "$work/htmx.org/LICENSE" "$assets/LICENSE.htmx"
cp "$work/lucide-static/LICENSE" "$assets/LICENSE.lucide"
{
	echo '<svg xmlns="http://www.w3.org/2000/svg">'
	while read -r name; do
		printf '<symbol id="%s" viewBox="0 0 24 24">' "$name"
		sed -e '/^<!--/d' -e '/^<svg/,/^>/d' -e '/<\/svg>/d' "$work/lucide-static/icons/$name.svg" | tr -d '\n' | sed 's/  */ /g; s/ \//\//g; s/^ //'
		echo '</symbol>'
	done <"$assets/icons.txt"
	echo '</svg>'
} >"$assets/icons.svg"
mkdir -p internal/test/browser/axe
cp "$work/axe-core/axe.min.js" "$work/axe-core/LICENSE" internal/test/browser/axe/
