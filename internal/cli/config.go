package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// configuration is what a configuration file says. A name that no flag has is refused: it is a typing error, and the
// flag that was meant would silently keep its default.
type configuration struct {
	kong.Resolver
	names []string // sorted
}

func readConfiguration(r io.Reader) (kong.Resolver, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var values map[string]any
	if err := json.Unmarshal(b, &values); err != nil {
		return nil, fmt.Errorf("the configuration file is not a JSON object: %w", err)
	}
	inner, err := kong.JSON(bytes.NewReader(b))
	return configuration{inner, slices.Sorted(maps.Keys(values))}, err
}

// Validate implements kong.Resolver. A file may hold flags of several commands.
func (c configuration) Validate(app *kong.Application) error {
	known := map[string]bool{}
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		for _, f := range n.Flags {
			known[strings.ReplaceAll(f.Name, "-", "_")] = true
		}
		for _, child := range n.Children {
			walk(child)
		}
	}
	walk(app.Node)
	for _, name := range c.names {
		if !known[name] {
			return fmt.Errorf("the configuration file holds %q, which is no flag's name; write a flag such as --public-url as public_url", name)
		}
	}
	return nil
}
