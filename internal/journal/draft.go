package journal

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/fault"
	"perennial/internal/id"
)

// State is a row of a state table, as the domain sees it: a struct with JSON tags whose top-level fields are the
// fields of changes. A field of type Personal is sealed. A list whose elements have an identity is tagged
// `journal:"key=id"` (the JSON name of the element's key) and changes element by element; such a list is always sorted
// by its key. States are values: whoever wants to change one clones it first.
type State interface {
	// Ref names the row.
	Ref() Ref
	// Person is whose key seals the personal fields (a customer's or team member's id), empty where there are none.
	Person() id.ID
}

// Draft is an event that has no place in the journal yet. It changes one row: from Before (nil for a new one) to
// After. An observation has neither, and names its Target itself.
type Draft struct {
	Type     Name
	Target   Ref   // only for observations; otherwise After's
	Mentions []Ref // further targets, in order; duplicates of the target or of each other are dropped
	Before   State
	After    State
	Details  any // a struct with JSON tags; Personal fields are sealed; zero fields with omitzero are left out
	Person   id.ID
	Corrects id.ID
	// CausedBy is the id of the event that caused this one, when it is known.
	CausedBy id.ID
	// After the draft at this position of the same decision, counted from 1; 0 for none.
	CausedByDraft int
	// OccurredAt is when it happened as its source says; zero means when it is recorded.
	OccurredAt time.Time
	// Secrets that this event sets for its target.
	Secrets []Secret
	// KeyGone says that the person's key was destroyed already, so that nothing can seal what a personal field was before: it is
	// told as erased.
	KeyGone bool
}

// Secret is a value that never enters an event: the event carries a salted commitment, the secret table the value.
type Secret struct {
	Name  string // "password", "api_key", …
	Value []byte // already hashed where the secret is one to be compared (a password hash, an API-key hash)
	Seal  bool   // it is stored sealed under a key of the keys folder, as it has to be read again
}

// Reservation holds a name for one owner: an e-mail address, a discount code. Values are kept as an HMAC.
type Reservation struct {
	Scope   string // "customer_email", "discount_code", …
	Value   string // normalised
	Owner   id.ID
	Release bool // gives the name back instead
}

// Decision is what a command comes to: drafts in order, all or nothing.
type Decision struct {
	Drafts       []Draft
	Reservations []Reservation
	Created      []id.ID // ids of other things that an action made, for the answer
	Result       Ref     // the thing the answer shows
}

// Reader gives a command the states that it says it needs, as they are under the head: what earlier commands of the
// same batch made included.
type Reader interface {
	// State gives the row, or false. The state must not be modified.
	State(ref Ref) (State, bool, error)
	// Where lists the ids of the rows of a kind whose column has the value, in order of id. Columns are those that
	// the kind's table has.
	Where(kind Kind, column, value string) ([]id.ID, error)
	// Reserved gives the owner of a reserved name, or false.
	Reserved(scope, value string) (id.ID, bool, error)
	// Event gives an entry of the journal by its id, opened, with Later: the entries of the same primary target that
	// came after it, oldest first.
	Event(id id.ID) (e *Event, later []*Event, err error)
}

// Decider is a command of the domain: what it needs, and the rule. Decide is pure: no clock, no chance, no I/O.
type Decider[W any] interface {
	// Load says which states the rule needs, and gives them as the closed struct W.
	Load(r Reader) (W, error)
	// Decide gives the events, or refuses with a fault that a person understands. A change that changes nothing is a
	// Decision without drafts.
	Decide(world W, now time.Time) (Decision, error)
}

// Command is a Decider with its world out of sight, as program runs it.
type Command interface {
	Run(r Reader, now time.Time) (Decision, error)
}

type bound[W any] struct{ d Decider[W] }

func (b bound[W]) Run(r Reader, now time.Time) (Decision, error) {
	w, err := b.d.Load(r)
	if err != nil {
		return Decision{}, err
	}
	return b.d.Decide(w, now)
}

