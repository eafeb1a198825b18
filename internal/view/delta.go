package view

import (
	"bytes"
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/catalog"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/store"
)

// Delta is what became of one field, as people read it.
type Delta struct {
	Field         string // in words: "Shipping address"
	Before, After Value
	// Internal fields serve the program: ids, counters, keys of the gateway. People rarely ask for them.
	Internal bool
}

// Value is one side of a Delta.
type Value struct {
	Lines                []string    // one, or the lines of an address and the members of a list
	At                   time.Time   // a moment in place of lines, which each reader shows in the zone of theirs
	Thing                journal.Ref // what the line names; the zero Ref for none
	None, Erased, Hidden bool        // there is nothing; it was erased; the reader may not see it
}

// Now stands for the seq of changes that are no entry: what they name is called as it is today.
const Now = math.MaxInt64

// Deltas says what an event changed. What its values name is called as it was then; LearnValues comes first.
func (r *Renderer) Deltas(e Event) []Delta {
	d := deltas{r: r, seq: e.Seq, first: e.TargetVersion == 1}
	if len(e.Targets) > 0 {
		d.kind = journal.Kind(e.Targets[0].Kind)
	}
	d.read(e.Changes)
	return d.out
}

// Difference says what is between two states of a thing.
func (r *Renderer) Difference(before, after journal.State) ([]Delta, error) {
	list, err := journal.Diff(before, after)
	if err != nil {
		return nil, err
	}
	changes := make([]Change, len(list))
	for i, c := range list {
		changes[i] = Change{c.Field, r.value(c.Before, c.Personal), r.value(c.After, c.Personal)}
	}
	if err := r.learnThings(nil, thingsIn(Now, nil, changes)); err != nil {
		return nil, err
	}
	of := after
	if of == nil {
		of = before
	}
	d := deltas{r: r, seq: Now, kind: of.Ref().Kind}
	d.read(changes)
	return d.out, nil
}

// LearnValues looks up everything that the values of some events name.
func (r *Renderer) LearnValues(events []Event) error {
	var things []thingAt
	for _, e := range events {
		things = thingsIn(e.Seq, things, e.Changes)
		for _, d := range e.Details {
			things = thingsOf(e.Seq, things, d.Value)
		}
	}
	return r.learnThings(nil, things)
}

// thingAt is a thing that an entry names.
type thingAt struct {
	party
	seq int64
}

func thingsIn(seq int64, things []thingAt, changes []Change) []thingAt {
	for _, c := range changes {
		things = thingsOf(seq, thingsOf(seq, things, c.Before), c.After)
	}
	return things
}

// thingsOf adds the things whose ids stand in a JSON value.
func thingsOf(seq int64, things []thingAt, v jsontext.Value) []thingAt {
	if !bytes.ContainsRune(v, '_') {
		return things
	}
	d := jsontext.NewDecoder(bytes.NewReader(v))
	for {
		t, err := d.ReadToken()
		if err != nil {
			return things
		}
		if t.Kind() != '"' {
			continue
		}
		if ref, ok := refOf(t.String()); ok {
			things = append(things, thingAt{party{string(ref.Kind), string(ref.ID)}, seq})
		}
	}
}

// refOf tells what an id is of; false for one of a thing without a state, and for what is no id.
func refOf(s string) (journal.Ref, bool) {
	kind, ok := kindOf[id.ID(s).Prefix()]
	if !ok || !id.Valid(s) {
		return journal.Ref{}, false
	}
	return journal.Ref{Kind: kind, ID: id.ID(s)}, true
}

var kindOf = map[string]journal.Kind{
	id.Subscription: journal.Subscription, id.Customer: journal.Customer, id.Order: journal.Order, id.PaymentMethod: journal.PaymentMethod,
	id.Address: journal.Address, id.Product: journal.Product, id.Variant: journal.Variant, id.SellingPlan: journal.SellingPlan,
	id.SellingPlanGroup: journal.SellingPlanGroup, id.Discount: journal.Discount, id.TeamMember: journal.TeamMember, id.APIKey: journal.APIKey,
	id.CancelFlow: journal.CancelFlow, id.CancelReason: journal.CancelReason, id.CancelSession: journal.CancelSession,
}

