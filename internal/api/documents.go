package api

import (
	"bytes"
	"cmp"
	_ "embed" // the page's template and style
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"perennial/internal/access"
)

//go:embed docs.css
var docsStyle []byte

//go:embed docs.tmpl
var docsTemplate string

// tags are the groups of the operations, in the order of the document and the page.
var tags = []*huma.Tag{
	{Name: "Subscriptions", Description: "Subscriptions, what is in them, and the orders to come."},
	{Name: "Orders", Description: "Orders that were billed or are to be paid."},
	{Name: "Customers", Description: "Customers, their addresses and payment methods."},
	{Name: "Catalogue", Description: "Products, variants, selling plans and discounts."},
	{Name: "Cancel flows", Description: "What a subscriber is asked and offered before a subscription is cancelled."},
	{Name: "Messages", Description: "Templates of the messages to subscribers."},
	{Name: "Settings", Description: "The shop's settings, a page at a time."},
	{Name: "Team", Description: "Members of the team and API keys."},
	{Name: "Logs", Description: "The Activity Log and the Audit Logs."},
	{Name: "Events", Description: "The whole journal: read, followed live, written to from outside, and undone."},
	{Name: "Proof", Description: "Checkpoints, proofs and receipts."},
	{Name: "Analytics", Description: "Reports, with the entries behind each figure."},
}

// finish declares the tags, and takes out the response header Content-Type, which the media type of an answer says already.
func finish(doc *huma.OpenAPI) {
	doc.Tags = tags
	for _, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			for _, r := range op.Responses {
				delete(r.Headers, "Content-Type")
			}
		}
	}
}

// document is the OpenAPI document.
func (a *API) document() []byte {
	doc, err := a.huma.OpenAPI().MarshalJSON()
	if err != nil {
		panic(fmt.Sprintf("api: the OpenAPI document: %v", err)) // made of constants: it encodes or the tests fail
	}
	return doc
}

// documents serves the OpenAPI document and the page about it. It comes after all other registrations. Both are made once, for the first
// who asks: they take most of a start.
func (a *API) documents(mux *access.Mux) {
	serve := func(mux *access.Mux, pattern, contentType string, body func() []byte) {
		mux.Handle(access.Route{Pattern: pattern, Who: access.Anyone}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = w.Write(body()) // a reader that went away
		}))
	}
	serve(a.mux, "GET /openapi.json", "application/json", sync.OnceValue(a.document))
	serve(mux, "GET /api/docs", "text/html; charset=utf-8", sync.OnceValue(a.page))
	serve(mux, "GET /api/docs.css", "text/css; charset=utf-8", func() []byte { return docsStyle })
}

// page is the page about the document.
func (a *API) page() []byte {
	var page bytes.Buffer
	if err := template.Must(template.New("docs").Parse(docsTemplate)).Execute(&page, describe(a.huma.OpenAPI())); err != nil {
		panic(fmt.Sprintf("api: the page of the API: %v", err)) // as for the document
	}
	return page.Bytes()
}

// What the page shows.
type (
	docsPage struct {
		Title, Version, Description, Base string
		Groups                            []docsGroup
		Schemas                           []docsSchema
	}
	docsGroup struct {
		Name, Anchor string
		Operations   []docsOperation
	}
	docsOperation struct {
		Anchor, Method, Path, Summary string
		Description                   []docsPart
		Parameters                    []docsField
		Bodies, Answers               []docsContent
	}
	docsContent struct {
		Status, Meaning, Type string
		Schema                []docsPart
		Fields                []docsField
	}
	docsField struct {
		Name, In, Doc string
		Type          []docsPart
		Required      bool
	}
	// docsPart is a piece of text: a type's name with the anchor that it leads to, or a piece of code.
	docsPart struct {
		Text, Anchor string
		Code         bool
	}
	docsSchema struct {
		Name, Anchor, Doc string
		Fields            []docsField
	}
)

// describe turns the document into what the page shows.
func describe(api *huma.OpenAPI) docsPage {
	d := describer{schemas: api.Components.Schemas.Map(), linked: map[string]bool{}}
	p := docsPage{Title: api.Info.Title, Version: api.Info.Version, Description: api.Info.Description, Base: Base}
	groups := map[string]*docsGroup{}
	for _, path := range slices.Sorted(maps.Keys(api.Paths)) {
		item := api.Paths[path]
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			name := "Other"
			if len(op.Tags) > 0 {
				name = op.Tags[0]
			}
			if groups[name] == nil {
				groups[name] = &docsGroup{Name: name, Anchor: "tag-" + anchor(name)}
			}
			groups[name].Operations = append(groups[name].Operations, d.operation(op))
		}
	}
	place := func(name string) int {
		if i := slices.IndexFunc(tags, func(t *huma.Tag) bool { return t.Name == name }); i >= 0 {
			return i
		}
		return len(tags)
	}
	for _, name := range slices.SortedFunc(maps.Keys(groups), func(x, y string) int { return cmp.Or(cmp.Compare(place(x), place(y)), strings.Compare(x, y)) }) {
		p.Groups = append(p.Groups, *groups[name])
	}
	// Describing a schema may lead to further ones.
	for done := map[string]bool{}; len(done) < len(d.linked); {
		for _, name := range slices.Sorted(maps.Keys(d.linked)) {
			if !done[name] {
				done[name] = true
				s := d.schemas[name]
				p.Schemas = append(p.Schemas, docsSchema{Name: name, Anchor: "schema-" + anchor(name), Doc: s.Description, Fields: d.fields(s)})
			}
		}
	}
	slices.SortFunc(p.Schemas, func(x, y docsSchema) int { return strings.Compare(x.Name, y.Name) })
	return p
}