// AppendDrafts appends the drafts of a decision that is part of a larger one. What they say of the drafts that caused them counts from
// their own beginning; those without a cause are caused by the one at position cause of the whole, from 1 (0: by none).
func AppendDrafts(drafts []Draft, cause int, more ...Draft) []Draft {
	before := len(drafts)
	for _, d := range more {
		switch {
		case d.CausedByDraft > 0:
			d.CausedByDraft += before
		case d.CausedBy == "":
			d.CausedByDraft = cause
		}
		drafts = append(drafts, d)
	}
	return drafts
}

// Bind makes a Command of a Decider.
func Bind[W any](d Decider[W]) Command { return bound[W]{d} }

// Get loads one state that must be there: an unknown id is a NotFound fault with code "unknown_<kind>".
func Get[T any, P interface {
	*T
	State
}](r Reader, kind Kind, key id.ID) (P, error) {
	s, err := Find[T, P](r, kind, key)
	if err == nil && s == nil {
		return nil, fault.New(fault.NotFound, "unknown_"+string(kind), "There is no %s {id} in this shop.", kind.Words()).With("id", key)
	}
	return s, err
}

// Where loads the states of a kind that have a value in an indexed column, in order of id.
func Where[T any, P interface {
	*T
	State
}](r Reader, kind Kind, column, value string) ([]P, error) {
	ids, err := r.Where(kind, column, value)
	if err != nil {
		return nil, err
	}
	rows := make([]P, 0, len(ids))
	for _, key := range ids {
		row, err := Get[T, P](r, kind, key)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// Find loads one state that may be missing: nil then.
func Find[T any, P interface {
	*T
	State
}](r Reader, kind Kind, key id.ID) (P, error) {
	if key == "" {
		return nil, nil
	}
	s, ok, err := r.State(Ref{kind, key})
	if err != nil || !ok {
		return nil, err
	}
	return s.(P), nil
}

// Words is the kind as people write it: "payment method".
func (k Kind) Words() string {
	b := []byte(k)
	for i, c := range b {
		if c == '_' {
			b[i] = ' '
		}
	}
	return string(b)
}

// Event gives the draft as an event without a place: type, targets, changes and details are set, and checked against
// the catalogue.
func (d Draft) Event() (*Event, error) {
	t, ok := Lookup(d.Type)
	if !ok {
		return nil, fmt.Errorf("journal: type %q is not in the catalogue", d.Type)
	}
	e := &Event{Type: d.Type, TypeVersion: t.Version, Corrects: d.Corrects, CausationID: d.CausedBy, Person: d.Person, TargetPrevSeq: NoPrev}
	target := d.Target
	if d.After != nil {
		target = d.After.Ref()
		e.Person = d.After.Person()
		changes, err := Diff(d.Before, d.After)
		if err != nil {
			return nil, err
		}
		e.Changes = changes
	}
	for i := range e.Changes {
		if c := &e.Changes[i]; d.KeyGone && c.Personal && c.Before != nil {
			c.Before = jsontext.Value(ErasedJSON)
		}
	}
	if target.Kind != t.Target {
		return nil, fmt.Errorf("journal: %s is about a %s, not a %s", d.Type, t.Target, target.Kind)
	}
	e.Targets = append(e.Targets, target)
	for _, m := range d.Mentions {
		if m.ID != "" && !slices.Contains(e.Targets, m) {
			if !slices.Contains(t.Mentions, m.Kind) {
				return nil, fmt.Errorf("journal: %s mentions no %s", d.Type, m.Kind)
			}
			e.Targets = append(e.Targets, m)
		}
	}
	for _, c := range e.Changes {
		if root := c.Root(); !slices.Contains(t.Fields, All) && !slices.Contains(t.Fields, root) {
			return nil, fmt.Errorf("journal: %s may not change %s", d.Type, root)
		}
	}
	details, err := MakeDetails(d.Details)
	if err != nil {
		return nil, err
	}
	for _, m := range details {
		if !slices.Contains(t.Details, m.Name) {
			return nil, fmt.Errorf("journal: %s has no detail %s", d.Type, m.Name)
		}
	}
	e.Details = details
	if !d.OccurredAt.IsZero() {
		e.OccurredAt = Truncate(d.OccurredAt)
	}
	return e, nil
}
