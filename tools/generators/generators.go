// Package generators pins the Go generators of API clients that internal/test/generators runs, and what their clients import.
package generators

import (
	_ "github.com/go-faster/errors"
	_ "github.com/go-faster/jx"
	_ "github.com/oapi-codegen/runtime"
	_ "github.com/ogen-go/ogen"
)
