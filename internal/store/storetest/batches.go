package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/catalog"
	"perennial/internal/customer"
	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/seal"
	"perennial/internal/store"
	"perennial/internal/vault"
)

func wholeOrNothing(t *testing.T, e Engine) {
	p := open(t, e)
	tea, draft := p.product("Tea")
	p.record(draft)
	_, his := p.customer("bob@example.org")
	p.record(his)
	before := p.head()

	ada, hers := p.customer("ada@example.org")
	_, espresso := retitled(tea, "Espresso")
	gaveUp := errors.New("gave up")
	for why, f := range map[string]func(b *store.Batch) error{
		"the program gives up": func(*store.Batch) error { return gaveUp },
		"a name is taken": func(b *store.Batch) error {
			return b.Reserve(journal.Reservation{Scope: customer.ScopeEmail, Value: "bob@example.org", Owner: "two"})
		},
		"a statement is wrong": func(b *store.Batch) error {
			_, err := b.ExecContext(t.Context(), `UPDATE nothing SET x = 1`)
			return err
		},
	} {
		err := p.batch(func(b *store.Batch) error {
			if _, err := p.put(b, espresso, hers); err != nil {
				return err
			}
			if err := b.PutSavedView(ada.ID, "orders", store.SavedView{Name: "mine"}); err != nil {
				return err
			}
			return f(b)
		})
		if err == nil {
			t.Errorf("%s: the batch was committed", why)
		}
		if got := p.head(); !reflect.DeepEqual(before, got) {
			t.Errorf("%s: the head moved: %+v, want %+v", why, got, before)
		}
		for table, want := range map[string]int{"customer": 1, "data_key": 1, "reservation": 1, "saved_view": 0} {
			if n := p.count(table); n != want {
				t.Errorf("%s: %d rows of %s, want %d", why, n, table, want)
			}
		}
		row, err := p.Load(t.Context(), p.Read, tea.Ref())
		must(t, err)
		if diff := cmp.Diff(journal.State(tea), row.State); diff != "" {
			t.Errorf("%s: the product changed (-want +got):\n%s", why, diff)
		}
	}
	// Another writer goes on as if nothing had been tried; the key of the customer is made anew.
	p.record(espresso, hers)
	if got := p.head().Seq - before.Seq; got != 2 {
		t.Errorf("two entries made %d", got)
	}
}

