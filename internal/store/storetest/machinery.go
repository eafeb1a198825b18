package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
	"perennial/internal/store"
)

func answers(t *testing.T, e Engine) {
	p := open(t, e)
	ada, hers := p.customer("ada@example.org")
	p.record(hers)
	kept := []store.Answer{
		{CallerKey: []byte("anybody"), RequestHash: []byte("1"), Bytes: []byte("plain")},
		{CallerKey: []byte("hers"), RequestHash: []byte("2"), Person: ada.ID, Bytes: []byte("about ada")},
	}
	p.do(func(b *store.Batch) error { return b.KeepAnswers(kept) })
	ask := func(caller string, fetch bool) (a *store.FirstAnswer) {
		t.Helper()
		p.do(func(b *store.Batch) (err error) {
			if fetch {
				if _, err := b.Fetch(store.Needs{}, [][]byte{[]byte(caller)}); err != nil {
					return err
				}
			}
			a, err = b.FindAnswer([]byte(caller))
			return err
		})
		return a
	}
	for _, fetch := range []bool{false, true} {
		for caller, want := range map[string]*store.FirstAnswer{
			"anybody": {RequestHash: []byte("1"), Answer: []byte("plain")},
			"hers":    {RequestHash: []byte("2"), Answer: []byte("about ada")},
			"nobody":  nil,
		} {
			if diff := cmp.Diff(want, ask(caller, fetch)); diff != "" {
				t.Errorf("%s, asked beforehand %v (-want +got):\n%s", caller, fetch, diff)
			}
		}
	}
	if err := p.batch(func(b *store.Batch) error { return b.KeepAnswers(kept[:1]) }); err == nil {
		t.Error("a caller's key was answered twice")
	}
	p.do(func(b *store.Batch) error {
		if _, err := p.put(b, redacted(ada)); err != nil {
			return err
		}
		return b.DestroyKey(string(ada.ID))
	})
	if a := ask("hers", false); a == nil || !a.Erased || a.Answer != nil {
		t.Errorf("the answer about an erased person is %+v", a)
	}
}

