package journal

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/id"
)

// Classes of sealed boxes: whose key it is.
const (
	ClassPerson  = "person"  // a customer, a team member, an anonymous contact
	ClassNetwork = "network" // the month's key for IP addresses and user agents
	ClassShop    = "shop"    // free text about the account that belongs to no person
)

// ClassOf is the class of a key, which its id tells.
func ClassOf(key string) string {
	switch {
	case strings.HasPrefix(key, "net_"):
		return ClassNetwork
	case strings.HasPrefix(key, id.Shop+"_"):
		return ClassShop
	}
	return ClassPerson
}

// kinds are those that the prefix of an id names. A body leaves such a kind out, so the list is a part of the format: a kind
// that comes later is written.
var kinds = map[string]Kind{
	id.Subscription: Subscription, id.Customer: Customer, id.Address: Address, id.PaymentMethod: PaymentMethod, id.Order: Order,
	id.Product: Product, id.Variant: Variant, id.SellingPlanGroup: SellingPlanGroup, id.SellingPlan: SellingPlan, id.Discount: Discount,
	id.TeamMember: TeamMember, id.APIKey: APIKey, id.Session: Session,
}

func kindOf(thing string) Kind { return KindOf(id.ID(thing)) }

// KindOf is the kind that an id names by its prefix, empty when it names none.
func KindOf(key id.ID) Kind { return kinds[key.Prefix()] }

// PrefixOf is the prefix of the ids that name this kind of themselves, empty when there is none: a body leaves the kind out beside them.
func PrefixOf(kind Kind) string {
	for prefix, k := range kinds {
		if k == kind {
			return prefix
		}
	}
	return ""
}

// MarshalJSON implements json.Marshaler: a box is [key, commitment, hash].
func (b Box) MarshalJSON() ([]byte, error) {
	w := writer{}
	w.box(b)
	return w.buf, nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *Box) UnmarshalJSON(j []byte) error {
	var parts []string
	if err := json.Unmarshal(j, &parts); err != nil {
		return err
	}
	if len(parts) != 3 {
		return fmt.Errorf("journal: a box of %d values", len(parts))
	}
	*b = Box{Key: parts[0], Class: ClassOf(parts[0])}
	for i, hash := range []*[]byte{&b.Commitment, &b.Hash} {
		var err error
		if *hash, err = base64.StdEncoding.DecodeString(parts[i+1]); err != nil || base64.StdEncoding.EncodeToString(*hash) != parts[i+1] {
			return fmt.Errorf("journal: a box with %q, which is not base64", parts[i+1])
		}
	}
	return nil
}

// Sealed is a box with its ciphertext.
type Sealed struct {
	Box        Box
	Ciphertext []byte
}

// Sealer seals a canonical JSON value under the key of a class and owner. The owner is the person's id for
// ClassPerson and empty otherwise.
type Sealer interface {
	Seal(class string, owner id.ID, value []byte) (Sealed, error)
}

// Encode gives the event's canonical bytes (RFC 8785) and the ciphertexts of its boxes, in the order of e.Boxes, which
// it sets. network is the box of e.Source, sealed beforehand with SealNetwork; nil when there is none.
func (e *Event) Encode(s Sealer, network *Sealed) (body []byte, ciphertexts [][]byte, err error) {
	w := writer{buf: make([]byte, 0, 768), person: e.Person}
	for _, c := range e.Changes {
		if c.Personal {
			w.collect(c.Before)
			w.collect(c.After)
		}
	}
	for _, d := range e.Details {
		if d.Personal {
			w.collect(d.Value)
		}
	}
	var comment jsontext.Value
	if e.Comment.Value != "" {
		if comment, err = Canonical(e.Comment.Value); err != nil {
			return nil, nil, err
		}
		w.collect(comment)
	}
	var boxes []Sealed
	if len(w.values) > 0 {
		class := ClassPerson
		if e.Person == "" {
			class = ClassShop
		}
		sealed, err := s.Seal(class, e.Person, w.joined())
		if err != nil {
			return nil, nil, err
		}
		boxes = append(boxes, sealed)
	}
	if network != nil {
		boxes = append(boxes, *network)
	}
	e.Boxes = e.Boxes[:0]
	for _, b := range boxes {
		if b.Box.Class != ClassOf(b.Box.Key) {
			return nil, nil, fmt.Errorf("journal: a box of class %q under key %q", b.Box.Class, b.Box.Key)
		}
		e.Boxes = append(e.Boxes, b.Box)
		ciphertexts = append(ciphertexts, b.Ciphertext)
	}
	return w.event(e, comment != nil), ciphertexts, nil
}

