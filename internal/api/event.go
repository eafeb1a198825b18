package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
	"perennial/internal/query"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/team"
)

// masked stands in the place of a personal value for a caller without the permission to see it.
const masked = plain.Mask

// EventView is an event as every list, download and stream shows it.
type EventView struct {
	ID            id.ID           `json:"id"`
	Seq           int64           `json:"seq" doc:"Position in the shop's journal, from 0, without gaps."`
	Type          string          `json:"type"`
	TypeVersion   int             `json:"type_version"`
	Label         string          `json:"label"`
	Summary       string          `json:"summary" doc:"One plain sentence without personal values."`
	Category      string          `json:"category"`
	Log           journal.LogName `json:"log" enum:"activity,customer,subscription"`
	Targets       []partyView     `json:"targets" doc:"The first is the thing that changed; the others are mentioned."`
	TargetVersion int64           `json:"target_version"`
	Actor         partyView       `json:"actor"`
	OnBehalfOf    maybeParty      `json:"on_behalf_of"`
	Source        sourceView      `json:"source"`
	OccurredAt    journal.Time    `json:"occurred_at" doc:"When it happened, as its source says."`
	RecordedAt    journal.Time    `json:"recorded_at" doc:"When it was committed; never before the event before it."`
	Changes       []changeView    `json:"changes"`
	Details       members         `json:"details"`
	Comment       maybePersonal   `json:"comment"`
	CorrelationID id.ID           `json:"correlation_id"`
	CausationID   *id.ID          `json:"causation_id"`
	CommandID     id.ID           `json:"command_id"`
	Corrects      *id.ID          `json:"corrects" doc:"The event that this one undoes."`
	LeafHash      []byte          `json:"leaf_hash" doc:"Of the event's canonical bytes in the Merkle tree (RFC 6962)."`
	FoundByChain  bool            `json:"found_by_chain,omitempty" doc:"The index left this event out; a chain of events names it. Only then it is there."`
}

// partyView is a thing or an actor with its name as it was at the time of the entry.
type partyView struct {
	Kind    string `json:"kind"`
	ID      string `json:"id"`
	Display string `json:"display" doc:"Its name at the time. Who was erased has none."`
	Now     string `json:"display_now,omitempty" doc:"Its name now, where that is another one."`
}

// Words is the name at the time, with today's beside it where that is another one.
func (p partyView) Words() string {
	if p.Now == "" {
		return p.Display
	}
	return p.Display + " (now " + p.Now + ")"
}

type sourceView struct {
	Channel   journal.Channel `json:"channel"`
	RequestID *string         `json:"request_id"`
	IP        maybePersonal   `json:"ip"`
	UserAgent maybePersonal   `json:"user_agent"`
}

type changeView struct {
	Field  string         `json:"field"`
	Before jsontext.Value `json:"before"`
	After  jsontext.Value `json:"after"`
}

// maybeParty is a party or null.
type maybeParty struct{ party *partyView }

// Name is the party's; empty when there is none.
func (m maybeParty) Name() string {
	if m.party == nil {
		return ""
	}
	return m.party.Words()
}

// MarshalJSON writes the party, or null.
func (m maybeParty) MarshalJSON() ([]byte, error) { return json.Marshal(m.party) }

// Schema implements huma.SchemaProvider.
func (maybeParty) Schema(huma.Registry) *huma.Schema {
	text := &huma.Schema{Type: huma.TypeString}
	return &huma.Schema{Type: huma.TypeObject, Nullable: true, AdditionalProperties: false, Required: []string{"kind", "id", "display"},
		Properties: map[string]*huma.Schema{"kind": text, "id": text, "display": text, "display_now": text}}
}

// maybePersonal is a personal text, null where there is none.
type maybePersonal struct{ journal.Personal[string] }

// MarshalJSON writes the text, {"erased": true}, or null.
func (m maybePersonal) MarshalJSON() ([]byte, error) {
	if !m.Erased && m.Value == "" {
		return []byte("null"), nil
	}
	return m.Personal.MarshalJSON()
}

// Schema implements huma.SchemaProvider.
func (maybePersonal) Schema(huma.Registry) *huma.Schema {
	s := erasable(&huma.Schema{Type: huma.TypeString})
	s.OneOf = append(s.OneOf, &huma.Schema{Type: "null", Enum: []any{nil}})
	return s
}

// members is an object whose members keep their order.
type members []journal.Detail

// MarshalJSON writes the object.
func (m members) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, d := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := jsontext.AppendQuote(b.AvailableBuffer(), d.Name)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(d.Value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Schema implements huma.SchemaProvider.
func (members) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Description: "What events of this type carry besides; see /event-types."}
}