func signIn(t *testing.T, e Engine) {
	p := open(t, e)
	ada, hers := p.customer("ada@example.org")
	p.record(hers)
	session := func(secret string) store.Session {
		x := store.Session{ID: p.ids.New(id.Session), Owner: ada.Ref(), Basis: "basis", ExpiresAt: p.now.Add(time.Hour)}
		p.do(func(b *store.Batch) error {
			if _, err := p.put(b, observed(journal.CustomerLoggedIn, x.ID, nil)); err != nil {
				return err
			}
			return b.PutSession(x, secret)
		})
		return x
	}
	find := func(x store.Session, secret string) (store.Session, bool) {
		t.Helper()
		got, ok, err := p.Session(t.Context(), p.Read, x.ID, secret)
		must(t, err)
		return got, ok
	}
	open := func() (out []id.ID) {
		t.Helper()
		list, err := p.Sessions(t.Context(), p.Read, ada.Ref(), p.now, p.now.Add(-time.Hour))
		must(t, err)
		for _, x := range list {
			out = append(out, x.ID)
		}
		return out
	}
	first, second := session("one"), session("two")
	if got, ok := find(first, "one"); !ok || got.Ended || got.Owner != ada.Ref() || got.Basis != "basis" ||
		!got.ExpiresAt.Equal(first.ExpiresAt) {
		t.Errorf("a session is found as %+v, %v", got, ok)
	}
	if _, ok := find(first, "two"); ok {
		t.Error("a session opens by another's secret")
	}
	if diff := cmp.Diff([]id.ID{second.ID, first.ID}, open()); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
	p.do(func(b *store.Batch) error {
		return errors.Join(b.TouchSession(second.ID), b.RebaseSession(second.ID, "another"), b.EndSessions(first.ID))
	})
	if got, ok := find(second, "two"); !ok || got.Basis != "another" || !got.SeenAt.After(got.CreatedAt) {
		t.Errorf("a session that goes on is %+v, %v", got, ok)
	}
	if got, ok := find(first, "one"); !ok || !got.Ended {
		t.Errorf("a session that ended is %+v, %v", got, ok)
	}
	p.record(observed(journal.CustomerLoggedOut, second.ID, nil)) // its row says nothing of it
	if got, ok := find(second, "two"); !ok || !got.Ended {
		t.Errorf("a session whose end is in the journal is %+v, %v", got, ok)
	}
	if left := open(); len(left) > 0 {
		t.Errorf("sessions that ended are listed: %v", left)
	}
	unheard := store.Session{ID: p.ids.New(id.Session), Owner: ada.Ref(), ExpiresAt: p.now.Add(time.Hour)}
	p.do(func(b *store.Batch) error { return b.PutSession(unheard, "three") })
	if _, ok := find(unheard, "three"); ok {
		t.Error("a session opens whose beginning is in no entry")
	}

	link := store.Link{ID: p.ids.New(id.Link), Purpose: "invitation", Owner: ada.Ref(), Basis: "x", ExpiresAt: p.now.Add(time.Hour)}
	p.do(func(b *store.Batch) error { return b.PutLink(link, "secret") })
	if got, ok, err := p.Link(t.Context(), p.Read, link.ID, "secret"); err != nil || !ok || got.Used || got.Purpose != link.Purpose {
		t.Errorf("a link is %+v, %v, %v", got, ok, err)
	}
	for _, wrong := range [][2]string{{string(link.ID), "other"}, {"lnk_\x00", "secret"}, {"lnk_none", "secret"}} {
		if _, ok, err := p.Link(t.Context(), p.Read, id.ID(wrong[0]), wrong[1]); err != nil || ok {
			t.Errorf("%q opens by %q: %v", wrong[0], wrong[1], err)
		}
	}
	p.do(func(b *store.Batch) error { return b.UseLink(link.ID) })
	if got, ok, err := p.Link(t.Context(), p.Read, link.ID, "secret"); err != nil || !ok || !got.Used {
		t.Errorf("a link that was used is %+v, %v, %v", got, ok, err)
	}
	again := link
	again.ID = p.ids.New(id.Link)
	p.do(func(b *store.Batch) error { return b.PutLink(again, "secret") })
	if _, ok, err := p.Link(t.Context(), p.Read, link.ID, "secret"); err != nil || ok {
		t.Errorf("an earlier link to the same end is still there: %v", err)
	}
	for _, want := range []bool{true, false} {
		p.do(func(b *store.Batch) error {
			got, err := b.Spend("a code", p.now.Add(time.Minute))
			if got != want {
				t.Errorf("the first use of a code: %v, want %v", got, want)
			}
			return err
		})
	}
	if spent, err := p.Spent(t.Context(), p.Read, "a code"); err != nil || !spent {
		t.Errorf("a code that was used is not spent: %v", err)
	}
}

func swept(t *testing.T, e Engine) {
	const day = 24 * time.Hour
	p := open(t, e)
	begin := p.now
	ada, hers := p.customer("ada@example.org")
	p.record(hers)
	p.do(func(b *store.Batch) error {
		for _, expires := range []time.Duration{10 * time.Minute, 2 * day} {
			l := store.Link{ID: p.ids.New(id.Link), Purpose: store.PortalLink, Owner: ada.Ref(), ExpiresAt: begin.Add(expires)}
			s := store.Session{ID: p.ids.New(id.Session), Owner: ada.Ref(), ExpiresAt: begin.Add(expires)}
			_, err := b.Spend(fmt.Sprint(expires), begin.Add(expires))
			if err := errors.Join(err, b.PutLink(l, "secret"), b.PutSession(s, "secret")); err != nil {
				return err
			}
		}
		over := store.Posted{ID: p.ids.New(id.Message), Cause: "over", DueAt: begin, Body: "{}"}
		waiting := store.Posted{ID: p.ids.New(id.Message), Cause: "waiting", DueAt: begin, Body: "{}"}
		err := b.Post(over, waiting)
		over.State = store.PostSent
		form := make([]byte, store.FormHash)
		return errors.Join(err, b.Repost(over), b.KeepAnswers([]store.Answer{
			{CallerKey: []byte("form"), RequestHash: form, Bytes: []byte("x")},
			{CallerKey: []byte("key"), RequestHash: make([]byte, 32), Bytes: []byte("x")},
		}))
	})
	head := p.head()
	for _, step := range []struct {
		after time.Duration
		left  map[string]int
	}{
		{0, map[string]int{"link": 2, "session": 2, "spent": 2, "outbox": 2, "idempotency": 2}},
		{11 * time.Minute, map[string]int{"link": 2, "session": 2, "spent": 1}},
		{day + 9*time.Minute, map[string]int{"link": 2, "session": 2, "spent": 1}},
		{day + 11*time.Minute, map[string]int{"link": 1, "session": 1, "spent": 1}},
		{3*day + time.Hour, map[string]int{"link": 0, "session": 0, "spent": 0, "outbox": 2}},
		{8*day - time.Minute, map[string]int{"idempotency": 2}},
		{8*day + time.Minute, map[string]int{"idempotency": 1}},
		{90*day - time.Minute, map[string]int{"outbox": 2}},
		{90*day + time.Minute, map[string]int{"outbox": 1}},
		{400 * day, map[string]int{"outbox": 1, "idempotency": 1}},
	} {
		p.now = begin.Add(step.after)
		p.do(func(b *store.Batch) error {
			return errors.Join(b.SweepSignIn(5*day), b.SweepForms(), b.SweepPosts())
		})
		for table, want := range step.left {
			if got := p.count(table); got != want {
				t.Errorf("after %v: %d rows of %s, want %d", step.after, got, table, want)
			}
		}
	}
	if got := p.head(); !reflect.DeepEqual(head, got) {
		t.Errorf("sweeping made an entry: %+v, want %+v", got, head)
	}
}