// SealNetwork seals the origin's personal part, nil when it has none. It needs no order, so it is done before the
// command waits for the writer.
func (o Origin) SealNetwork(s Sealer) (*Sealed, error) {
	if o.IP.Value == "" && o.UserAgent.Value == "" {
		return nil, nil
	}
	v, err := Canonical([2]string{o.IP.Value, o.UserAgent.Value})
	if err != nil {
		return nil, err
	}
	sealed, err := s.Seal(ClassNetwork, "", v)
	if err != nil {
		return nil, err
	}
	return &sealed, nil
}

// writer builds canonical bytes by hand: the members are known, so they are written in their sorted order.
type writer struct {
	buf    []byte
	values []jsontext.Value // what goes into the event's own box, in order of appearance
	next   int              // the next of values to be referred to
	person id.ID
}

func sealable(j jsontext.Value) bool { return j != nil && string(j) != ErasedJSON }

func (w *writer) collect(j jsontext.Value) {
	if sealable(j) {
		w.values = append(w.values, j)
	}
}

func (w *writer) joined() []byte {
	b := []byte{'['}
	for i, v := range w.values {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, v...)
	}
	return append(b, ']')
}

func (w *writer) raw(s string) { w.buf = append(w.buf, s...) }

func (w *writer) str(s string) {
	b, err := jsontext.AppendQuote(w.buf, s)
	if err != nil {
		// Invalid UTF-8 is refused where text comes in; what got past becomes the replacement character, which
		// AppendQuote has already written.
		w.buf = b
		return
	}
	w.buf = b
}

func (w *writer) num(n int64) { w.buf = strconv.AppendInt(w.buf, n, 10) }

func (w *writer) base64(b []byte) {
	w.buf = append(w.buf, '"')
	w.buf = base64.StdEncoding.AppendEncode(w.buf, b)
	w.buf = append(w.buf, '"')
}

// member starts a member of an object whose first byte is already written.
func (w *writer) member(name string) {
	if w.buf[len(w.buf)-1] != '{' {
		w.buf = append(w.buf, ',')
	}
	w.buf = append(w.buf, '"')
	w.buf = append(w.buf, name...)
	w.buf = append(w.buf, '"', ':')
}

func (w *writer) item() {
	if w.buf[len(w.buf)-1] != '[' {
		w.buf = append(w.buf, ',')
	}
}

func (w *writer) box(b Box) {
	w.raw("[")
	w.str(b.Key)
	w.raw(",")
	w.base64(b.Commitment)
	w.raw(",")
	w.base64(b.Hash)
	w.raw("]")
}

// named writes a party or a target.
func (w *writer) named(thing, kind string) {
	w.raw("{")
	w.member("id")
	w.str(thing)
	if kind != string(kindOf(thing)) {
		w.member("kind")
		w.str(kind)
	}
	w.raw("}")
}

func (w *writer) actor(a Actor) { w.named(a.ID, string(a.Kind)) }

func (w *writer) time(t time.Time) {
	w.buf = append(w.buf, '"')
	w.buf = t.UTC().AppendFormat(w.buf, TimeLayout)
	w.buf = append(w.buf, '"')
}

