#!/usr/bin/env bash
# Needs: Go.
# Guess: a library of currencies still formats amounts in a currency that was withdrawn, since books hold them for ten years and more.
# Seen: github.com/bojanz/currency v1.4.2 does not know BGN (until the end of 2025) and ANG (until March 2025) at all: an amount cannot
# be made, so it cannot be formatted either; nor HRK (until the end of 2022). golang.org/x/text v0.44.0 knows all three, and not XCG, which
# followed ANG and which the first one knows. Neither knows both sides of that change.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
cat >go.mod <<'END'
module finding
go 1.25
require (
	github.com/bojanz/currency v1.4.2
	golang.org/x/text v0.44.0
)
END
cat >main.go <<'END'
package main

import (
	"fmt"

	"github.com/bojanz/currency"
	text "golang.org/x/text/currency"
)

func main() {
	for _, code := range []string{"BGN", "HRK", "ANG", "XCG", "EUR"} {
		_, bojanz := currency.NewAmountFromInt64(123405, code)
		_, xtext := text.ParseISO(code)
		fmt.Printf("%s bojanz/currency=%t x/text=%t\n", code, bojanz == nil, xtext == nil)
	}
}
END
GOFLAGS=-mod=mod go run . 2>/dev/null | tee seen
diff seen - <<'END'
BGN bojanz/currency=false x/text=true
HRK bojanz/currency=false x/text=true
ANG bojanz/currency=false x/text=true
XCG bojanz/currency=true x/text=false
EUR bojanz/currency=true x/text=true
END
