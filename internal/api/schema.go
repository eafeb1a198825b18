package api

import (
	"maps"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/act"
	"perennial/internal/billing"
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/subscription"
	"perennial/internal/view"
)

// The domain's types say nothing about schemas; here each gets the one that its JSON has.

type dateSchema struct{}

func (dateSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date", Pattern: `^[1-9]\d{3}-\d\d-\d\d$`, Description: "A day in the shop's time zone."}
}

type timeSchema struct{}

func (timeSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Description: "RFC 3339 in UTC with microseconds."}
}

type anySchema struct{}

func (anySchema) Schema(huma.Registry) *huma.Schema { return &huma.Schema{} }

const aboutErasable = "Personal. An erased value reads {\"erased\": true}."

// erasable is the schema of a personal value that is no object: itself, or {"erased": true}. What may be null besides says so in its
// own branch: generators refuse a null that is a branch of its own beside two others.
func erasable(of *huma.Schema) *huma.Schema {
	return &huma.Schema{Description: aboutErasable, OneOf: []*huma.Schema{of, {
		Type: huma.TypeObject, Properties: map[string]*huma.Schema{"erased": {Type: huma.TypeBoolean, Enum: []any{true}}}, Required: []string{"erased"}, AdditionalProperties: false,
	}}}
}

type personalText struct{}

func (personalText) Schema(huma.Registry) *huma.Schema {
	return erasable(&huma.Schema{Type: huma.TypeString})
}

type personalMap struct{}

// Schema is that of one object, because generators cannot tell a map from the object of an erased value. An attribute may itself be
// called erased: then it is a text.
func (personalMap) Schema(huma.Registry) *huma.Schema {
	text := &huma.Schema{Type: huma.TypeString}
	return &huma.Schema{Type: huma.TypeObject, Description: aboutErasable, AdditionalProperties: text,
		Properties: map[string]*huma.Schema{"erased": {OneOf: []*huma.Schema{text, {Type: huma.TypeBoolean, Enum: []any{true}}}}}}
}

type personalGifts struct{}

func (personalGifts) Schema(r huma.Registry) *huma.Schema {
	return erasable(&huma.Schema{Type: huma.TypeArray, Items: r.Schema(reflect.TypeFor[subscription.Gift](), true, "Gift")})
}

type personalAddress struct{}

// Schema is that of one object, for the same reason.
func (personalAddress) Schema(r huma.Registry) *huma.Schema {
	s := *r.Schema(reflect.TypeFor[billing.ShipTo](), false, "")
	s.Description, s.Nullable, s.Required = aboutErasable, true, nil
	s.Properties = maps.Clone(s.Properties)
	s.Properties["erased"] = &huma.Schema{Type: huma.TypeBoolean, Enum: []any{true}}
	return &s
}

type eitherParty struct{}

func (eitherParty) Schema(huma.Registry) *huma.Schema {
	text := &huma.Schema{Type: huma.TypeString}
	return &huma.Schema{Type: huma.TypeObject, Nullable: true, AdditionalProperties: false, Required: []string{"kind", "id", "display"},
		Properties: map[string]*huma.Schema{"kind": text, "id": text, "display": text, "display_now": text}}
}

type eitherPersonal struct{}

func (eitherPersonal) Schema(huma.Registry) *huma.Schema {
	return erasable(&huma.Schema{Type: huma.TypeString, Nullable: true})
}

type anyMembers struct{}

func (anyMembers) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Description: "What events of this type carry besides; see /event-types."}
}

// schemaName is a type's name in the document; views of entries and inputs of acts say there that they are.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	if of := reflect.TypeFor[view.Event]().PkgPath(); t.PkgPath() == of || strings.Contains(t.Name(), of+".") { // or a list of them
		name += "View"
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.PkgPath() == reflect.TypeFor[act.Act]().PkgPath() && t != reflect.TypeFor[Commented]() { // an act's input
		name += "Body"
	}
	return name
}

func registerSchemas(r huma.Registry) {
	for t, alias := range map[reflect.Type]reflect.Type{
		reflect.TypeFor[civil.Date]():                            reflect.TypeFor[dateSchema](),
		reflect.TypeFor[journal.Time]():                          reflect.TypeFor[timeSchema](),
		reflect.TypeFor[jsontext.Value]():                        reflect.TypeFor[anySchema](),
		reflect.TypeFor[journal.Personal[string]]():              reflect.TypeFor[personalText](),
		reflect.TypeFor[journal.Personal[map[string]string]]():   reflect.TypeFor[personalMap](),
		reflect.TypeFor[journal.Personal[[]subscription.Gift]](): reflect.TypeFor[personalGifts](),
		reflect.TypeFor[view.MaybeParty]():                       reflect.TypeFor[eitherParty](),
		reflect.TypeFor[view.MaybePersonal]():                    reflect.TypeFor[eitherPersonal](),
		reflect.TypeFor[view.Members]():                          reflect.TypeFor[anyMembers](),
		reflect.TypeFor[journal.Personal[*billing.ShipTo]]():     reflect.TypeFor[personalAddress](),
	} {
		r.RegisterTypeAlias(t, alias)
	}
}

// nullPointers makes the schema of a view, and of the types in it, say which members may be null: those that are pointers
// and never left out. The framework by itself says so only of scalars.
func nullPointers(r huma.Registry, t reflect.Type, seen map[reflect.Type]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || seen[t] {
		return
	}
	seen[t] = true
	s := r.Map()[schemaName(t, "")]
	for _, f := range reflect.VisibleFields(t) {
		nullPointers(r, f.Type, seen)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if s == nil || f.Type.Kind() != reflect.Pointer || strings.Contains(options, "omit") || s.Properties[name] == nil {
			continue
		}
		p := s.Properties[name]
		switch {
		case p.Ref != "":
			s.Properties[name] = &huma.Schema{Description: p.Description, OneOf: []*huma.Schema{{Ref: p.Ref}, {Type: "null", Enum: []any{nil}}}}
		case p.Type != "":
			p.Nullable = true
		}
	}
}

// What the document says beyond OpenAPI, which has no words for it.
const (
	extDownloads = "x-downloads"   // the media types of the same list as a download, by the parameter format
	extLine      = "x-line-schema" // the schema of each line of NDJSON
)

// downloads documents that the parameter format makes the answer a download. It is not a media type of its own beside JSON: generators
// would make the answer's type one or the other.
func downloads(op *huma.Operation, mediaTypes ...string) {
	op.Description += " With another format than `json` the answer is the whole list as a download (`" + strings.Join(mediaTypes, "`, `") + "`)."
	op.Responses["200"].Extensions = map[string]any{extDownloads: mediaTypes}
}

// lines is NDJSON. To generators it is a file.
func lines(of *huma.Schema) *huma.MediaType {
	return &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}, Extensions: map[string]any{extLine: of}}
}

// nullable gives an id that may be missing as null.
func nullable(v id.ID) *id.ID {
	if v == "" {
		return nil
	}
	return &v
}

// filled is a text, null when it is empty.
func filled(v string) *string {
	if v == "" {
		return nil
	}
	return &v
}

// slice gives a list that is never null.
func slice[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}