func (w *writer) event(e *Event, comment bool) []byte {
	w.raw("{")
	w.member("actor")
	w.actor(e.Actor)
	if len(e.Boxes) > 0 {
		w.member("boxes")
		w.raw("[")
		for _, b := range e.Boxes {
			w.item()
			w.box(b)
		}
		w.raw("]")
	}
	if e.CausationID != "" {
		w.member("causation_id")
		w.str(string(e.CausationID))
	}
	if len(e.Changes) > 0 {
		w.member("changes")
		w.raw("[")
		for _, c := range e.Changes {
			w.change(c)
		}
		w.raw("]")
	}
	w.member("command_id")
	w.str(string(e.CommandID))
	if e.Corrects != "" {
		w.member("corrects")
		w.str(string(e.Corrects))
	}
	if e.CorrelationID != "" && e.CorrelationID != e.CommandID {
		w.member("correlation_id")
		w.str(string(e.CorrelationID))
	}
	w.details(e.Details)
	w.member("id")
	w.str(string(e.ID))
	if !e.OccurredAt.IsZero() && !e.OccurredAt.Equal(e.RecordedAt) {
		w.member("occurred_at")
		w.time(e.OccurredAt)
	}
	if e.OnBehalfOf != nil {
		w.member("on_behalf_of")
		w.actor(*e.OnBehalfOf)
	}
	w.member("recorded_at")
	w.time(e.RecordedAt)
	if comment {
		w.member("sealed_comment")
		w.num(int64(len(w.values) - 1))
	}
	w.sealedDetails(e.Details)
	if len(e.Secrets) > 0 {
		w.member("secrets")
		w.raw("[")
		for _, s := range e.Secrets {
			w.item()
			w.raw("{")
			w.member("commitment")
			w.base64(s.Commitment)
			w.member("name")
			w.str(s.Name)
			w.raw("}")
		}
		w.raw("]")
	}
	w.member("seq")
	w.num(e.Seq)
	w.member("source")
	w.raw("{")
	w.member("channel")
	w.str(string(e.Source.Channel))
	if e.Source.RequestID != "" {
		w.member("request_id")
		w.str(e.Source.RequestID)
	}
	w.raw("}")
	if e.TargetPrevSeq != NoPrev {
		w.member("target_prev_seq")
		w.num(e.TargetPrevSeq)
	}
	w.member("target_version")
	w.num(e.TargetVersion)
	w.member("targets")
	w.raw("[")
	for _, t := range e.Targets {
		w.item()
		w.named(string(t.ID), string(t.Kind))
	}
	w.raw("]")
	w.member("type")
	w.str(string(e.Type))
	if e.TypeVersion != 1 {
		w.member("type_version")
		w.num(int64(e.TypeVersion))
	}
	w.member("v")
	w.num(FormatVersion)
	w.raw("}")
	return w.buf
}

func (w *writer) change(c Change) {
	w.item()
	w.raw("{")
	beforeAt, afterAt := -1, -1
	if c.Personal {
		if sealable(c.Before) {
			beforeAt = w.next
			w.next++
		}
		if sealable(c.After) {
			afterAt = w.next
			w.next++
		}
	}
	if c.After != nil && afterAt < 0 {
		w.member("after")
		w.buf = append(w.buf, c.After...)
	}
	if c.Before != nil && beforeAt < 0 {
		w.member("before")
		w.buf = append(w.buf, c.Before...)
	}
	w.member("field")
	w.str(c.Field)
	if afterAt >= 0 {
		w.member("sealed_after")
		w.num(int64(afterAt))
	}
	if beforeAt >= 0 {
		w.member("sealed_before")
		w.num(int64(beforeAt))
	}
	w.raw("}")
}

func (w *writer) details(ds []Detail) {
	open := false
	for _, d := range ds {
		if d.Personal && sealable(d.Value) {
			continue
		}
		if !open {
			w.member("details")
			w.raw("{")
			open = true
		}
		w.member(d.Name)
		w.buf = append(w.buf, d.Value...)
	}
	if open {
		w.raw("}")
	}
}

func (w *writer) sealedDetails(ds []Detail) {
	open := false
	for _, d := range ds {
		if !d.Personal || !sealable(d.Value) {
			continue
		}
		if !open {
			w.member("sealed_details")
			w.raw("{")
			open = true
		}
		w.member(d.Name)
		w.num(int64(w.next))
		w.next++
	}
	if open {
		w.raw("}")
	}
}

// MakeDetails gives the members of a details struct, sorted by name as the canonical form wants them. Details that were
// made already are kept.
func MakeDetails(v any) ([]Detail, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []Detail:
		return v, nil
	}
	return detailsOf(v)
}

type rawChange struct {
	After        jsontext.Value `json:"after"`
	Before       jsontext.Value `json:"before"`
	Field        string         `json:"field"`
	SealedAfter  *int           `json:"sealed_after"`
	SealedBefore *int           `json:"sealed_before"`
}

type rawSecret struct {
	Commitment []byte `json:"commitment"`
	Name       string `json:"name"`
}

type rawEvent struct {
	Actor         Actor                   `json:"actor"`
	Boxes         []Box                   `json:"boxes"`
	CausationID   id.ID                   `json:"causation_id"`
	Changes       []rawChange             `json:"changes"`
	CommandID     id.ID                   `json:"command_id"`
	CorrelationID id.ID                   `json:"correlation_id"`
	Corrects      id.ID                   `json:"corrects"`
	Details       members[jsontext.Value] `json:"details"`
	ID            id.ID                   `json:"id"`
	OccurredAt    string                  `json:"occurred_at"`
	OnBehalfOf    *Actor                  `json:"on_behalf_of"`
	RecordedAt    string                  `json:"recorded_at"`
	SealedComment *int                    `json:"sealed_comment"`
	SealedDetails members[int]            `json:"sealed_details"`
	Secrets       []rawSecret             `json:"secrets"`
	Seq           int64                   `json:"seq"`
	Source        struct {
		Channel   Channel `json:"channel"`
		RequestID string  `json:"request_id"`
	} `json:"source"`
	TargetPrevSeq *int64 `json:"target_prev_seq"`
	TargetVersion int64  `json:"target_version"`
	Targets       []Ref  `json:"targets"`
	Type          Name   `json:"type"`
	TypeVersion   int    `json:"type_version"`
	V             int    `json:"v"`
}

