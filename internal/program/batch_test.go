package program_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"perennial/internal/audit"
	"perennial/internal/catalog"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/money"
	"perennial/internal/program"
	"perennial/internal/store"
	"perennial/internal/test/shop"
)

// looks is a command that looks around and changes nothing.
type looks func(r journal.Reader) error

func (f looks) Run(r journal.Reader, _ time.Time) (journal.Decision, error) {
	return journal.Decision{}, f(r)
}

// A command sees what those before it in the same batch made, and nothing of those that were refused or broke down.
func TestACommandSeesItsBatch(t *testing.T) {
	s := shop.Open(t)
	old, c := product(s, "Old")
	s.Do(c)
	tea, create := product(s, "Tea")
	bad, refused := product(s, "")
	variant, ada, bob := s.IDs.New(id.Variant), s.IDs.New(id.Customer), s.IDs.New(id.Customer)
	next := s.Program.Head() + 1 // the seq of the batch's first event
	title, mail := "Green tea", "countess@example.org"

	reserved := func(address string, want id.ID) journal.Command {
		return looks(func(r journal.Reader) error {
			if owner, ok, err := r.Reserved(customer.ScopeEmail, address); err != nil || owner != want || ok != (want != "") {
				t.Errorf("reserved %s: %q, %v, %v, want %q", address, owner, ok, err, want)
			}
			return nil
		})
	}
	where := func(kind journal.Kind, column, value string, want ...id.ID) journal.Command {
		slices.Sort(want)
		return looks(func(r journal.Reader) error {
			if ids, err := r.Where(kind, column, value); err != nil || !slices.Equal(ids, want) {
				t.Errorf("where %s %s is %s: %v, %v, want %v", kind, column, value, ids, err, want)
			}
			return nil
		})
	}
	steps := []struct {
		c    journal.Command
		code string // of the refusal
	}{
		{c: create},
		{c: where(journal.Product, "status", "active", old, tea)},
		{c: refused, code: "fields_refused"},
		{c: panics{}, code: "internal"},
		{c: where(journal.Product, "status", "active", old, tea)},
		{c: journal.Bind(catalog.CreateVariant{ID: variant, ProductID: bad, Title: "1 kg", Price: money.Of(1200, "EUR")}), code: "unknown_product"},
		{c: journal.Bind(catalog.CreateVariant{ID: variant, ProductID: tea, Title: "1 kg", Price: money.Of(1200, "EUR")})},
		{c: where(journal.Variant, "product_id", string(tea), variant)},
		{c: where(journal.Variant, "product_id", string(bad))},
		{c: journal.Bind(catalog.UpdateProduct{ID: tea, Title: &title})},
		{c: looks(func(r journal.Reader) error {
			e, later, err := r.Event(id.Event(s.Store.Shop, next))
			if err != nil || e.Type != "product.created" || len(later) != 1 || later[0].Type != "product.updated" {
				t.Errorf("the batch's first event: %+v, %v, %v", e, later, err)
			}
			if _, _, err := r.Event(id.Event(s.Store.Shop, next+3)); fault.As(err).Code != "unknown_event" {
				t.Errorf("an event that is still to come: %v", err)
			}
			return nil
		})},
		{c: journal.Bind(catalog.ArchiveProduct{ID: old})},
		{c: where(journal.Product, "status", "active", tea)},
		{c: where(journal.Product, "status", "archived", old)},
		{c: reserved("ada@example.org", "")},
		{c: journal.Bind(customer.Create{ID: ada, Email: "Ada@Example.org"})},
		{c: reserved("ada@example.org", ada)},
		{c: journal.Bind(customer.Create{ID: bob, Email: "ada@example.org"}), code: "email_taken"},
		{c: journal.Bind(customer.UpdateProfile{ID: ada, Email: &mail})},
		{c: reserved("ada@example.org", "")},
		{c: reserved(mail, ada)},
		{c: journal.Bind(customer.Create{ID: bob, Email: "ada@example.org"})},
		{c: reserved("ada@example.org", bob)},
		{c: journal.Bind(kinds.Undo{Event: id.Event(s.Store.Shop, next+2)})},
		{c: looks(func(r journal.Reader) error {
			if p, err := journal.Get[catalog.Product](r, journal.Product, tea); err != nil || p.Title != "Tea" {
				t.Errorf("after the undo: %+v, %v", p, err)
			}
			return nil
		})},
	}
	b := blocks{make(chan struct{}), make(chan struct{})}
	held, err := s.Program.Submit(t.Context(), &program.Request{Meta: shop.System, Command: b})
	if err != nil {
		t.Fatal(err)
	}
	<-b.began
	// What is fetched before the batch is what was there before it, and hides nothing that it makes.
	needs := store.Needs{Lists: []store.List{{Kind: journal.Product, Column: "status", Value: "active"}, {Kind: journal.Product, Column: "status", Value: "archived"}, {Kind: journal.Variant, Column: "product_id", Value: string(tea)}},
		Names: []store.Name{{Scope: customer.ScopeEmail, Value: "ada@example.org"}, {Scope: customer.ScopeEmail, Value: mail}}}
	waiting := make([]program.Pending, len(steps))
	for i, step := range steps {
		if waiting[i], err = s.Program.Submit(t.Context(), &program.Request{Meta: shop.System, Command: step.c, Needs: needs}); err != nil {
			t.Fatal(err)
		}
	}
	close(b.release)
	if _, err := held.Wait(); err != nil {
		t.Fatal(err)
	}
	var at time.Time
	for i, step := range steps {
		out, err := waiting[i].Wait()
		switch {
		case step.code == "" && err != nil, step.code != "" && (err == nil || fault.As(err).Code != step.code):
			t.Errorf("step %d, %T: %v, want %q", i, step.c, err, step.code)
		case err == nil && len(out.Events) > 0 && at.IsZero():
			at = out.Events[0].RecordedAt
		case err == nil && len(out.Events) > 0 && !out.Events[0].RecordedAt.Equal(at):
			t.Errorf("step %d was in another batch: this test shows nothing", i)
		}
	}
	// The database has come to the same.
	r := program.NewReader(t.Context(), s.Store, s.Store.Read)
	for _, c := range []journal.Command{reserved("ada@example.org", bob), reserved(mail, ada), where(journal.Product, "status", "active", tea), where(journal.Variant, "product_id", string(tea), variant)} {
		if _, err := c.Run(r, at); err != nil {
			t.Error(err)
		}
	}
}