func everythingInABatch(t *testing.T, e Engine) {
	p := open(t, e)
	ada, draft := p.customer("ada@example.org")
	draft.Secrets = []journal.Secret{{Name: "password", Value: []byte("hash")}}
	drafts := []journal.Draft{draft}
	const products = 300 // more than a subtree of 256 leaves, so that a node of the tree is written
	last := &catalog.Product{}
	for n := range products {
		last, draft = p.product(fmt.Sprintf("Tea %d", n))
		drafts = append(drafts, draft)
	}
	last, draft = retitled(last, "Espresso") // a second version within the batch
	drafts = append(drafts, draft)
	session := p.ids.New(id.Session)
	drafts = append(drafts, observed(journal.CustomerLoggedIn, session, nil))
	p.do(func(b *store.Batch) error {
		events, err := p.put(b, drafts...)
		if err != nil {
			return err
		}
		return errors.Join(
			b.PutSession(store.Session{ID: session, Owner: ada.Ref(), Cause: events[0].ID, ExpiresAt: b.Now.Add(time.Hour)}, "secret"),
			b.Post(store.Posted{ID: p.ids.New(id.Message), Cause: string(events[0].ID), DueAt: b.Now, Body: "{}"}),
			b.KeepAnswers([]store.Answer{{CallerKey: []byte("caller"), RequestHash: []byte("request"), Person: ada.ID, Bytes: []byte("done")}}))
	})
	p.checkpoint()

	other := p.another(t, e)
	head := other.head()
	if want := int64(products + 2); head.Seq != want {
		t.Errorf("the head is at %d, want %d", head.Seq, want)
	}
	root, err := seal.RootAt(store.Tree{Ctx: t.Context(), S: other.Store, Q: other.Read}, head.Seq+1)
	must(t, err)
	if root != head.Edge.Root() {
		t.Error("the tree has another root than the head's edge")
	}
	for _, want := range []journal.State{ada, last} {
		row, err := other.Load(t.Context(), other.Read, want.Ref())
		must(t, err)
		if diff := cmp.Diff(want, row.State); diff != "" {
			t.Errorf("%v (-want +got):\n%s", want.Ref(), diff)
		}
	}
	if row, err := other.Load(t.Context(), other.Read, last.Ref()); err != nil || row.Version != 2 || row.LastSeq != head.Seq-1 {
		t.Errorf("the product is at version %d of entry %d: %v", row.Version, row.LastSeq, err)
	}
	if secret, err := other.Secret(t.Context(), other.Read, ada.Ref(), "password"); err != nil || string(secret) != "hash" {
		t.Errorf("the secret is %q: %v", secret, err)
	}
	if owner, _, err := other.Reserved(t.Context(), other.Read, customer.ScopeEmail, "ada@example.org"); err != nil || owner != ada.ID {
		t.Errorf("the address is %q's: %v", owner, err)
	}
	if _, ok, err := other.Session(t.Context(), other.Read, session, "secret"); err != nil || !ok {
		t.Errorf("the session is not there: %v", err)
	}
	if n, err := other.PostsWaiting(t.Context(), other.Read); err != nil || n != 1 {
		t.Errorf("%d messages wait: %v", n, err)
	}
	other.do(func(b *store.Batch) error {
		a, err := b.FindAnswer([]byte("caller"))
		if err == nil && (a == nil || string(a.Answer) != "done") {
			t.Errorf("the first answer is %+v", a)
		}
		return err
	})
	if list, err := other.Checkpoints(t.Context(), other.Read, head.Seq+2, 5); err != nil || len(list) != 1 ||
		!bytes.Equal(list[0].Root, root[:]) {
		t.Errorf("checkpoints: %+v, %v", list, err)
	}
}

func oneOrder(t *testing.T, e Engine) {
	p := open(t, e)
	tea, draft := p.product("Tea")
	_, second := p.product("Coffee")
	events := p.record(draft, second)
	p.now = p.now.Add(-time.Hour) // the clock was set back
	_, third := retitled(tea, "Earl Grey")
	events = append(events, p.record(third)...)
	for i, x := range events {
		if x.Seq != int64(i) || !x.RecordedAt.Equal(events[0].RecordedAt) {
			t.Errorf("entry %d is at seq %d, %v: want the time of the first, %v", i, x.Seq, x.RecordedAt, events[0].RecordedAt)
		}
	}
	if last := events[2]; last.TargetVersion != 2 || last.TargetPrevSeq != 0 {
		t.Errorf("the second entry of the product is version %d after %d", last.TargetVersion, last.TargetPrevSeq)
	}
	head := p.head()
	if head.Seq != 2 || !head.RecordedAt.Equal(events[0].RecordedAt) {
		t.Errorf("the head is %+v", head)
	}
	// A writer that believes in an older head is refused, whatever it writes.
	err := p.batch(func(b *store.Batch) error {
		b.Head.Seq--
		_, draft := p.product("Cocoa")
		_, err := p.put(b, draft)
		return err
	})
	if err == nil {
		t.Error("an entry was written in another's place")
	}
}