// ErrUnreadable is what an Opener returns for a box whose key was destroyed: its values then read as erased.
var ErrUnreadable = errors.New("journal: the key of this box was destroyed")

// Opener opens one box of an event. It returns ErrUnreadable when the key is gone for good; any other error means that
// the bytes are not what they should be.
type Opener func(b Box, ciphertext []byte) ([]byte, error)

// Body is an event's body that was read and is not opened yet: how many ciphertexts lie beside it is known by then.
type Body struct {
	raw   rawEvent
	shop  id.ID
	own   int // 1 with a box of its own, which comes before that of network data
	plain bool
}

// Canonical says that the body is known to be canonical JSON, because it was read by a parser that takes nothing else. When it
// says no, the body may be canonical all the same.
func (b *Body) Canonical() bool { return b.plain }

// Boxes describes the boxes, in the order of their ciphertexts.
func (b *Body) Boxes() []Box { return b.raw.Boxes }

// Parse reads an event's body, whose memory the event goes on using.
func Parse(body []byte) (*Body, error) {
	b := &Body{}
	if b.plain = b.raw.quick(body); !b.plain {
		b.raw = rawEvent{}
		if err := json.Unmarshal(body, &b.raw, json.RejectUnknownMembers(true)); err != nil {
			return nil, fmt.Errorf("journal: body: %w", err)
		}
	}
	if b.raw.V != FormatVersion {
		return nil, fmt.Errorf("journal: body: format version %d, this program reads %d", b.raw.V, FormatVersion)
	}
	if len(b.raw.Targets) == 0 {
		return nil, errors.New("journal: body: no target")
	}
	var err error
	if b.shop, _, err = id.ParseEvent(string(b.raw.ID)); err != nil {
		return nil, fmt.Errorf("journal: body: %w", err)
	}
	for i := range b.raw.Targets {
		t := &b.raw.Targets[i]
		if t.Kind = cmp.Or(t.Kind, kindOf(string(t.ID))); t.Kind == "" {
			return nil, fmt.Errorf("journal: body: a target %q without a kind", t.ID)
		}
	}
	for _, a := range []*Actor{&b.raw.Actor, b.raw.OnBehalfOf} {
		if a != nil {
			a.Kind = cmp.Or(a.Kind, ActorKind(kindOf(a.ID)))
		}
	}
	b.raw.TypeVersion = cmp.Or(b.raw.TypeVersion, 1)
	b.own = len(b.raw.Boxes)
	if b.own > 0 && b.raw.Boxes[b.own-1].Class == ClassNetwork {
		b.own--
	}
	if b.own > 1 || b.own == 1 && b.raw.Boxes[0].Class == ClassNetwork {
		return nil, errors.New("journal: body: more boxes than one of its own and one of network data")
	}
	return b, nil
}

// Decode reads an event's body and opens its boxes. See Open.
func Decode(body []byte, ciphertexts [][]byte, open Opener) (*Event, error) {
	b, err := Parse(body)
	if err != nil {
		return nil, err
	}
	return b.Open(ciphertexts, open)
}