// A person's command goes before those that yield, and those go on all the same.
func TestPeopleGoFirst(t *testing.T) {
	s := shop.Open(t)
	b := blocks{make(chan struct{}), make(chan struct{})}
	held, err := s.Program.Submit(t.Context(), &program.Request{Meta: shop.System, Command: b})
	if err != nil {
		t.Fatal(err)
	}
	<-b.began
	var got, want []string
	var waiting []program.Pending
	submit := func(name string, yields bool) {
		p, err := s.Program.Submit(t.Context(), &program.Request{Meta: shop.System, Yields: yields, Command: looks(func(journal.Reader) error {
			got = append(got, name) // the writer's goroutine alone
			return nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, p)
	}
	for n := range 100 {
		submit(fmt.Sprint("billing ", n), true)
		want = append(want, fmt.Sprint("billing ", n))
	}
	submit("a person", false)
	if n := s.Program.Waiting(); n != 101 {
		t.Errorf("%d are waiting, want 101", n)
	}
	close(b.release)
	for _, p := range append(waiting, held) {
		if _, err := p.Wait(); err != nil {
			t.Error(err)
		}
	}
	if want = append([]string{"a person"}, want...); !slices.Equal(got, want) {
		t.Errorf("order of commands:\n got %v\nwant %v", got, want)
	}
}

// Callers beside verify, reads, time travel, checkpoints and the stop: each is told the truth, and the journal holds.
func TestManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := shop.OpenAt(t, dir)
	s.Found()
	shared, c := product(s, "Shared")
	s.Do(c)
	ctx := t.Context()
	var mu sync.Mutex
	acked := map[int64]id.ID{} // guarded by mu
	stopped := make(chan struct{})
	var work sync.WaitGroup
	ended := func(err error) bool { return err != nil && fault.As(err).Code == "stopping" }
	for n := range 12 {
		work.Go(func() {
			for i := 0; ; i++ {
				_, c := product(s, fmt.Sprintf("Coffee %d %d", n, i))
				if i%3 == 0 {
					title := fmt.Sprintf("Shared %d %d", n, i)
					c = journal.Bind(catalog.UpdateProduct{ID: shared, Title: &title})
				}
				out, err := s.Try(c)
				if ended(err) {
					return
				}
				if err != nil {
					t.Errorf("a change: %v", err)
					return
				}
				mu.Lock()
				for _, e := range out.Events {
					if other, twice := acked[e.Seq]; twice {
						t.Errorf("seq %d was given to %s and %s", e.Seq, other, e.Target().ID)
					}
					acked[e.Seq] = e.Target().ID
				}
				mu.Unlock()
			}
		})
	}
	beside := func(what string, f func() error) {
		work.Go(func() {
			for {
				if err := f(); err != nil && !ended(err) {
					t.Errorf("%s: %v", what, err)
					return
				}
				select {
				case <-stopped:
					return
				default:
				}
			}
		})
	}
	rounds := make(chan struct{}, 1)
	beside("verify", func() error {
		r, err := audit.Verify(ctx, s.Store, nil)
		if err == nil && !r.Holds() {
			err = fmt.Errorf("%s", r.Problems[0])
		}
		select {
		case rounds <- struct{}{}:
		default:
		}
		return err
	})
	beside("a checkpoint", func() error { _, err := s.Program.Checkpoint(ctx); return err })
	beside("time travel", func() error {
		head, err := s.Store.ReadHead(ctx, s.Store.Read)
		if err != nil {
			return err
		}
		now, err := s.Store.Load(ctx, s.Store.Read, journal.Ref{Kind: journal.Product, ID: shared})
		if err != nil {
			return err
		}
		then, err := s.Store.StateAt(ctx, s.Store.Read, journal.Ref{Kind: journal.Product, ID: shared}, func(e *journal.Event) bool { return e.Seq <= head.Seq })
		if err == nil && (then.Version == 0 || then.LastSeq > head.Seq || now.Version < 1) {
			err = fmt.Errorf("at %d: version %d of %d", head.Seq, then.Version, then.LastSeq)
		}
		return err
	})
	beside("reading", func() error {
		next := int64(0)
		for st, err := range s.Store.Events(ctx, s.Store.Read, store.Opened, 0, 0) {
			if err != nil {
				return err
			}
			if st.Seq != next {
				return fmt.Errorf("seq %d follows %d", st.Seq, next-1)
			}
			next++
		}
		return nil
	})
	for enough := false; !enough; { // at least one whole verify under a real load
		<-rounds
		mu.Lock()
		enough = len(acked) >= 300 || t.Failed()
		mu.Unlock()
	}
	if err := s.Program.Stop(); err != nil {
		t.Error(err)
	}
	close(stopped)
	work.Wait()
	for st, err := range s.Store.Events(context.Background(), s.Store.Read, store.Closed, 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if target, ok := acked[st.Seq]; ok {
			if st.Target().ID != target {
				t.Errorf("seq %d is of %s, %s was acknowledged", st.Seq, st.Target().ID, target)
			}
			delete(acked, st.Seq)
		}
	}
	for seq, target := range acked {
		t.Errorf("seq %d of %s was acknowledged and is not there", seq, target)
	}
}
