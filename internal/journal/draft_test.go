package journal_test

import (
	"strings"
	"testing"

	"perennial/internal/catalog"
	"perennial/internal/customer"
	"perennial/internal/journal"
)

// A draft that the catalogue does not allow makes no event, whether it changes a row or only observes.
func TestDraftsAreHeldAgainstTheCatalogue(t *testing.T) {
	ref := func(k journal.Kind) journal.Ref { return journal.Ref{Kind: k, ID: "x_1"} }
	product := &catalog.Product{ID: "prod_1", Title: "Tea"}
	renamed := journal.Clone(product)
	renamed.Title = "Green tea"
	for name, c := range map[string]struct {
		d    journal.Draft
		want string // in the error; empty: it is fine
	}{
		"a change":                       {journal.Draft{Type: "product.updated", Before: product, After: renamed}, ""},
		"an observation":                 {journal.Draft{Type: "customer.data_requested", Target: ref(journal.Request), Mentions: []journal.Ref{ref(journal.Customer)}}, ""},
		"an unknown type":                {journal.Draft{Type: "product.eaten", Before: product, After: renamed}, "not in the catalogue"},
		"a change of another kind":       {journal.Draft{Type: "customer.profile_updated", Before: product, After: renamed}, "is about a customer"},
		"an observation of another kind": {journal.Draft{Type: "customer.data_requested", Target: ref(journal.Customer)}, "is about a request"},
		"an observation of nothing":      {journal.Draft{Type: "customer.data_requested"}, "is about a request"},
		"a mention that is not foreseen": {journal.Draft{Type: "product.updated", Before: product, After: renamed, Mentions: []journal.Ref{ref(journal.Customer)}}, "mentions no customer"},
		"the same, observed":             {journal.Draft{Type: "customer.data_requested", Target: ref(journal.Request), Mentions: []journal.Ref{ref(journal.Order)}}, "mentions no order"},
		"a field of another type":        {journal.Draft{Type: "product.archived", Before: product, After: renamed}, "may not change title"},
		"a detail that is not foreseen": {journal.Draft{Type: "product.updated", Before: product, After: renamed, Details: struct {
			Taste string `json:"taste"`
		}{"good"}}, "has no detail"},
		"a mention of nobody is left out": {journal.Draft{Type: "product.updated", Before: product, After: renamed, Mentions: []journal.Ref{{Kind: journal.Customer}}}, ""},
	} {
		e, err := c.d.Event()
		if c.want == "" && (err != nil || e.Target().ID == "") || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// When the key of a person is gone, what a personal field was before is told as erased: nothing could seal it.
func TestADraftWithoutAKey(t *testing.T) {
	before := &customer.Customer{ID: "cus_1", Email: journal.Secluded("ada@example.org"), Locale: "en", Status: customer.Active}
	after := journal.Clone(before)
	journal.Erase(after)
	after.Status = customer.Redacted
	e, err := journal.Draft{Type: "customer.redacted", Before: before, After: after, KeyGone: true}.Event()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range e.Changes {
		if want := map[string]string{"status": `"active"`}[c.Field]; c.Personal && string(c.Before) != journal.ErasedJSON || !c.Personal && string(c.Before) != want {
			t.Errorf("%s was %s", c.Field, c.Before)
		}
	}
	if len(e.Changes) < 3 {
		t.Errorf("changes: %v", e.Changes)
	}
}
