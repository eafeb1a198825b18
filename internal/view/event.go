// Package view shows an entry of the journal as every reader gets it: as JSON, as a row of CSV, as a sentence with the names of its time; with
// its causes, its receipt, and the explanation of an order. What a reader may not see is masked here, once, for the API, both web faces and the
// command line alike.
package view

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
	"perennial/internal/store"
	"perennial/internal/team"
)

// Mask stands in the place of a personal value for a caller without the permission to see it.
const Mask = plain.Mask

// Event is an event as every list, download and stream shows it.
type Event struct {
	ID            id.ID           `json:"id"`
	Seq           int64           `json:"seq" doc:"Position in the shop's journal, from 0, without gaps."`
	Type          string          `json:"type"`
	TypeVersion   int             `json:"type_version"`
	Label         string          `json:"label"`
	Summary       string          `json:"summary" doc:"One plain sentence without personal values."`
	Category      string          `json:"category"`
	Log           journal.LogName `json:"log" enum:"activity,customer,subscription"`
	Targets       []Party         `json:"targets" doc:"The first is the thing that changed; the others are mentioned."`
	TargetVersion int64           `json:"target_version"`
	Actor         Party           `json:"actor"`
	OnBehalfOf    MaybeParty      `json:"on_behalf_of"`
	Source        Source          `json:"source"`
	OccurredAt    journal.Time    `json:"occurred_at" doc:"When it happened, as its source says."`
	RecordedAt    journal.Time    `json:"recorded_at" doc:"When it was committed; never before the event before it."`
	Changes       []Change        `json:"changes"`
	Details       Members         `json:"details"`
	Comment       MaybePersonal   `json:"comment"`
	CorrelationID id.ID           `json:"correlation_id"`
	CausationID   *id.ID          `json:"causation_id"`
	CommandID     id.ID           `json:"command_id"`
	Corrects      *id.ID          `json:"corrects" doc:"The event that this one undoes."`
	LeafHash      []byte          `json:"leaf_hash" doc:"Of the event's canonical bytes in the Merkle tree (RFC 6962)."`
	FoundByChain  bool            `json:"found_by_chain,omitempty" doc:"The index left this event out; a chain of events names it. Only then it is there."`
}

// Party is a thing or an actor with its name as it was at the time of the entry.
type Party struct {
	Kind    string `json:"kind"`
	ID      string `json:"id"`
	Display string `json:"display" doc:"Its name at the time. Who was erased has none."`
	Now     string `json:"display_now,omitempty" doc:"Its name now, where that is another one."`
}

// Words is the name at the time, with today's beside it where that is another one.
func (p Party) Words() string {
	if p.Now == "" {
		return p.Display
	}
	return p.Display + " (now " + p.Now + ")"
}

type Source struct {
	Channel   journal.Channel `json:"channel"`
	RequestID *string         `json:"request_id"`
	IP        MaybePersonal   `json:"ip"`
	UserAgent MaybePersonal   `json:"user_agent"`
}

type Change struct {
	Field  string         `json:"field"`
	Before jsontext.Value `json:"before"`
	After  jsontext.Value `json:"after"`
}

// MaybeParty is a party or null.
type MaybeParty struct{ Party *Party }

// Name is the party's; empty when there is none.
func (m MaybeParty) Name() string {
	if m.Party == nil {
		return ""
	}
	return m.Party.Words()
}

// MarshalJSON writes the party, or null.
func (m MaybeParty) MarshalJSON() ([]byte, error) { return json.Marshal(m.Party) }

// MaybePersonal is a personal text, null where there is none.
type MaybePersonal struct{ journal.Personal[string] }

// MarshalJSON writes the text, {"erased": true}, or null.
func (m MaybePersonal) MarshalJSON() ([]byte, error) {
	if !m.Erased && m.Value == "" {
		return []byte("null"), nil
	}
	return m.Personal.MarshalJSON()
}

// Members is an object whose members keep their order.
type Members []journal.Detail

