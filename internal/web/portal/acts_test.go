package portal

import (
	"strings"
	"testing"

	"perennial/internal/act"
	"perennial/internal/journal"
	"perennial/internal/subscription"
)

// TestEveryActHasItsForm wants every field of every act on its form, and a date that cannot be read to be named.
func TestEveryActHasItsForm(t *testing.T) {
	w := newWorld(t)
	v := w.signIn("ada@example.com")
	at := "/portal/subscriptions/" + string(w.hers) + "/"
	ready := map[string]journal.Command{
		"unskip":     journal.Bind(subscription.Skip{ID: w.hers}),
		"resume":     journal.Bind(subscription.Pause{ID: w.hers}),
		"reactivate": journal.Bind(subscription.Cancel{ID: w.hers}),
	}
	for _, a := range act.All() {
		if cmd := ready[a.Name]; cmd != nil {
			w.Do(cmd)
		}
		page := v.get(at + a.Name)
		w.want(page, 200, at+a.Name)
		for _, f := range a.Fields {
			if !strings.Contains(page.body, `name="`+f.Name+`"`) {
				t.Errorf("the form of %s lacks %s", a.Name, f.Name)
			}
		}
		if day := a.Day(); day != "" {
			again := v.post(at+a.Name, day, "tomorrow")
			w.want(again, 422, at+a.Name, `id="`+day+`-problem"`, "Choose a day.")
		}
		if a.Name == "resume" {
			w.Do(journal.Bind(subscription.Resume{ID: w.hers}))
		}
	}
}
