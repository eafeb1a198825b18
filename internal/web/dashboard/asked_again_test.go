package dashboard

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"

	"perennial/internal/auth"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/team"
)

// live opens the stream of a log. next gives its next entry, "" when it ended.
func (b *browser) live(path string) (next func() string, close func() error) {
	b.w.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, b.w.http.URL+path, http.NoBody)
	if err != nil {
		b.w.t.Fatal(err)
	}
	req.Header.Set("X-Test-IP", b.ip)
	res, err := b.client.Do(req)
	if err != nil {
		b.w.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		b.w.t.Fatalf("%s: %d", path, res.StatusCode)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	lines.Scan() // retry:
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "id: ") {
		b.w.t.Errorf("%s begins with %q and no id", path, lines.Text())
	}
	return func() string {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return data
			}
		}
		return ""
	}, res.Body.Close
}

func (w *world) newCustomer(email string) {
	w.Do(journal.Bind(customer.Create{ID: w.IDs.New(id.Customer), Email: email, FirstName: "Grace", LastName: "Hopper"}))
}

// A page that follows a log live shows no more than its reader may see now, and nothing once their session ended.
func TestLiveAsksAgain(t *testing.T) {
	w, owner, _ := owned(t, auth.ProviderConfig{})
	ben := w.hire(owner, "ben@example.com", "192.0.2.3", "role", "member")
	benID := w.memberID("ben@example.com")
	grant := func(list ...team.Permission) {
		w.Do(journal.Bind(team.ChangePermissions{ID: benID, Permissions: &list, Actor: journal.Actor{Kind: journal.ActorSystem, ID: "test"}}))
	}
	const path = "/events/live?type=customer.created"
	grant(team.EventsView, team.PersonalDataView)
	next, closed := ben.live(path)
	w.newCustomer("grace@example.com")
	if s := next(); !strings.Contains(s, "Hopper") {
		t.Errorf("who may see it sees %s", s)
	}
	grant(team.EventsView)
	w.newCustomer("grace@example.org")
	if s := next(); s == "" || strings.Contains(s, "Hopper") || strings.Contains(s, "example.org") {
		t.Errorf("who may not see it any more sees %s", s)
	}
	grant(team.PersonalDataView)
	w.newCustomer("grace@example.net")
	if s := next(); s != "" {
		t.Errorf("who may not read it any more sees %s", s)
	}
	_ = closed()

	grant(team.EventsView)
	next, closed = ben.live(path)
	w.want(owner.post("/team/"+string(benID)+"/sessions-end"), 200, "/team/"+string(benID), "signed out")
	w.newCustomer("hopper@example.com")
	if s := next(); s != "" {
		t.Errorf("who was signed out sees %s", s)
	}
	_ = closed()
}

func TestLivePagesAreCounted(t *testing.T) {
	w, owner, _ := owned(t, auth.ProviderConfig{})
	for range 16 {
		_, closed := owner.live("/events/live")
		defer func() { _ = closed() }()
	}
	w.want(owner.get("/events/live"), http.StatusTooManyRequests, "/events/live", "Too many pages follow")
}
