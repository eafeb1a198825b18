package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/team"
)

// What goes on for long asks for permissions again while it does.

func (s *shop) allow(token string, list ...team.Permission) {
	s.t.Helper()
	s.run(journal.Bind(team.UpdateKey{ID: id.ID(token[:strings.LastIndexByte(token, '_')]), Permissions: &list, Actor: system.Actor}))
}

func TestAStreamMasksWhatItsKeyMayNotSeeAnyMore(t *testing.T) {
	s := openShop(t)
	token := s.key(team.EventsView, team.PersonalDataView)
	f := s.with(token).follow("?type=customer.*")
	defer f.close()
	s.customer("ada@example.com")
	if m := f.next(); !strings.Contains(m["data"], "ada@example.com") {
		t.Fatalf("a key that may see it sees %v", m)
	}
	s.allow(token, team.EventsView)
	s.customer("ben@example.com")
	if m := f.next(); m == nil || strings.Contains(m["data"], "ben@example.com") || strings.Contains(m["data"], "Lovelace") {
		t.Errorf("a key that may not see it any more sees %v", m)
	}
	s.allow(token, team.PersonalDataView)
	s.customer("cleo@example.com")
	if m := f.next(); m != nil {
		t.Errorf("a key that may not follow any more sees %v", m)
	}
}

// watched is a client that does something when it first gets a piece of an answer.
type watched struct {
	*httptest.ResponseRecorder
	first func()
}

func (w *watched) Flush() {
	if w.first != nil {
		w.first()
		w.first = nil
	}
}

func TestADownloadAsksAgain(t *testing.T) {
	s := openShop(t)
	for n := range 450 {
		s.customer(fmt.Sprintf("c%d@example.com", n))
	}
	for name, tt := range map[string]struct {
		left  []team.Permission
		ended bool
	}{
		"personal values": {[]team.Permission{team.EventsView, team.ExportsEdit}, false},
		"the download":    {[]team.Permission{team.EventsView, team.PersonalDataView}, true},
		"the log":         {[]team.Permission{team.ExportsEdit, team.PersonalDataView}, true},
	} {
		token := s.key(team.EventsView, team.ExportsEdit, team.PersonalDataView)
		w := &watched{httptest.NewRecorder(), func() { s.allow(token, tt.left...) }}
		r := s.with(token).request("GET", "/events?type=customer.*&format=ndjson&order=asc", nil)
		ended := func() (ended bool) {
			defer func() { ended = recover() == http.ErrAbortHandler }()
			s.all.ServeHTTP(w, r)
			return false
		}()
		lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
		if ended != tt.ended || ended && len(lines) != 200 || !ended && len(lines) != 450 {
			t.Errorf("without %s: %d lines, ended %v", name, len(lines), ended)
		}
		for n, l := range lines {
			if strings.Contains(l, "@example.com") != (n < 200) {
				t.Fatalf("without %s, line %d: %s", name, n, l)
			}
		}
	}
}

// TestStreamsTellWhereTheyAre is about clients that are cut off before their first message: they come back with the id that they were told.
func TestStreamsTellWhereTheyAre(t *testing.T) {
	s := openShop(t)
	s.api.Beat = time.Millisecond
	head := s.Program.Head()
	f := s.follow("?type=product.*")
	var ids []string
	block := ""
	for f.body.Scan() {
		// The standard lets an id move a client on without data, but not every client does.
		if block += f.body.Text() + "\n"; f.body.Text() == "" {
			if strings.Contains(block, "id: ") && !strings.Contains(block, "\nevent: heartbeat\ndata: {\"seq\":"+ids[len(ids)-1]+"}\n") {
				t.Errorf("a heartbeat reads %q", block)
			}
			block = ""
		}
		if at, ok := strings.CutPrefix(f.body.Text(), "id: "); ok {
			if ids = append(ids, at); len(ids) == 1 {
				s.customer("ada@example.com") // not for this stream, which looks at it all the same
			}
			if n, err := strconv.ParseInt(at, 10, 64); err == nil && n > head {
				break
			}
		}
	}
	if ids[0] != fmt.Sprint(head) {
		t.Errorf("the stream began with the id %s, want %d", ids[0], head)
	}
	f.close()
	s.product("Made meanwhile")
	f = s.follow("?type=product.*&unnamed=true", "Last-Event-ID: "+ids[len(ids)-1])
	defer f.close()
	m := f.next()
	if _, named := m["event"]; named || !strings.Contains(m["data"], "Made meanwhile") {
		t.Errorf("message: %v", m)
	}
}

func TestStreamsAreCounted(t *testing.T) {
	s := openShop(t)
	var open []*follower
	for range 16 {
		open = append(open, s.follow("?type=product.*"))
	}
	if got := s.api.Streams(); got != 16 {
		t.Errorf("%d streams are open", got)
	}
	a := s.do("GET", "/events/stream?type=product.*", nil).refused(429, "too_many_streams")
	if a.Header.Get("Retry-After") == "" {
		t.Error("nothing says when to come again")
	}
	s.with(s.key(team.EventsView)).follow("").close() // another key has its own
	for _, f := range open {
		f.close()
	}
	s.run(journal.Bind(catalog.CreateProduct{ID: s.IDs.New(id.Product), Title: "Tea"})) // wakes them, and they find nobody
	for s.api.Streams() > 0 {
		s.product("Tea")
	}
	s.follow("").close()
}