// deltas turns the changes of one thing into rows.
type deltas struct {
	r     *Renderer
	seq   int64
	kind  journal.Kind
	first bool // the entry made the thing
	all   []Change
	out   []Delta
}

func (d *deltas) read(changes []Change) {
	d.all = changes
	for _, c := range changes {
		d.change(c)
	}
	// What people read comes first.
	slices.SortStableFunc(d.out, func(a, b Delta) int {
		switch {
		case a.Internal == b.Internal:
			return 0
		case b.Internal:
			return -1
		}
		return 1
	})
}

// change adds the rows of one change. Two objects, or one that comes or goes whole, are a row for each member that differs.
func (d *deltas) change(c Change) {
	root, leaf := pathOf(c.Field)
	if d.kind == journal.Order && root == "dispute" {
		return // the list of disputes says the same
	}
	before, after := members(c.Before), members(c.After)
	if before == nil && after == nil || d.single(root, leaf) {
		d.out = append(d.out, Delta{Field: d.name(root, leaf), Before: d.value(root, leaf, c.Before), After: d.value(root, leaf, c.After), Internal: d.internal(root, leaf)})
		return
	}
	names := map[string]bool{}
	for n := range before {
		names[n] = true
	}
	for n := range after {
		names[n] = true
	}
	whole := before == nil || after == nil // it comes or goes: what counts nothing is not worth a row
	for _, n := range slices.Sorted(maps.Keys(names)) {
		if bytes.Equal(before[n], after[n]) || whole && nothing(before[n]) && nothing(after[n]) {
			continue
		}
		d.out = append(d.out, Delta{Field: d.name(root, n), Before: d.value(root, n, before[n]), After: d.value(root, n, after[n]), Internal: d.internal(root, n)})
	}
}

// single says whether an object is one value, and not as many rows as it has members.
func (d *deltas) single(root, leaf string) bool {
	if leaf != "" {
		return true
	}
	switch root {
	case "attempts", "recovery", "disputes", "repayments", "differences", "deliveries", "audience", "passkeys":
		return false
	}
	return true
}

// pathOf gives the field of the state and the field in the element of it: "items" and "quantity" of "items.item_x.quantity".
func pathOf(field string) (root, leaf string) {
	root = journal.Change{Field: field}.Root()
	rest := strings.TrimPrefix(field[len(root):], ".")
	if _, leaf, found := strings.Cut(rest, "."); found {
		return root, leaf
	}
	return root, "" // a whole element, or the field itself
}

// members are the fields of an object that is not one value by its form; nil for anything else.
func members(v jsontext.Value) map[string]jsontext.Value {
	var m map[string]jsontext.Value
	if v.Kind() != '{' || string(v) == journal.ErasedJSON || journal.ValueWords("", v) != "" || json.Unmarshal(v, &m) != nil {
		return nil
	}
	return m
}

func empty(v jsontext.Value) bool {
	switch string(v) {
	case "", "null", `""`, "[]", "{}":
		return true
	}
	return false
}

// nothing says whether a value is empty, or counts or permits nothing.
func nothing(v jsontext.Value) bool { return empty(v) || string(v) == "0" || string(v) == "false" }

// internal says whether a field serves the program alone. Those of a thing that was just made are when it was made, which the entry says.
func (d *deltas) internal(root, leaf string) bool {
	if leaf == "" {
		return slices.Contains(internalFields, root) || root == "created_at" && d.first
	}
	return slices.Contains(internalFields, root+"."+leaf) || slices.Contains(internalLeaves, leaf)
}

var (
	internalFields = []string{"id", "email_changed_at", "position", "extra", "earlier", "extra_orders", "gateway_data", "gateway_reference", "recovery.retry_days", "recovery.silent_days",
		"items.product_id", "items.variant_id", "expiry_told", "recovery.order_id", "attempts.code", "attempts.hard", "deliveries.number", "repayments.number"}
	internalLeaves = []string{"id", "key", "gateway_id", "attempt_id"}
)

// name is a field in words; of a field in a part, the part and the field: "Item, quantity".
func (d *deltas) name(root, leaf string) string {
	if leaf == "" {
		return cmp.Or(lists[root], journal.FieldName(root))
	}
	if n := partFields[root+"."+leaf]; n != "" {
		return n
	}
	return cmp.Or(parts[root], journal.FieldName(root)) + ", " + lowerFirst(journal.FieldName(leaf))
}