// Open gives the event with its boxes opened. ciphertexts stand in the order of the boxes. A nil open leaves every sealed
// value erased, which is what indexing and following without personal data want.
func (b *Body) Open(ciphertexts [][]byte, open Opener) (*Event, error) {
	r := &b.raw
	plain := make([][]byte, len(r.Boxes))
	if open != nil {
		if len(ciphertexts) != len(r.Boxes) {
			return nil, fmt.Errorf("journal: %d boxes but %d ciphertexts", len(r.Boxes), len(ciphertexts))
		}
		for i, b := range r.Boxes {
			v, err := open(b, ciphertexts[i])
			switch {
			case errors.Is(err, ErrUnreadable):
			case err != nil:
				return nil, fmt.Errorf("journal: box %d: %w", i, err)
			default:
				plain[i] = v
			}
		}
	}
	var o opened
	if b.own == 1 {
		o = opened{box: true, plain: plain[0]}
	}
	e := &Event{
		Shop: b.shop, ID: r.ID, Seq: r.Seq, Type: r.Type, TypeVersion: r.TypeVersion, Targets: r.Targets,
		TargetVersion: r.TargetVersion, TargetPrevSeq: NoPrev, Actor: r.Actor, OnBehalfOf: r.OnBehalfOf,
		CorrelationID: r.CorrelationID, CausationID: r.CausationID, CommandID: r.CommandID, Corrects: r.Corrects, Boxes: r.Boxes,
		Source: Origin{Channel: r.Source.Channel, RequestID: r.Source.RequestID},
	}
	if r.TargetPrevSeq != nil {
		e.TargetPrevSeq = *r.TargetPrevSeq
	}
	if e.CorrelationID == "" {
		e.CorrelationID = e.CommandID
	}
	var err error
	if e.RecordedAt, err = time.Parse(TimeLayout, r.RecordedAt); err != nil {
		return nil, fmt.Errorf("journal: recorded_at: %w", err)
	}
	e.OccurredAt = e.RecordedAt
	if r.OccurredAt != "" {
		if e.OccurredAt, err = time.Parse(TimeLayout, r.OccurredAt); err != nil {
			return nil, fmt.Errorf("journal: occurred_at: %w", err)
		}
	}
	if len(r.Changes) > 0 {
		e.Changes = make([]Change, len(r.Changes))
	}
	for i, c := range r.Changes {
		out := Change{Field: c.Field, Before: nullable(c.Before), After: nullable(c.After)}
		if c.SealedBefore != nil {
			out.Personal = true
			if out.Before, err = o.at(*c.SealedBefore); err != nil {
				return nil, err
			}
		}
		if c.SealedAfter != nil {
			out.Personal = true
			if out.After, err = o.at(*c.SealedAfter); err != nil {
				return nil, err
			}
		}
		if string(out.Before) == ErasedJSON || string(out.After) == ErasedJSON {
			out.Personal = true
		}
		e.Changes[i] = out
	}
	for _, d := range r.Details {
		e.Details = append(e.Details, Detail{Name: d.name, Value: d.value, Personal: string(d.value) == ErasedJSON})
	}
	for _, d := range r.SealedDetails {
		v, err := o.at(d.value)
		if err != nil {
			return nil, err
		}
		e.Details = append(e.Details, Detail{Name: d.name, Value: v, Personal: true})
	}
	if len(r.SealedDetails) > 0 {
		slices.SortFunc(e.Details, func(a, b Detail) int { return cmp.Compare(a.Name, b.Name) })
	}
	if r.SealedComment != nil {
		v, err := o.at(*r.SealedComment)
		if err != nil {
			return nil, err
		}
		if err := e.Comment.UnmarshalJSON(v); err != nil {
			return nil, fmt.Errorf("journal: comment: %w", err)
		}
	}
	for _, s := range r.Secrets {
		e.Secrets = append(e.Secrets, SecretCommitment{s.Name, s.Commitment})
	}
	if b.own < len(plain) {
		if err := e.Source.open(plain[b.own]); err != nil {
			return nil, fmt.Errorf("journal: network box: %w", err)
		}
	}
	return e, nil
}

// open reads the content of a box of class ClassNetwork; nil when it cannot be had.
func (o *Origin) open(content []byte) error {
	if content == nil {
		o.IP, o.UserAgent = Erased[string](), Erased[string]()
		return nil
	}
	values := quickTexts(content)
	if values == nil {
		if err := json.Unmarshal(content, &values); err != nil {
			return err
		}
	}
	if len(values) != 2 {
		return fmt.Errorf("%d values", len(values))
	}
	o.IP, o.UserAgent = Secluded(values[0]), Secluded(values[1])
	return nil
}

// opened gives the values of an event's own box as they are asked for.
type opened struct {
	box    bool   // it has one
	plain  []byte // nil when it cannot be had
	values []jsontext.Value
}

func (o *opened) at(position int) (jsontext.Value, error) {
	if !o.box {
		return nil, errors.New("journal: a sealed value, and no box that it could be in")
	}
	if o.plain == nil {
		return jsontext.Value(ErasedJSON), nil
	}
	if o.values == nil {
		o.values = quickList(o.plain)
	}
	if o.values == nil {
		if err := json.Unmarshal(o.plain, &o.values); err != nil {
			return nil, fmt.Errorf("journal: box of values: %w", err)
		}
	}
	if position < 0 || position >= len(o.values) {
		return nil, fmt.Errorf("journal: value %d of %d", position, len(o.values))
	}
	return o.values[position], nil
}
