package dashboard

import (
	"context"
	"strings"
	"testing"

	"perennial/internal/audit"
	"perennial/internal/auth"
	"perennial/internal/journal"
	"perennial/internal/observe"
)

func TestVerifyNow(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	derived := false
	w.d.Check = func(ctx context.Context, progress audit.Progress) (*audit.Report, error) {
		return audit.Check(ctx, w.Store, audit.Options{Progress: progress, Derived: []audit.Derived{{Name: "it", Compare: func(context.Context, bool, func(audit.Problem)) (string, string, error) {
			derived = true
			return "it", "", nil
		}}}})
	}
	w.want(b.get("/integrity"), 200, "/integrity", "Never checked from here")
	from := w.next()
	w.want(b.post("/integrity/verify"), 200, "/integrity", "Integrity")
	w.d.work.Wait()
	w.made(from, "log.verified")
	e := w.entries(from)[0]
	if string(e.Detail("result")) != `"holds"` || !derived || string(e.Detail("derived")) != "true" || e.Actor.ID != string(w.memberID("olga@example.com")) {
		t.Errorf("the entry: %+v", e)
	}
	w.want(b.get("/integrity"), 200, "/integrity", "Everything holds.")
	// A server that starts anew knows it from the entry.
	w.d.verified = verification{}
	s := w.want(b.get("/integrity"), 200, "/integrity", "Everything holds.")
	if !strings.Contains(s.body, "for Olga; 0 entries since") || !strings.Contains(s.body, "/events/"+string(e.ID)) {
		t.Errorf("the page:\n%s", s.body)
	}
	w.want(b.get("/activity"), 200, "/activity", "everything holds")
}

// What was begun is on record, also when the server stops before it is over.
func TestAVerificationThatIsCutShort(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	w.d.end()
	from := w.next()
	b.post("/integrity/verify")
	w.d.work.Wait()
	w.made(from, "log.verified")
	w.want(b.get("/integrity"), 200, "/integrity", "The last check could not be finished")
}

// The start page tells of the last check that came to an end, whoever made it: one that could not be finished takes nothing back. Each page is
// held against htmlcheck, as all of them are.
func TestHomeTellsWhatTheLastCheckFound(t *testing.T) {
	const words = "The journal and the database do not agree"
	w, b, _ := owned(t, auth.ProviderConfig{})
	checked := func(v observe.Verification) seen {
		w.Do(journal.Bind(v))
		return w.want(b.get("/"), 200, "/", "Home")
	}
	if s := checked(observe.Verification{Result: observe.Holds}); strings.Contains(s.body, words) {
		t.Error("everything holds, and the page warns")
	}
	differs := observe.Verification{Result: observe.Differs, Differences: 3, Problem: observe.Problem{Seq: 7, ID: "sub_x", Field: "status"}}
	for _, v := range []observe.Verification{differs, {Result: observe.Unfinished}} {
		if s := checked(v); !strings.Contains(s.body, words) || !strings.Contains(s.body, "found 3 differences") {
			t.Errorf("after %s: the page says nothing:\n%s", v.Result, s.body)
		}
	}
	if s := checked(observe.Verification{Result: observe.Holds}); !strings.Contains(s.body, words) {
		t.Error("a check that looked at less takes the warning back")
	}
	if s := checked(observe.Verification{Result: observe.Holds, Derived: true}); strings.Contains(s.body, words) {
		t.Error("everything holds again, and the page warns")
	}
}