func outbox(t *testing.T, e Engine) {
	p := open(t, e)
	due := p.now.Add(time.Minute)
	first := store.Posted{ID: p.PostID("one", p.now), Cause: "one", DueAt: due, Body: `{"n":1}`}
	second := store.Posted{ID: p.PostID("two", p.now), Cause: "two", DueAt: due.Add(time.Minute), Body: `{"n":2}`}
	list := func(now time.Time) (causes []string) {
		t.Helper()
		posts, forged, err := p.DuePosts(t.Context(), p.Read, now, 10)
		must(t, err)
		if len(forged) > 0 {
			t.Errorf("forged: %v", forged)
		}
		for _, x := range posts {
			causes = append(causes, x.Cause)
		}
		return causes
	}
	p.do(func(b *store.Batch) error { return b.Post(second, first) })
	twice := first
	twice.ID, twice.Body = p.ids.New(id.Message), "other"
	p.do(func(b *store.Batch) error { return b.Post(twice) })
	if got := p.count("outbox"); got != 2 {
		t.Errorf("two causes have %d messages", got)
	}
	for at, want := range map[time.Time][]string{p.now: nil, due: {"one"}, due.Add(time.Hour): {"one", "two"}} {
		if diff := cmp.Diff(want, list(at)); diff != "" {
			t.Errorf("due at %v (-want +got):\n%s", at, diff)
		}
	}
	first.State = store.PostSent
	p.do(func(b *store.Batch) error { return b.Repost(first) })
	if diff := cmp.Diff([]string{"two"}, list(due.Add(time.Hour))); diff != "" {
		t.Errorf("due after one was sent (-want +got):\n%s", diff)
	}
	if n, err := p.PostsWaiting(t.Context(), p.Read); err != nil || n != 1 {
		t.Errorf("%d wait: %v", n, err)
	}
	third := store.Posted{ID: p.PostID("three", p.now), Cause: "three"}
	missing, err := p.Missing(t.Context(), p.Read, []store.Posted{first, second, third})
	must(t, err)
	if len(missing) != 1 || missing[0].Cause != "three" {
		t.Errorf("missing: %v", missing)
	}
	p.record(journal.Draft{Type: journal.NotificationSent, Target: journal.Ref{Kind: journal.Message, ID: third.ID}})
	if missing, err := p.Missing(t.Context(), p.Read, []store.Posted{third}); err != nil || len(missing) > 0 {
		t.Errorf("a message whose entry says that it was sent is missing: %v, %v", missing, err)
	}

	follow := func(next int64) {
		p.do(func(b *store.Batch) error { return b.Follow(store.Following{Next: next, SinceAt: p.now}) })
	}
	follow(5)
	follow(3) // what was looked at stays so
	if f, how, err := p.Followed(t.Context(), p.Read); err != nil || how != store.FollowingGenuine || f.Next != 5 {
		t.Errorf("followed: %+v, %s, %v", f, how, err)
	}
}

