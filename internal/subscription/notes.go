package subscription

import (
	"maps"
	"slices"
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
)

const (
	maxNote           = 2000
	maxAttributes     = 50
	maxAttributeName  = 40
	maxAttributeValue = 500
)

// ChangeNote sets the note; in every status. Refusal: erased.
type ChangeNote struct {
	ID   id.ID
	Note string // at most 2,000 characters; empty takes it away
}

func (c ChangeNote) Load(r journal.Reader) (World, error) { return withCustomer(r, c.ID) }

func (c ChangeNote) Decide(w World, _ time.Time) (journal.Decision, error) {
	if err := erased(w.Customer); err != nil {
		return journal.Decision{}, err
	}
	var f fault.Fields
	note(&f, c.Note)
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	next := journal.Clone(w.Subscription)
	next.Note = journal.Secluded(c.Note)
	return decide(journal.SubscriptionNoteChanged, w.Subscription, next, nil)
}

// ChangeAttributes sets all attributes: names and values of the shop's own; in every status. Refusal: erased.
type ChangeAttributes struct {
	ID         id.ID
	Attributes map[string]string // at most 50, of at most 40 and 500 characters
}

func (c ChangeAttributes) Load(r journal.Reader) (World, error) { return withCustomer(r, c.ID) }

func (c ChangeAttributes) Decide(w World, _ time.Time) (journal.Decision, error) {
	if err := erased(w.Customer); err != nil {
		return journal.Decision{}, err
	}
	var f fault.Fields
	attributes(&f, c.Attributes)
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	next := journal.Clone(w.Subscription)
	next.Attributes = journal.Secluded(maps.Clone(c.Attributes))
	return decide(journal.SubscriptionAttributesChanged, w.Subscription, next, nil)
}

func note(f *fault.Fields, s string) {
	if why := plain.MultiLine(s, maxNote); why != nil {
		f.Refuse("/note", why)
	}
}

func attributes(f *fault.Fields, m map[string]string) {
	if len(m) > maxAttributes {
		f.Add("/attributes", "too_many", "A subscription has at most {most} attributes.", "most", maxAttributes)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		at := fault.Pointer("attributes", name)
		if name == "" {
			f.Add(at, "required", "An attribute has a name.")
		} else if why := plain.Text(name, maxAttributeName); why != nil {
			f.Refuse(at, why.About("The name"))
		}
		if why := plain.MultiLine(m[name], maxAttributeValue); why != nil {
			f.Refuse(at, why)
		}
	}
}