// lists are lists that are not called by their field's name, where the whole of an element changes.
var lists = map[string]string{"items": "Item", "repayments": "Refund", "attempts": "Payment", "passkeys": "Passkey"}

// parts says what an element of a list is called.
var parts = map[string]string{
	"items": "Item", "attempts": "Payment", "recovery": "Recovery", "disputes": "Dispute", "repayments": "Refund", "discounts": "Discount",
	"gifts": "Gift", "deliveries": "Delivery", "differences": "Difference", "texts": "Text", "passkeys": "Passkey", "audience": "Who is asked",
}

// partFields are fields of parts with names of their own.
var partFields = map[string]string{
	"items.title": "Item", "items.quantity": "Quantity", "items.unit_price": "Price", "items.one_time": "Once", "attempts.payment_method_id": "Payment, method",
	"recovery.code": "Recovery, last failure", "recovery.attempts": "Recovery, payments tried", "recovery.entered_on": "Recovery, since", "recovery.ends_on": "Recovery, ends",
}

// value is one side of a row.
func (d *deltas) value(root, leaf string, v jsontext.Value) Value {
	field := root
	if leaf != "" {
		field = leaf
	}
	var at journal.Time
	switch {
	case empty(v):
		return Value{None: true}
	case field == "id":
		return Value{Lines: []string{stringOf(v)}}
	case string(v) == journal.ErasedJSON:
		return Value{Erased: true}
	case string(v) == `"`+Mask+`"`:
		return Value{Hidden: true}
	case v.Kind() == '"' && at.UnmarshalJSON(v) == nil:
		return Value{At: at.Time}
	}
	if ref, ok := refOf(stringOf(v)); ok {
		return d.r.inFull(ref, d.seq)
	}
	w := words{r: d.r, seq: d.seq, kind: d.kind, root: root, unit: d.unit}
	lines := w.lines(field, v)
	return Value{Lines: lines, None: len(lines) == 0}
}

// unit is what a discount's or a price step's number counts: per cent, or money of the shop.
func (d *deltas) unit() string {
	for _, c := range d.all {
		if c.Field == "kind" && !empty(c.After) {
			return stringOf(c.After)
		}
	}
	return catalog.KindPercentage
}

// learnThings looks up things and what they were called at the entries that name them.
func (r *Renderer) learnThings(events []store.Stored, things []thingAt) error {
	if len(events) == 0 && len(things) == 0 {
		return nil
	}
	also := make([]journal.Ref, len(things))
	for i, t := range things {
		also[i] = journal.Ref{Kind: journal.Kind(t.kind), ID: id.ID(t.id)}
	}
	if err := r.lookUp(events, also...); err != nil {
		return err
	}
	return r.lookBack(events, things...)
}

// inFull is a thing as it was at an entry: an address in full, anything else by its name.
func (r *Renderer) inFull(ref journal.Ref, seq int64) Value {
	p := party{string(ref.Kind), string(ref.ID)}
	if h := r.pasts[p]; h != nil {
		if a, ok := h.stateAt(seq).(*customer.Address); ok {
			switch {
			case erased(a):
				return Value{Erased: true, Thing: ref}
			case !r.personal:
				return Value{Hidden: true, Thing: ref}
			}
			return Value{Thing: ref, Lines: parcel(a.FirstName.Value, a.LastName.Value, a.Company.Value, a.Line1.Value, a.Line2.Value, a.PostalCode.Value, a.City.Value,
				a.Region.Value, a.Country, a.Phone.Value)}
		}
	}
	name := r.party(p, seq).Display
	if name == Mask {
		return Value{Hidden: true, Thing: ref}
	}
	return Value{Lines: []string{name}, Thing: ref}
}

// Detail is a detail of an entry as people read it.
func (r *Renderer) Detail(e Event, d journal.Detail) Value {
	at := deltas{r: r, seq: e.Seq}
	return at.value(d.Name, "", d.Value)
}

func stringOf(v jsontext.Value) string {
	var s string
	if v.Kind() == '"' && json.Unmarshal(v, &s) == nil {
		return s
	}
	return ""
}
