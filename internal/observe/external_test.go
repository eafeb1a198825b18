package observe_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/journal/journaltest"
	"perennial/internal/observe"
	"perennial/internal/subscription"
)

var now = time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC)

const (
	ada  id.ID = "cus_00000000000000000000000ada"
	gone id.ID = "cus_0000000000000000000000gone"
	sub  id.ID = "sub_00000000000000000000000000"
	ord  id.ID = "ord_00000000000000000000000000"
	prod id.ID = "prod_00000000000000000000000000"
)

func newWorld() *journaltest.World {
	w := journaltest.NewWorld("shop_00000000")
	for _, s := range []journal.State{
		&customer.Customer{ID: ada, Status: customer.Active}, &customer.Customer{ID: gone, Status: customer.Redacted},
		&subscription.Subscription{ID: sub, CustomerID: ada}, &billing.Order{ID: ord, SubscriptionID: sub, CustomerID: ada}, &catalog.Product{ID: prod},
	} {
		w.States[s.Ref()] = s
	}
	return w
}

func record() observe.External { return observe.External{Source: "help-desk", Type: "external.ticket"} }

func targets(ids ...id.ID) []journal.Ref {
	var out []journal.Ref
	for _, key := range ids {
		kind := map[string]journal.Kind{id.Customer: journal.Customer, id.Subscription: journal.Subscription, id.Order: journal.Order, id.Product: journal.Product}
		out = append(out, journal.Ref{Kind: kind[key.Prefix()], ID: key})
	}
	return out
}

func TestRecord(t *testing.T) {
	for name, tc := range map[string]struct {
		about, named []id.ID // what it is about, and what it mentions then
		person       id.ID
	}{
		"nothing":                       {nil, nil, ""},
		"a product":                     {[]id.ID{prod}, []id.ID{prod}, ""},
		"a customer":                    {[]id.ID{ada}, []id.ID{ada}, ada},
		"a subscription names its own":  {[]id.ID{sub}, []id.ID{sub, ada}, ada},
		"an order names both":           {[]id.ID{ord}, []id.ID{ord, sub, ada}, ada},
		"a product, then a person's":    {[]id.ID{prod, sub}, []id.ID{prod, sub, ada}, ada},
		"the same thing more than once": {[]id.ID{ada, ada, sub}, []id.ID{ada, sub}, ada},
	} {
		t.Run(name, func(t *testing.T) {
			c := record()
			c.Targets, c.Details, c.OccurredAt = targets(tc.about...), jsontext.Value(`{"n":1}`), now.Add(-time.Hour)
			_, events, err := newWorld().Run(journal.Bind(c), now)
			if err != nil || len(events) != 1 {
				t.Fatalf("got %d events, %v", len(events), err)
			}
			e := events[0]
			want := append(targets(), journal.Ref{Kind: journal.Source, ID: "help-desk"})
			if diff := cmp.Diff(append(want, targets(tc.named...)...), e.Targets); diff != "" {
				t.Errorf("targets (-want +got):\n%s", diff)
			}
			if e.Person != tc.person || e.Type != "external.ticket" || !e.OccurredAt.Equal(now.Add(-time.Hour)) || len(e.Changes) != 0 {
				t.Errorf("got %+v", e)
			}
			for _, d := range e.Details {
				if d.Personal != (d.Name == "details") {
					t.Errorf("the detail %s is personal: %v", d.Name, d.Personal)
				}
			}
		})
	}
}

func TestRecordRefuses(t *testing.T) {
	for pointer, change := range map[string]func(*observe.External){
		"/type":            func(c *observe.External) { c.Type = "subscription.paused" },
		"/source":          func(c *observe.External) { c.Source = "-x" },
		"/occurred_at":     func(c *observe.External) { c.OccurredAt = now.Add(24*time.Hour + time.Microsecond) },
		"/summary":         func(c *observe.External) { c.Summary = "two\nlines" },
		"/idempotency_key": func(c *observe.External) { c.IdempotencyKey = strings.Repeat("x", 256) },
		"/details":         func(c *observe.External) { c.Details = jsontext.Value(`[]`) },
		"/targets":         func(c *observe.External) { c.Targets = make([]journal.Ref, observe.MaxTargets+1) },
		"/targets/1":       func(c *observe.External) { c.Targets = targets(ada, "cus_00000000000000000000000bob") },
		"/targets/0":       func(c *observe.External) { c.Targets = targets(gone) },
	} {
		c := record()
		change(&c)
		_, _, err := newWorld().Run(journal.Bind(c), now)
		f := fault.As(err)
		if f == nil || f.Kind != fault.Refused || len(f.Fields) != 1 || f.Fields[0].Pointer != pointer {
			t.Errorf("%s: got %v", pointer, err)
		}
	}
	// All that is wrong is said at once.
	_, _, err := newWorld().Run(journal.Bind(observe.External{Summary: "\x00", Targets: targets(gone)}), now)
	if f := fault.As(err); f == nil || len(f.Fields) != 4 {
		t.Errorf("got %v", err)
	}
}

func TestNumbersThatCannotBeKept(t *testing.T) {
	for number, kept := range map[string]bool{
		"0": true, "-1": true, "9007199254740991": true, "-9007199254740991": true, "0.1": true, "1e300": true, "1.5E2": true,
		"9007199254740992": false, "-9007199254740993": false, "123456789012345678901234567890": false, "1e400": false,
	} {
		c := record()
		c.Details = jsontext.Value(`{"a":[` + number + `]}`)
		if _, _, err := newWorld().Run(journal.Bind(c), now); (err == nil) != kept {
			t.Errorf("%s: got %v", number, err)
		}
	}
}

func TestTarget(t *testing.T) {
	for key, want := range map[string]journal.Kind{string(ada): journal.Customer, string(prod): journal.Product, "cus_1": "", "addr_00000000000000000000000000": "", "": "", "help-desk": ""} {
		if got, ok := observe.ExternalTarget(key); got.Kind != want || ok != (want != "") {
			t.Errorf("Target(%q) = %v, %v", key, got, ok)
		}
	}
}