// party is whoever or whatever has a name: a target or an actor.
type party struct{ kind, id string }

// renderer makes views of events for one caller. It keeps the names that it looked up, so it serves one page or one
// download and is not shared.
type renderer struct {
	s        *store.Store
	ctx      context.Context
	personal bool             // the caller may see personal data
	names    map[party]string // as they are now
	pasts    map[party]*past
}

// namesKept bounds the names that a renderer keeps during a long download.
const namesKept = 10_000

func (a *API) renderer(ctx context.Context) *renderer {
	return a.rendererFor(ctx, team.Holds(callOf(ctx).key))
}

// rendererFor makes views for who may do as much as a set says.
func (a *API) rendererFor(ctx context.Context, has team.Set) *renderer {
	return &renderer{s: a.Store, ctx: ctx, personal: has.Allows(team.PersonalDataView), names: map[party]string{}, pasts: map[party]*past{}}
}

// Views renders events as the API's lists show them, personal values included, for whoever holds the keys folder anyhow.
// It keeps the names that it looked up.
func Views(ctx context.Context, s *store.Store) func([]store.Stored) ([]EventView, error) {
	r := &renderer{s: s, ctx: ctx, personal: true, names: map[party]string{}, pasts: map[party]*past{}}
	return r.render
}

// MaskedViews is Views for a reader who may not see personal values.
func MaskedViews(ctx context.Context, s *store.Store) func([]store.Stored) ([]EventView, error) {
	r := &renderer{s: s, ctx: ctx, names: map[party]string{}, pasts: map[party]*past{}}
	return r.render
}

func (r *renderer) render(events []store.Stored) ([]EventView, error) {
	if err := r.lookUp(events); err != nil {
		return nil, err
	}
	if err := r.lookBack(events); err != nil {
		return nil, err
	}
	out := make([]EventView, len(events))
	for i, st := range events {
		out[i] = r.view(st)
	}
	return out, nil
}

func (r *renderer) view(st store.Stored) EventView {
	e := st.Event
	t, _ := journal.Lookup(e.Type)
	v := EventView{
		ID: e.ID, Seq: e.Seq, Type: e.Type, TypeVersion: e.TypeVersion, Label: t.Label, Summary: journal.Summary(e), Category: t.Category, Log: t.Log,
		Targets: make([]partyView, len(e.Targets)), TargetVersion: e.TargetVersion, Actor: r.actor(e.Actor, e.Seq),
		Source:     sourceView{Channel: e.Source.Channel, IP: r.text(e.Source.IP), UserAgent: r.text(e.Source.UserAgent)},
		OccurredAt: journal.At(e.OccurredAt), RecordedAt: journal.At(e.RecordedAt), Changes: make([]changeView, len(e.Changes)),
		Details: slices.Clone(members(e.Details)), Comment: r.text(e.Comment), CorrelationID: e.CorrelationID, CausationID: nullable(e.CausationID),
		CommandID: e.CommandID, Corrects: nullable(e.Corrects), LeafHash: st.Leaf[:],
	}
	if e.Source.RequestID != "" {
		v.Source.RequestID = &e.Source.RequestID
	}
	if e.OnBehalfOf != nil {
		v.OnBehalfOf.party = new(r.actor(*e.OnBehalfOf, e.Seq))
	}
	for i, ref := range e.Targets {
		v.Targets[i] = r.party(party{string(ref.Kind), string(ref.ID)}, e.Seq)
	}
	for i, c := range e.Changes {
		v.Changes[i] = changeView{c.Field, r.value(c.Before, c.Personal), r.value(c.After, c.Personal)}
	}
	for i, d := range v.Details {
		v.Details[i].Value = r.value(d.Value, d.Personal)
	}
	return v
}

func (r *renderer) actor(a journal.Actor, seq int64) partyView {
	return r.party(party{string(a.Kind), a.ID}, seq)
}

// value masks a personal value unless it is null, or erased, or the caller may see it.
func (r *renderer) value(v jsontext.Value, personal bool) jsontext.Value {
	if v == nil || !personal || r.personal || string(v) == journal.ErasedJSON || string(v) == "null" {
		return v
	}
	return jsontext.Value(`"` + masked + `"`)
}

func (r *renderer) text(p journal.Personal[string]) maybePersonal {
	if !r.personal && !p.Erased && p.Value != "" {
		p.Value = masked
	}
	return maybePersonal{p}
}