func held(t *testing.T, e Engine) {
	p := open(t, e)
	var drafts []journal.Draft
	for _, d := range settings.Defaults("Store", "UTC", "EUR") {
		drafts = append(drafts, journal.Draft{Type: settings.EventType(d.Ref().ID), After: d})
	}
	all := len(drafts)
	p.record(drafts...)
	lease := func(job, holder string, while time.Duration) bool {
		t.Helper()
		ours, err := p.Lease(t.Context(), job, holder, while)
		must(t, err)
		return ours
	}
	claim := func(holder string) int {
		t.Helper()
		got, err := p.Claim(t.Context(), journal.Settings, holder, time.Minute, `id > $2`, `id`, 100, "")
		must(t, err)
		return len(got)
	}
	if first, again := lease("messages", "us", time.Minute), lease("messages", "us", time.Minute); !first || !again {
		t.Error("a job that is free cannot be taken and kept")
	}
	if n := claim("us"); n != all {
		t.Errorf("%d of %d due things could be taken", n, all)
	}
	must(t, p.Unclaim(t.Context(), journal.Settings, "us"))
	must(t, p.Release(t.Context(), "us"))
	if !p.Shared() { // one process, to which everything belongs
		return
	}
	if !lease("process alive", "alive", time.Minute) || !lease("messages", "alive", time.Minute) || lease("messages", "us", time.Minute) {
		t.Error("a job has not exactly one holder")
	}
	if a, b := claim("alive"), claim("us"); a != all || b != 0 {
		t.Errorf("one took %d of %d, another %d of the same", a, all, b)
	}
	must(t, p.Unclaim(t.Context(), journal.Settings, "alive"))
	if n := claim("us"); n != all {
		t.Errorf("%d of %d could be taken after they were given back", n, all)
	}
	must(t, p.Release(t.Context(), "us"))
	// Whoever is gone holds nothing: its lease runs out, whatever it claimed.
	if n := claim("gone"); n != all {
		t.Errorf("%d of %d were free", n, all)
	}
	if n := claim("us"); n != all {
		t.Errorf("a process without a lease keeps %d things", all-n)
	}
	must(t, p.Release(t.Context(), "us"))

	// Rows that say 2099 were not written by this program.
	shell := p.shell(t, e)
	run := func(text string) {
		t.Helper()
		_, err := shell.ExecContext(t.Context(), text)
		must(t, err)
	}
	run(`UPDATE lease SET until = '2099-01-01' WHERE name = 'messages'`)
	run(`INSERT INTO claim (shop_id, job, id, holder, until) SELECT shop_id, 'settings', id, 'alive', '2099-01-01' FROM settings
		ON CONFLICT (shop_id, job, id) DO UPDATE SET holder = excluded.holder, until = excluded.until`)
	if !lease("messages", "us", time.Minute) {
		t.Error("a lease until 2099 holds")
	}
	if n := claim("us"); n != all {
		t.Errorf("claims until 2099 hold: %d of %d rows were free", n, all)
	}
	run(`UPDATE claim SET holder = 'alive'`)
	if n := claim("us"); n != 0 {
		t.Errorf("%d things that a living process took a moment ago were taken", n)
	}
	run(`UPDATE lease SET until = '2099-01-01' WHERE holder = 'alive'`)
	if n := claim("us"); n != all {
		t.Error("a process that lives until 2099 keeps what it has in hand")
	}
}

// shell is a connection past the store, as somebody has who may write what the server may and has no keys.
func (p *process) shell(t *testing.T, e Engine) *sql.Conn {
	t.Helper()
	pool, err := e.Shell(p.address)
	must(t, err)
	conn, err := pool.Conn(t.Context())
	must(t, err)
	t.Cleanup(func() {
		must(t, conn.Close())
		must(t, pool.Close())
	})
	return conn
}