// MarshalJSON writes the object.
func (m Members) MarshalJSON() ([]byte, error) {
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

// party is whoever or whatever has a name: a target or an actor.
type party struct{ kind, id string }

// Renderer makes views of events for one reader. It keeps the names it looked up, so it serves one page or one download and is not
// shared.
type Renderer struct {
	s        *store.Store
	ctx      context.Context
	personal bool             // the caller may see personal data
	names    map[party]string // as they are now
	pasts    map[party]*past
	words    func(journal.State) string // what its reader calls a thing; nil: its kind's name
	currency string                     // of the shop; empty: it was not asked for
}

// namesKept bounds the names that a renderer keeps during a long download.
const namesKept = 10_000

// New makes views for a reader with the permissions.
func New(ctx context.Context, s *store.Store, has team.Set) *Renderer {
	return &Renderer{s: s, ctx: ctx, personal: has.Allows(team.PersonalDataView), names: map[party]string{}, pasts: map[party]*past{}}
}

// Unmasked makes views with personal values, for whoever holds the keys folder anyhow.
func Unmasked(ctx context.Context, s *store.Store) *Renderer {
	r := New(ctx, s, team.Set{})
	r.personal = true
	return r
}

// InWords makes views for the customer whom the entries are about: in words of their own, unmasked, and what words gives no name has none.
func InWords(ctx context.Context, s *store.Store, words func(journal.State) string) *Renderer {
	r := Unmasked(ctx, s)
	r.words = words
	return r
}

// Personal says whether the reader sees personal values.
func (r *Renderer) Personal() bool { return r.personal }

// Render makes views of entries, in their order. Each shows its parties under the names that they had then.
func (r *Renderer) Render(events []store.Stored) ([]Event, error) {
	if err := r.Learn(events); err != nil {
		return nil, err
	}
	out := make([]Event, len(events))
	for i, st := range events {
		out[i] = r.one(st)
	}
	return out, nil
}

func (r *Renderer) one(st store.Stored) Event {
	e := st.Event
	t, _ := journal.Lookup(e.Type)
	v := Event{
		ID: e.ID, Seq: e.Seq, Type: string(e.Type), TypeVersion: e.TypeVersion, Label: t.Label, Summary: journal.Summary(e), Category: t.Category, Log: t.Log,
		Targets: make([]Party, len(e.Targets)), TargetVersion: e.TargetVersion, Actor: r.actor(e.Actor, e.Seq),
		Source:     Source{Channel: e.Source.Channel, IP: r.text(e.Source.IP), UserAgent: r.text(e.Source.UserAgent)},
		OccurredAt: journal.At(e.OccurredAt), RecordedAt: journal.At(e.RecordedAt), Changes: make([]Change, len(e.Changes)),
		Details: slices.Clone(Members(e.Details)), Comment: r.text(e.Comment), CorrelationID: e.CorrelationID, CausationID: optional(e.CausationID),
		CommandID: e.CommandID, Corrects: optional(e.Corrects), LeafHash: st.Leaf[:],
	}
	if e.Source.RequestID != "" {
		v.Source.RequestID = &e.Source.RequestID
	}
	if e.OnBehalfOf != nil {
		v.OnBehalfOf.Party = new(r.actor(*e.OnBehalfOf, e.Seq))
	}
	for i, ref := range e.Targets {
		v.Targets[i] = r.party(party{string(ref.Kind), string(ref.ID)}, e.Seq)
	}
	for i, c := range e.Changes {
		v.Changes[i] = Change{c.Field, r.value(c.Before, c.Personal), r.value(c.After, c.Personal)}
	}
	for i, d := range v.Details {
		v.Details[i].Value = r.value(d.Value, d.Personal)
	}
	return v
}

func (r *Renderer) actor(a journal.Actor, seq int64) Party {
	return r.party(party{string(a.Kind), a.ID}, seq)
}

// Learn looks up the names of everybody and everything in some events, and of some things besides.
func (r *Renderer) Learn(events []store.Stored, also ...journal.Ref) error {
	if err := r.lookUp(events, also...); err != nil {
		return err
	}
	return r.lookBack(events)
}

// Actor is who acted, as they were called then. Learn the event first.
func (r *Renderer) Actor(e *journal.Event) Party { return r.actor(e.Actor, e.Seq) }

// Thing is something as it was called at an entry. Learn it first.
func (r *Renderer) Thing(ref journal.Ref, seq int64) Party {
	return r.party(party{string(ref.Kind), string(ref.ID)}, seq)
}

// value masks a personal value unless it is null, or erased, or the caller may see it.
func (r *Renderer) value(v jsontext.Value, personal bool) jsontext.Value {
	if v == nil || !personal || r.personal || string(v) == journal.ErasedJSON || string(v) == "null" {
		return v
	}
	return jsontext.Value(`"` + Mask + `"`)
}

func (r *Renderer) text(p journal.Personal[string]) MaybePersonal {
	if !r.personal && !p.Erased && p.Value != "" {
		p.Value = Mask
	}
	return MaybePersonal{p}
}

// optional gives an id that may be missing as null.
func optional(v id.ID) *id.ID {
	if v == "" {
		return nil
	}
	return &v
}
