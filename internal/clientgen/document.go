package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// document is as much of an OpenAPI document as a client needs.
type document struct {
	Paths      map[string]map[string]*operation `json:"paths"`
	Components struct {
		Schemas map[string]*schema `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	ID          string `json:"operationId"`
	Summary     string `json:"summary"`
	Description string `json:"description"`
	Parameters  []struct {
		Name        string  `json:"name"`
		In          string  `json:"in"`
		Description string  `json:"description"`
		Required    bool    `json:"required"`
		Schema      *schema `json:"schema"`
	} `json:"parameters"`
	RequestBody *struct {
		Content map[string]media `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Content   map[string]media `json:"content"`
		Downloads []string         `json:"x-downloads"`
	} `json:"responses"`

	method, path string
}

type media struct {
	Schema *schema `json:"schema"`
	Line   *schema `json:"x-line-schema"` // of each line of NDJSON
}

type schema struct {
	Ref             string             `json:"$ref"`
	Description     string             `json:"description"`
	Type            oneOrMore          `json:"type"`
	Format          string             `json:"format"`
	ContentEncoding string             `json:"contentEncoding"`
	Enum            []any              `json:"enum"`
	Items           *schema            `json:"items"`
	Properties      map[string]*schema `json:"properties"`
	Required        []string           `json:"required"`
	Additional      additional         `json:"additionalProperties"`
	OneOf           []*schema          `json:"oneOf"`
	Minimum         *float64           `json:"minimum"`
	Default         any                `json:"default"`
}

type oneOrMore []string

// UnmarshalJSON reads a type, or a list of them.
func (o *oneOrMore) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]string)(o))
	}
	*o = []string{""}
	return json.Unmarshal(b, &(*o)[0])
}

// additional is what an object may hold besides its properties.
type additional struct {
	any bool
	of  *schema
}

// UnmarshalJSON reads true, false or a schema.
func (a *additional) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		return json.Unmarshal(b, &a.of)
	}
	return json.Unmarshal(b, &a.any)
}

func (s *schema) is(t string) bool { return slices.Contains(s.Type, t) }

// nullable gives the schema without null, and whether null was in it.
func (s *schema) nullable() (*schema, bool) {
	if i := slices.IndexFunc(s.OneOf, func(o *schema) bool { return slices.Equal(o.Type, oneOrMore{"null"}) }); i >= 0 && len(s.OneOf) == 2 {
		return s.OneOf[1-i], true
	}
	if len(s.Type) == 2 && s.is("null") {
		out := *s
		out.Type = slices.DeleteFunc(slices.Clone(s.Type), func(t string) bool { return t == "null" })
		return &out, true
	}
	return s, false
}

// erasable gives the schema of a personal value, and whether it is one.
func (s *schema) erasable() (*schema, bool) {
	if len(s.OneOf) == 2 && s.OneOf[1].Properties["erased"] != nil {
		return s.OneOf[0], true
	}
	if s.Properties["erased"] != nil && s.Additional.of != nil {
		out := *s
		out.Properties = nil
		return &out, true
	}
	return s, false
}

func (s *schema) ref() string { return s.Ref[strings.LastIndexByte(s.Ref, '/')+1:] }

// fields are the names of the properties: those that are required in their order, then the others.
func (s *schema) fields() []string {
	out := slices.Clone(s.Required)
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// operations gives all operations by their ids.
func (d *document) operations() []*operation {
	var out []*operation
	for path, item := range d.Paths {
		for method, op := range item {
			op.method, op.path = strings.ToUpper(method), path
			out = append(out, op)
		}
	}
	slices.SortFunc(out, func(x, y *operation) int { return strings.Compare(x.ID, y.ID) })
	return out
}

// answer is the answer of success: its media type and what it holds.
func (o *operation) answer() (mediaType string, m media, downloads []string) {
	for _, status := range slices.Sorted(maps.Keys(o.Responses)) {
		if r := o.Responses[status]; status[0] == '2' {
			for mediaType, m = range r.Content {
				return mediaType, m, r.Downloads
			}
		}
	}
	return "", media{}, nil
}

// takes says whether the operation has a parameter.
func (o *operation) takes(name string) bool {
	for _, p := range o.Parameters {
		if p.Name == name {
			return true
		}
	}
	return false
}
