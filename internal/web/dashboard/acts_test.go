package dashboard

import (
	"strings"
	"testing"

	"perennial/internal/act"
	"perennial/internal/auth"
	"perennial/internal/journal"
	"perennial/internal/subscription"
)

// TestEveryActHasItsForm wants every field of every act on its form, and a date that cannot be read to be named.
func TestEveryActHasItsForm(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	f := furnish(w)
	at := "/subscriptions/" + string(f.sub) + "/"
	ready := map[string]journal.Command{
		"unskip":     journal.Bind(subscription.Skip{ID: f.sub}),
		"resume":     journal.Bind(subscription.Pause{ID: f.sub}),
		"reactivate": journal.Bind(subscription.Cancel{ID: f.sub}),
	}
	for _, a := range act.All() {
		if cmd := ready[a.Name]; cmd != nil {
			w.Do(cmd)
		}
		page := w.want(b.get(at+a.Name), 200, at+a.Name, a.Words.Title)
		for _, field := range a.Fields {
			if !strings.Contains(page.body, `name="`+field.Name+`"`) {
				t.Errorf("the form of %s lacks %s", a.Name, field.Name)
			}
		}
		if day := a.Day(); day != "" {
			w.want(b.post(at+a.Name, day, "tomorrow"), 422, at+a.Name, `id="`+day+`-problem"`)
		}
	}
}