// worths make a row of each authenticated table, and give what says whether it is worth anything.
var worths = map[string]func(t *testing.T, p *process, owner journal.Ref) func() bool{
	"session": func(t *testing.T, p *process, owner journal.Ref) func() bool {
		x := store.Session{
			ID:        p.ids.New(id.Session),
			Owner:     owner,
			Viewer:    "mem_x",
			Cause:     "evt_x",
			Basis:     "basis",
			ExpiresAt: p.now.Add(time.Hour),
		}
		p.do(func(b *store.Batch) error {
			_, err := p.put(b, observed(journal.CustomerLoggedIn, x.ID, nil))
			return errors.Join(err, b.PutSession(x, "secret"))
		})
		return func() bool {
			got, ok, err := p.Session(t.Context(), p.Read, x.ID, "secret")
			list, lerr := p.Sessions(t.Context(), p.Read, owner, p.now, time.Time{})
			if err != nil || lerr != nil {
				t.Error(err, lerr)
			}
			if listed := slices.ContainsFunc(list, func(s store.Session) bool { return s.ID == x.ID }); listed != (ok && !got.Ended) {
				t.Errorf("the session is listed: %v", listed)
			}
			return ok && !got.Ended
		}
	},
	"link": func(t *testing.T, p *process, owner journal.Ref) func() bool {
		l := store.Link{ID: p.ids.New(id.SignIn), Purpose: store.PortalLink, Owner: owner, Basis: "basis", ExpiresAt: p.now.Add(time.Hour)}
		p.do(func(b *store.Batch) error { return b.PutLink(l, "secret") })
		return func() bool {
			got, ok, err := p.Link(t.Context(), p.Read, l.ID, "secret")
			if err != nil {
				t.Error(err)
			}
			return ok && !got.Used
		}
	},
	"outbox": func(t *testing.T, p *process, _ journal.Ref) func() bool {
		x := store.Posted{ID: p.ids.New(id.Message), Cause: "cause", DueAt: p.now.Add(-time.Hour), Body: "{}"}
		p.do(func(b *store.Batch) error { return b.Post(x) })
		return func() bool {
			list, _, err := p.DuePosts(t.Context(), p.Read, p.now, 10)
			if err != nil {
				t.Error(err)
			}
			return slices.ContainsFunc(list, func(y store.Posted) bool { return y.ID == x.ID && y.Cause == x.Cause && y.Body == x.Body })
		}
	},
	"outbox_followed": func(t *testing.T, p *process, _ journal.Ref) func() bool {
		p.do(func(b *store.Batch) error { return b.Follow(store.Following{Next: 1, Since: 1, SinceAt: b.Now}) })
		return func() bool {
			_, how, err := p.Followed(t.Context(), p.Read)
			if err != nil {
				t.Error(err)
			}
			return how == store.FollowingGenuine
		}
	},
	"idempotency": func(t *testing.T, p *process, owner journal.Ref) func() bool {
		p.do(func(b *store.Batch) error {
			return b.KeepAnswers(
				[]store.Answer{{CallerKey: []byte("caller"), RequestHash: []byte("request"), Person: owner.ID, Bytes: []byte("once")}})
		})
		return func() (good bool) {
			p.do(func(b *store.Batch) error {
				a, err := b.FindAnswer([]byte("caller"))
				good = a != nil && !a.Unknown && string(a.Answer) == "once" && string(a.RequestHash) == "request"
				return err
			})
			return good
		}
	},
}

// worth goes through the catalogue of tables. Of each that is authenticated it makes a row and changes column after column, as whoever
// writes to the database can: the row is worth nothing then. A table that does not say what its rows are worth fails, and one of which
// nobody knows here how to make a row.
func worth(t *testing.T, e Engine) {
	p := open(t, e)
	ada, hers := p.customer("ada@example.org")
	p.record(hers)
	shell := p.shell(t, e)
	for _, table := range store.Tables(p.DB.Engine) {
		if table.Class != store.ClassMachinery {
			continue
		}
		if table.Worth == "" || table.Guard == "" {
			t.Errorf("%s does not say what its rows are worth to who can write them", table.Name)
		}
		if table.Guard != store.GuardMAC {
			continue
		}
		start := worths[table.Name]
		if start == nil {
			t.Errorf("nobody tried what a changed row of %s is worth", table.Name)
			continue
		}
		holds := start(t, p, ada.Ref())
		if !holds() {
			t.Errorf("a row of %s is worth nothing from the start", table.Name)
			continue
		}
		columns, putBack := remember(t, shell, table.Name)
		if n := p.Forged()[table.Name]; n != 0 {
			t.Errorf("%s: %d rows are taken for forged before anybody did anything", table.Name, n)
		}
		for _, c := range columns {
			for _, value := range []string{`'x'`, `'2099-01-01T00:00:00.000000Z'`, `7`, `NULL`, e.Bytes("07"), e.Bytes(strings.Repeat("0011", 16))} {
				done, err := shell.ExecContext(t.Context(), fmt.Sprintf(`UPDATE %s SET %s = %s`, table.Name, c, value))
				if err != nil {
					continue // the database refuses it
				}
				if n, err := done.RowsAffected(); err != nil || n == 0 {
					continue
				}
				// What was NULL and is so again was not changed.
				same := value == "NULL" && (c == "ended_at" || c == "used_at")
				if !same && holds() {
					t.Errorf("a row of %s with another %s (%s) is worth as much as before", table.Name, c, value)
				}
				putBack()
				if !holds() {
					t.Fatalf("%s: the row that was put back is worth nothing", table.Name)
				}
			}
		}
		// Each of them is counted once, however often it is met.
		met := p.Forged()[table.Name]
		if met == 0 {
			t.Errorf("no changed row of %s was counted", table.Name)
		}
		for range 3 {
			_, err := shell.ExecContext(t.Context(), `UPDATE `+table.Name+` SET mac = `+e.Bytes(strings.Repeat("11", 32)))
			must(t, err)
			holds()
		}
		putBack()
		if n := p.Forged()[table.Name]; n != met+1 {
			t.Errorf("%s: one more changed row makes %d of %d", table.Name, n, met)
		}
	}
}

