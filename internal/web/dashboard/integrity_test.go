package dashboard

import (
	"strings"
	"testing"

	"perennial/internal/auth"
)

func TestVerifyNow(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	w.want(b.get("/integrity"), 200, "/integrity", "Never checked from here")
	from := w.next()
	w.want(b.post("/integrity/verify"), 200, "/integrity", "Integrity")
	w.d.work.Wait()
	w.made(from, "log.verified")
	e := w.entries(from)[0]
	if string(e.Detail("result")) != `"holds"` || e.Actor.ID != string(w.memberID("olga@example.com")) {
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