// name is what a target or an actor is called.
func (r *renderer) name(p party) string {
	if n, ok := r.names[p]; ok {
		return n
	}
	switch p.kind {
	case string(journal.ActorSystem):
		return "System: " + strings.ReplaceAll(p.id, "_", " ")
	case string(journal.ActorImport):
		return "Import: " + p.id
	case string(journal.ActorIntegration):
		return "Integration: " + p.id
	case string(journal.ActorAnonymous):
		return "Somebody unknown"
	case string(journal.Settings):
		if p.id == string(settings.PageGeneral) {
			return "Account settings"
		}
		return strings.ToUpper(p.id[:1]) + p.id[1:] + " settings"
	case string(journal.Team):
		return "The team"
	case string(journal.Log):
		return logTitle(p.id)
	case string(journal.Source):
		return p.id
	}
	words := journal.Kind(p.kind).Words()
	return strings.ToUpper(words[:1]) + words[1:]
}

// logTitle names a log by the id of its target.
func logTitle(key string) string {
	switch id.ID(key).Prefix() {
	case id.Customer:
		return "Customer Audit Log"
	case id.Subscription:
		return "Subscription Audit Log"
	case "explorer":
		return "Explorer"
	}
	return "Activity Log"
}

// lookUp reads the names of everybody and everything in some events, and of some things besides, that is not known yet: one
// query for each kind.
func (r *renderer) lookUp(events []store.Stored, also ...journal.Ref) error {
	if len(r.names) > namesKept {
		clear(r.names)
		clear(r.pasts)
	}
	wanted := map[journal.Kind][]id.ID{}
	seen := map[party]bool{}
	want := func(kind, key string) {
		p := party{kind, key}
		if _, known := r.names[p]; !known && !seen[p] && store.HasState(journal.Kind(kind)) && kind != string(journal.Settings) && kind != string(journal.Team) {
			seen[p] = true
			wanted[journal.Kind(kind)] = append(wanted[journal.Kind(kind)], id.ID(key))
		}
	}
	for _, e := range events {
		for _, p := range parties(e.Event) {
			want(p.kind, p.id)
		}
	}
	for _, t := range also {
		want(string(t.Kind), string(t.ID))
	}
	for kind, keys := range wanted {
		rows, err := query.ByID(r.ctx, r.s, kind, keys)
		if err != nil {
			return err
		}
		for _, row := range rows {
			p := party{string(kind), string(row.State.Ref().ID)}
			r.names[p] = r.called(row.State)
			if _, changes := namings[kind]; changes {
				r.pasts[p] = &past{row: row, down: row.LastSeq}
			}
		}
	}
	return nil
}

// called is the name of a thing as its state says.
func (r *renderer) called(s journal.State) string {
	switch s := s.(type) {
	case *customer.Customer:
		return r.person("customer", s.Email, s.FirstName, s.LastName)
	case *team.TeamMember:
		return r.person("team member", s.Email, s.Name)
	case *team.Key:
		return s.Name
	case *customer.Address:
		return r.person("address", s.City, s.Line1)
	case *customer.PaymentMethod:
		if s.Last4.Erased || s.Last4.Value == "" {
			return cmp.Or(s.Brand, s.Gateway)
		}
		return s.Brand + " " + r.text(s.Last4).Value
	case *subscription.Subscription:
		return contents(s)
	case *billing.Order:
		return "Order " + s.Number
	case *catalog.Product:
		return s.Title
	case *catalog.Variant:
		return s.Title
	case *catalog.Group:
		return s.Name
	case *catalog.Plan:
		return s.Name
	case *catalog.Discount:
		return s.Code
	}
	return ""
}

// person joins the parts of a name; other stands in when all of them are empty.
func (r *renderer) person(what string, other journal.Personal[string], parts ...journal.Personal[string]) string {
	var words []string
	for _, p := range parts {
		if p.Erased {
			return "Erased " + what
		}
		if p.Value != "" {
			words = append(words, p.Value)
		}
	}
	name := cmp.Or(strings.Join(words, " "), other.Value)
	switch {
	case other.Erased:
		return "Erased " + what
	case name == "":
		return "A " + what
	case !r.personal:
		return masked
	}
	return name
}

// contents says what is in a subscription: "2 × Coffee and 1 more".
func contents(s *subscription.Subscription) string {
	if len(s.Items) == 0 {
		return "Subscription"
	}
	t := fmt.Sprintf("%d × %s", s.Items[0].Quantity, s.Items[0].Title)
	if n := len(s.Items) - 1; n > 0 {
		t += fmt.Sprintf(" and %d more", n)
	}
	return t
}