// swapped puts the answer that was kept for one request in the place of another's.
func swapped(t *testing.T, e Engine) {
	p := open(t, e)
	ada, hers := p.customer("ada@example.org")
	p.record(hers)
	bob, his := p.customer("bob@example.org")
	p.record(his)
	keep := []store.Answer{
		{CallerKey: []byte("mine"), RequestHash: []byte("request"), Person: ada.ID, Bytes: []byte("about ada")},
		{CallerKey: []byte("also mine"), RequestHash: []byte("request"), Person: ada.ID, Bytes: []byte("also about ada")},
		{CallerKey: []byte("theirs"), RequestHash: []byte("request"), Person: bob.ID, Bytes: []byte("about bob")},
		{CallerKey: []byte("plain"), RequestHash: []byte("request"), Bytes: []byte("about nobody")},
	}
	p.do(func(b *store.Batch) error { return b.KeepAnswers(keep) })
	shell := p.shell(t, e)
	columns, putBack := remember(t, shell, "idempotency")
	var others []string // all but the name of the row
	for _, c := range columns {
		if c != "shop_id" && c != "caller_key" {
			others = append(others, c)
		}
	}
	all := strings.Join(others, ", ")
	for _, from := range []string{"also mine", "theirs", "plain"} {
		for _, columns := range []string{all, "answer", "answer, key_id", "answer, key_id, mac", "mac", "request_hash, mac"} {
			_, err := shell.ExecContext(t.Context(), fmt.Sprintf(`UPDATE idempotency SET (%s) = (SELECT %s FROM idempotency o WHERE o.caller_key = $1)
				WHERE caller_key = $2`, columns, columns), []byte(from), []byte("mine"))
			must(t, err)
			p.do(func(b *store.Batch) error {
				a, err := b.FindAnswer([]byte("mine"))
				if err == nil && (a == nil || !a.Unknown || a.Answer != nil) {
					t.Errorf("%s of the answer %q in the place of another is given: %+v", columns, from, a)
				}
				return err
			})
			putBack()
		}
	}
	if p.Forged()["idempotency"] == 0 {
		t.Error("no swapped answer was counted")
	}
	p.do(func(b *store.Batch) error {
		a, err := b.FindAnswer([]byte("mine"))
		if err == nil && (a == nil || string(a.Answer) != "about ada") {
			t.Errorf("the answer that was put back is %+v", a)
		}
		return err
	})
}

// remember reads a table, and gives its columns and what puts it back as it was.
func remember(t *testing.T, c *sql.Conn, table string) (columns []string, putBack func()) {
	t.Helper()
	ctx := context.Background()
	rows, err := c.QueryContext(ctx, `SELECT * FROM `+table)
	must(t, err)
	defer rows.Close()
	columns, err = rows.Columns()
	must(t, err)
	var kept [][]any
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		must(t, rows.Scan(into...))
		kept = append(kept, values)
	}
	must(t, rows.Err())
	insert := `INSERT INTO ` + table + ` (` + strings.Join(columns, ", ") + `) VALUES (` + store.Placeholders(1, len(columns)) + `)`
	return columns, func() {
		t.Helper()
		_, err := c.ExecContext(ctx, `DELETE FROM `+table)
		must(t, err)
		for _, values := range kept {
			_, err := c.ExecContext(ctx, insert, values...)
			must(t, err)
		}
	}
}