type describer struct {
	schemas map[string]*huma.Schema
	linked  map[string]bool // the schemas that the page links to
}

func (d describer) operation(op *huma.Operation) docsOperation {
	out := docsOperation{Anchor: anchor(op.OperationID), Method: op.Method, Path: op.Path, Summary: op.Summary, Description: codes(op.Description)}
	for _, p := range op.Parameters {
		out.Parameters = append(out.Parameters, docsField{Name: p.Name, In: p.In, Doc: cmp.Or(p.Description, d.about(p.Schema)), Type: d.typeOf(p.Schema), Required: p.Required})
	}
	if op.RequestBody != nil {
		out.Bodies = d.contents("", "", op.RequestBody.Content)
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		if r := op.Responses[status]; status != "default" {
			out.Answers = append(out.Answers, d.contents(status, r.Description, r.Content)...)
		}
	}
	return out
}

func (d describer) contents(status, meaning string, content map[string]*huma.MediaType) []docsContent {
	var out []docsContent
	for _, t := range slices.Sorted(maps.Keys(content)) {
		c := docsContent{Status: status, Meaning: meaning, Type: t}
		s := content[t].Schema
		if fields := d.fields(d.resolve(s)); len(fields) > 0 {
			c.Fields = fields
		} else {
			c.Schema = d.typeOf(s)
		}
		out = append(out, c)
	}
	return out
}

func (d describer) resolve(s *huma.Schema) *huma.Schema {
	for s != nil && s.Ref != "" {
		s = d.schemas[nameOf(s.Ref)]
	}
	return s
}

// fields lists the members of an object by name.
func (d describer) fields(s *huma.Schema) []docsField {
	if s == nil {
		return nil
	}
	var out []docsField
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		out = append(out, docsField{Name: name, Doc: d.about(p), Type: d.typeOf(p), Required: slices.Contains(s.Required, name)})
	}
	return out
}

// about is what a schema says about itself beside its type.
func (d describer) about(s *huma.Schema) string {
	if s == nil {
		return ""
	}
	words := []string{}
	if s.Description != "" {
		words = append(words, s.Description)
	}
	if s.Minimum != nil && s.Maximum != nil {
		words = append(words, fmt.Sprintf("%v to %v.", *s.Minimum, *s.Maximum))
	} else if s.Minimum != nil {
		words = append(words, fmt.Sprintf("%v or more.", *s.Minimum))
	}
	if s.MaxLength != nil {
		words = append(words, fmt.Sprintf("At most %d characters.", *s.MaxLength))
	}
	if s.Default != nil {
		words = append(words, fmt.Sprintf("Default: %v.", s.Default))
	}
	return strings.Join(words, " ")
}

// typeOf names a schema's type, with links to the schemas in it.
func (d describer) typeOf(s *huma.Schema) []docsPart {
	text := func(t string) []docsPart { return []docsPart{{Text: t}} }
	if s == nil {
		return text("any")
	}
	var parts []docsPart
	switch {
	case s.Ref != "":
		name := nameOf(s.Ref)
		d.linked[name] = true
		parts = []docsPart{{Text: name, Anchor: "schema-" + anchor(name)}}
	case len(s.OneOf) > 0:
		for i, o := range s.OneOf {
			if i > 0 {
				parts = append(parts, docsPart{Text: " or "})
			}
			parts = append(parts, d.typeOf(o)...)
		}
	case len(s.Enum) > 0 && s.Type == huma.TypeString:
		for i, v := range s.Enum {
			if i > 0 {
				parts = append(parts, docsPart{Text: " | "})
			}
			parts = append(parts, docsPart{Text: fmt.Sprintf("%q", v)})
		}
	case s.Type == huma.TypeArray:
		parts = append(text("list of "), d.typeOf(s.Items)...)
	case s.Type == huma.TypeObject && len(s.Properties) > 0:
		parts = text("{" + strings.Join(slices.Sorted(maps.Keys(s.Properties)), ", ") + "}")
	case s.Format != "":
		parts = text(s.Type + " (" + s.Format + ")")
	case s.ContentEncoding != "":
		parts = text(s.Type + " (" + s.ContentEncoding + ")")
	default:
		parts = text(cmp.Or(s.Type, "any"))
	}
	if s.Nullable && s.Type != huma.TypeArray {
		parts = append(parts, docsPart{Text: " or null"})
	}
	return parts
}

// codes takes a text apart at its backticks.
func codes(s string) []docsPart {
	var out []docsPart
	code := false
	for piece := range strings.SplitSeq(s, "`") {
		if piece != "" {
			out = append(out, docsPart{Text: piece, Code: code})
		}
		code = !code
	}
	return out
}

func nameOf(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

// anchor makes a fragment's name of any text.
func anchor(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, s)
}