func severalWriters(t *testing.T, e Engine) {
	p := open(t, e)
	shared, draft := p.product("0")
	p.record(draft)
	const writers, each = 3, 20
	var all sync.WaitGroup
	for range writers {
		other := p.another(t, e)
		all.Go(func() {
			for range each {
				err := other.batch(func(b *store.Batch) error {
					row, err := other.Load(t.Context(), b, shared.Ref())
					if err != nil {
						return err
					}
					_, next := retitled(row.State.(*catalog.Product), fmt.Sprint(row.Version))
					_, own := other.product("own")
					_, err = other.put(b, next, own)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got, want := p.head().Seq, int64(writers*each*2); got != want {
		t.Errorf("the head is at %d, want %d", got, want)
	}
	row, err := p.Load(t.Context(), p.Read, shared.Ref())
	must(t, err)
	if got := row.State.(*catalog.Product).Title; row.Version != writers*each+1 || got != fmt.Sprint(writers*each) {
		t.Errorf("the product that all change is at version %d and called %s: somebody's change was lost", row.Version, got)
	}
}

func flushed(t *testing.T, e Engine) {
	p := open(t, e)
	ask := func(when string, w *store.Writer) {
		b, err := w.Begin(t.Context(), p.now)
		must(t, err)
		defer b.Rollback()
		for question, want := range e.Flushes {
			var got string
			must(t, b.QueryRowContext(t.Context(), question).Scan(&got))
			if got != want {
				t.Errorf("%s: %s says %s, want %s", when, question, got, want)
			}
		}
	}
	ask("as the server opens it", p.w)
	relaxed, err := e.Open(t.Context(), p.address, db.Options{Relaxed: true})
	must(t, err)
	defer relaxed.Close()
	s, err := store.Open(t.Context(), relaxed, p.keys, nil, p.ids.NewShop)
	must(t, err)
	w, err := s.Writer(t.Context())
	must(t, err)
	defer w.Close()
	must(t, w.Durable(t.Context()))
	ask("after a relaxed opening", w)
}

func rows(t *testing.T, e Engine) {
	p := open(t, e)
	tea, draft := p.product("Tea – 茶 \"x\" \\ ' ")
	ada, hers := p.customer("ada@example.org")
	p.record(draft, hers)
	earl, next := retitled(tea, "Earl Grey")
	p.record(next)

	for version, want := range []*catalog.Product{1: tea, 2: earl} {
		if want == nil {
			continue
		}
		row, err := p.StateAt(t.Context(), p.Read, tea.Ref(), func(e *journal.Event) bool { return e.TargetVersion <= int64(version) })
		must(t, err)
		if diff := cmp.Diff(journal.State(want), row.State); diff != "" || row.Version != int64(version) {
			t.Errorf("at version %d, got %d (-want +got):\n%s", version, row.Version, diff)
		}
	}
	list, err := p.List(t.Context(), p.Read, journal.Product, `status = $2 ORDER BY id`, catalog.Active)
	must(t, err)
	if len(list) != 1 || cmp.Diff(journal.State(earl), list[0].State) != "" {
		t.Errorf("the list of products: %+v", list)
	}
	ids, err := p.Where(t.Context(), p.Read, journal.Customer, "status", string(customer.Active))
	must(t, err)
	if diff := cmp.Diff([]id.ID{ada.ID}, ids); diff != "" {
		t.Errorf("customers by status (-want +got):\n%s", diff)
	}
	if n, err := p.Count(t.Context(), p.Read, journal.Product, `status = $2`, catalog.Archived); err != nil || n != 0 {
		t.Errorf("%d products are archived: %v", n, err)
	}
	if row, err := p.Load(t.Context(), p.Read, journal.Ref{Kind: journal.Product, ID: "prod_none"}); err != nil || row.Version != 0 {
		t.Errorf("a product that does not exist: %+v, %v", row, err)
	}
	for _, strange := range []id.ID{"a\x00b", "\xff", "'; --"} {
		if row, err := p.Load(t.Context(), p.Read, journal.Ref{Kind: journal.Product, ID: strange}); err != nil || row.Version != 0 {
			t.Errorf("%q: %+v, %v", strange, row, err)
		}
	}
	// What a batch asks for beforehand is what it would get one by one.
	p.do(func(b *store.Batch) error {
		active := store.List{Kind: journal.Product, Column: "status", Value: string(catalog.Active)}
		f, err := b.Fetch(store.Needs{Rows: []journal.Ref{tea.Ref(), ada.Ref()}, Lists: []store.List{active}}, nil)
		if err != nil || f.Rows == nil { // an engine without ways to save answers nothing
			return err
		}
		if diff := cmp.Diff(journal.State(ada), f.Rows[ada.Ref()].State); diff != "" {
			t.Errorf("the customer, asked beforehand (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]id.ID{tea.ID}, f.Lists[active]); diff != "" {
			t.Errorf("products, asked beforehand (-want +got):\n%s", diff)
		}
		return nil
	})
}

func names(t *testing.T, e Engine) {
	p := open(t, e)
	spring := journal.Reservation{Scope: "discount_code", Value: "SPRING", Owner: "one"}
	owner := func() id.ID {
		got, _, err := p.Reserved(t.Context(), p.Read, spring.Scope, spring.Value)
		must(t, err)
		return got
	}
	p.do(func(b *store.Batch) error { return b.Reserve(spring) })
	taken := spring
	taken.Owner = "two"
	if err := p.batch(func(b *store.Batch) error { return b.Reserve(taken) }); !db.IsConstraint(err) {
		t.Errorf("a name that is held was given away: %v", err)
	}
	release := taken
	release.Release = true
	p.do(func(b *store.Batch) error { return b.Reserve(release) })
	if got := owner(); got != "one" {
		t.Errorf("somebody else released the name: it is %q's", got)
	}
	elsewhere := taken
	elsewhere.Scope = "customer_email"
	p.do(func(b *store.Batch) error { return b.Reserve(elsewhere) })
	release.Owner = "one"
	p.do(func(b *store.Batch) error { return errors.Join(b.Reserve(release), b.Reserve(taken)) })
	if got := owner(); got != "two" {
		t.Errorf("a name that was released and taken in one batch is %q's", got)
	}
	release.Owner, elsewhere.Release = "two", true
	p.do(func(b *store.Batch) error { return errors.Join(b.Reserve(release), b.Reserve(elsewhere)) })
	if got := p.count("reservation"); got != 0 { // verify would ask whose they are
		t.Errorf("%d names are held", got)
	}
}

func erasure(t *testing.T, e Engine) {
	p := open(t, e)
	ada, hers := p.customer("ada@example.org")
	bob, his := p.customer("bob@example.org")
	p.record(hers, his)
	other := p.another(t, e)
	if _, err := other.Load(t.Context(), other.Read, ada.Ref()); err != nil { // it has the key open now
		t.Fatal(err)
	}
	p.do(func(b *store.Batch) error {
		if _, err := p.put(b, redacted(ada)); err != nil {
			return err
		}
		return b.DestroyKey(string(ada.ID))
	})
	for who, x := range map[string]*process{"whoever erased": p, "another process": other, "one that starts later": p.another(t, e)} {
		if err := x.Keys.Known(t.Context(), x.Read, string(ada.ID)); !errors.Is(err, vault.ErrErased) {
			t.Errorf("%s has the key: %v", who, err)
		}
		created, err := x.Event(t.Context(), x.Read, store.Opened, 0)
		must(t, err)
		if bytes.Contains(created.Body, []byte("ada@")) {
			t.Errorf("%s reads the address in the entry", who)
		}
		err = x.batch(func(b *store.Batch) error {
			_, err := b.Seal(journal.ClassPerson, ada.ID, []byte("back again"))
			return err
		})
		if fault.As(err).Code != "erased" {
			t.Errorf("%s keeps something new about an erased person: %v", who, err)
		}
		row, err := x.Load(t.Context(), x.Read, bob.Ref())
		must(t, err)
		if diff := cmp.Diff(journal.State(bob), row.State); diff != "" {
			t.Errorf("%s, of somebody else (-want +got):\n%s", who, diff)
		}
	}
	// A database from before an erasure has the key; the keys folder knows better, and the next start destroys it.
	must(t, p.keys.Erase(string(bob.ID)))
	d, err := e.Open(t.Context(), p.address, db.Options{})
	must(t, err)
	defer d.Close()
	restarted, err := store.Open(t.Context(), d, p.keys, nil, p.ids.NewShop)
	must(t, err)
	must(t, restarted.FinishErasures(t.Context()))
	var left int
	must(t, p.db.Reader.QueryRowContext(t.Context(), `SELECT count(*) FROM data_key WHERE wrapped IS NOT NULL`).Scan(&left))
	if left != 0 {
		t.Errorf("%d keys of erased people are left", left)
	}
	draft := redacted(bob)
	draft.KeyGone = true
	p.record(draft)
}

// redacted is a draft that erases a customer.
func redacted(x *customer.Customer) journal.Draft {
	gone := journal.Clone(x)
	journal.Erase(gone)
	gone.Status, gone.GatewayData = customer.Redacted, customer.GatewayDataDue
	return journal.Draft{Type: journal.CustomerRedacted, Before: x, After: gone}
}
