package observe

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/billing"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
)

// Limits of an external event.
const (
	MaxTargets       = 20
	maxSummaryLength = 500 // characters
	maxKeyLength     = 255 // characters
	maxDetailsBytes  = 16 << 10
	maxDetailsDepth  = 30 // levels: the object that holds the details is two more
	maxAhead         = 24 * time.Hour
	maxExact         = 1 << 53 // whole numbers below this are the same in every program that reads JSON
)

var (
	typeForm   = regexp.MustCompile(`^external\.[a-z0-9_.]{1,60}$`)
	sourceForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,59}$`)
)

// ValidExternal says whether a name can be that of an external event.
func ValidExternal(name string) bool { return typeForm.MatchString(name) }

// External is the entry of one event that a source tells of.
type External struct {
	Source         string         // 1 to 60 of A-Z a-z 0-9 . _ : -, the first a letter or a digit
	Type           string         // external.<name>
	OccurredAt     time.Time      // as the source says; the zero Time: when it is recorded
	Targets        []journal.Ref  // what it is about, at most MaxTargets
	Summary        string         // one line of at most 500 characters, without personal values
	Details        jsontext.Value // nil, or a JSON object of at most 16 KiB
	IdempotencyKey string         // of the source; at most 255 characters
}

// details are the members of the event's details.
type externalDetails struct {
	Details        journal.Personal[jsontext.Value] `json:"details,omitzero"`
	IdempotencyKey string                           `json:"idempotency_key,omitzero"`
	Source         string                           `json:"source"`
	Summary        string                           `json:"summary,omitzero"`
}

// kinds are what an external event can be about, by the prefix of the id.
var externalKinds = map[string]journal.Kind{
	id.Customer:     journal.Customer,
	id.Subscription: journal.Subscription,
	id.Order:        journal.Order,
	id.Product:      journal.Product,
	id.Variant:      journal.Variant,
}

// ExternalTarget gives an id as the target that it names; false when it is not the id of a customer, subscription, order,
// product or variant.
func ExternalTarget(key string) (journal.Ref, bool) {
	kind, ok := externalKinds[id.ID(key).Prefix()]
	if !ok || !id.Valid(key) {
		return journal.Ref{}, false
	}
	return journal.Ref{Kind: kind, ID: id.ID(key)}, true
}

// externalWorld is what the rule may see: the states of the targets, in their order, nil for one that does not exist; and the
// customers that they belong to.
type externalWorld struct {
	Targets   []journal.State
	Customers map[id.ID]*customer.Customer
}

func (c External) Load(r journal.Reader) (externalWorld, error) {
	w := externalWorld{Customers: map[id.ID]*customer.Customer{}}
	if len(c.Targets) > MaxTargets {
		return w, nil // Decide refuses
	}
	for _, ref := range c.Targets {
		s, ok, err := r.State(ref)
		if err != nil {
			return w, err
		}
		if !ok {
			s = nil
		}
		w.Targets = append(w.Targets, s)
		if s == nil || s.Person() == "" || w.Customers[s.Person()] != nil {
			continue
		}
		if w.Customers[s.Person()], err = journal.Find[customer.Customer](r, journal.Customer, s.Person()); err != nil {
			return w, err
		}
	}
	return w, nil
}

// Decide refuses wrong fields, targets that do not exist in this shop, and targets of customers who were erased: there
// is no key any more that could seal what is told about them.
func (c External) Decide(w externalWorld, now time.Time) (journal.Decision, error) {
	var f fault.Fields
	c.check(&f, now)
	var mentions []journal.Ref
	var person id.ID
	for i, s := range w.Targets {
		at := fault.Pointer("targets", i)
		if s == nil {
			f.Add(at, "unknown_target", "There is no {kind} {id} in this shop.", "kind", c.Targets[i].Kind.Words(), "id", c.Targets[i].ID)
			continue
		}
		mentions = append(mentions, c.Targets[i])
		if owner := w.Customers[s.Person()]; owner != nil && owner.Status == customer.Redacted {
			f.Add(at, "erased", "The data of the customer behind it was erased.")
		}
		if person == "" {
			person = s.Person()
		}
	}
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	for _, s := range w.Targets {
		if o, ok := s.(*billing.Order); ok {
			mentions = append(mentions, journal.Ref{Kind: journal.Subscription, ID: o.SubscriptionID})
		}
		if key := s.Person(); key != "" {
			mentions = append(mentions, journal.Ref{Kind: journal.Customer, ID: key})
		}
	}
	target := journal.Ref{Kind: journal.Source, ID: id.ID(c.Source)}
	d := externalDetails{Source: c.Source, Summary: c.Summary, IdempotencyKey: c.IdempotencyKey}
	if c.Details != nil {
		d.Details = journal.Secluded(c.Details)
	}
	return journal.Decision{
		Drafts: []journal.Draft{
			{Type: journal.Name(c.Type), Target: target, Mentions: mentions, Details: d, Person: person, OccurredAt: c.OccurredAt},
		},
		Result: target,
	}, nil
}

func (c External) check(f *fault.Fields, now time.Time) {
	if !ValidExternal(c.Type) {
		f.Add("/type", "external_type_invalid",
			"Give a type of the form external.<name>: 1 to 60 of a-z, 0-9, dot and underscore after external.")
	}
	if !sourceForm.MatchString(c.Source) {
		f.Add("/source", "source_invalid", "Name the source with 1 to 60 of A-Z, a-z, 0-9 and . _ : - that begin with a letter or a digit.")
	}
	if c.OccurredAt.After(now.Add(maxAhead)) {
		f.Add("/occurred_at", "too_far_in_future", "This is more than a day in the future.")
	}
	if len(c.Targets) > MaxTargets {
		f.Add("/targets", "too_many", "An event is about at most {most} things.", "most", MaxTargets)
	}
	if why := plain.Text(c.Summary, maxSummaryLength); why != nil {
		f.Refuse("/summary", why)
	}
	if why := plain.Text(c.IdempotencyKey, maxKeyLength); why != nil {
		f.Refuse("/idempotency_key", why)
	}
	if why := checkDetails(c.Details); why != nil {
		f.Refuse("/details", why)
	}
}

// checkDetails gives the reason why details cannot be kept as they are, nothing when they can: the canonical form has
// only numbers that are exact as a double.
func checkDetails(v jsontext.Value) *fault.Reason {
	if v == nil {
		return nil
	}
	if v.Kind() != '{' {
		return fault.Because("object_needed", "Give an object.")
	}
	if len(v) > maxDetailsBytes {
		return fault.Because("too_large", "This is larger than 16 KiB.")
	}
	d := jsontext.NewDecoder(strings.NewReader(string(v)))
	for {
		t, err := d.ReadToken()
		if err != nil {
			return fault.Because("details_invalid", "This is not valid JSON.")
		}
		if d.StackDepth() > maxDetailsDepth {
			return fault.Because("too_deep", "This is nested too deeply.")
		}
		if t.Kind() == '0' && !exact(t.String()) {
			return fault.Because("number_inexact", "A number in it ({value}) cannot be kept exactly: give it as text.", "value", shorten(t.String()))
		}
		if d.StackDepth() == 0 {
			return nil
		}
	}
}

// exact says whether a JSON number keeps its value as a double.
func exact(s string) bool {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return false // beyond what a double holds
	}
	return strings.ContainsAny(s, ".eE") || (n < maxExact && n > -maxExact)
}

func shorten(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
