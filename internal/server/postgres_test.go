package server

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/fault"
	"perennial/internal/find"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/store"
	"perennial/internal/test/pgtest"
)

// These tests are about several processes that serve one shop in a PostgreSQL. In them a process is an Instance.

// share opens a shop in a new database n times, with one keys folder.
func share(t *testing.T, n int) (shared []*Instance, url string) {
	t.Helper()
	url = pgtest.URL(t)
	keys := t.TempDir()
	for range n {
		c, _ := config(t.TempDir())
		c.Database, c.Keys = url, keys
		i := open(t, c)
		t.Cleanup(func() {
			if err := i.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		shared = append(shared, i)
	}
	t.Cleanup(func() {
		r, err := Verify(context.Background(), Config{Database: url, Keys: keys}, nil)
		if err != nil || !r.Holds() {
			t.Errorf("verify: %+v, %v", r, err)
		}
	})
	found(t, shared[0])
	return shared, url
}

func newProduct(i *Instance) (id.ID, journal.Command) {
	key := i.IDs.New(id.Product)
	return key, journal.Bind(catalog.CreateProduct{ID: key, Title: "Coffee", Status: catalog.Active})
}

func TestProcessesKeepOneOrder(t *testing.T) {
	shared, _ := share(t, 3)
	if shared[0].Store.Shop != shared[2].Store.Shop {
		t.Fatal("each has a shop of its own")
	}
	key, c := newProduct(shared[0])
	do(t, shared[0], c)
	const callers, each = 8, 15
	var mu sync.Mutex
	seqs := map[int64]bool{}
	var wg sync.WaitGroup
	for n, i := range shared {
		for caller := range callers {
			wg.Go(func() {
				for k := range each {
					title := fmt.Sprintf("Coffee %d %d %d", n, caller, k)
					out, err := i.Program.Do(t.Context(), &program.Request{Meta: setup, Command: journal.Bind(catalog.UpdateProduct{ID: key, Title: &title})})
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if seqs[out.Events[0].Seq] {
						t.Errorf("seq %d twice", out.Events[0].Seq)
					}
					seqs[out.Events[0].Seq] = true
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	row, err := shared[1].Store.Load(t.Context(), shared[1].Store.Read, journal.Ref{Kind: journal.Product, ID: key})
	if want := int64(1 + 3*callers*each); err != nil || row.Version != want || len(seqs) != int(want-1) {
		t.Errorf("version %d after %d changes, %v", row.Version, len(seqs), err)
	}
}

func TestProcessesHearOfEachOther(t *testing.T) {
	shared, _ := share(t, 2)
	grown, done := shared[1].Program.Watch()
	defer done()
	key, c := newProduct(shared[0])
	out := do(t, shared[0], c)
	for end := time.After(5 * time.Second); shared[1].Program.Head() < out.Events[0].Seq; {
		select {
		case <-grown:
		case <-end:
			t.Fatal("the other process did not hear of the change")
		}
	}
	// What one changed the other finds, and decides upon.
	var found []int64
	for seq, err := range shared[1].Finder.Search(t.Context(), find.Filter{Targets: []id.ID{key}}, -1) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, seq)
	}
	if len(found) != 1 {
		t.Errorf("the other process finds %v", found)
	}
	title := "Tea"
	do(t, shared[1], journal.Bind(catalog.UpdateProduct{ID: key, Title: &title}))
	_, err := shared[0].Program.Do(t.Context(), &program.Request{Meta: setup, Command: journal.Bind(catalog.UpdateProduct{ID: key, Title: &title}),
		Target: journal.Ref{Kind: journal.Product, ID: key}, IfMatch: new(int64(1))})
	if fault.As(err).Kind != fault.Stale {
		t.Errorf("a version that another process made stale: %v", err)
	}
}

// Every connection is cut, again and again, while people work: nobody is told that something happened which did not, and nothing
// happens twice.
func TestLostConnections(t *testing.T) {
	shared, url := share(t, 2)
	admin, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	var wg sync.WaitGroup
	stop := make(chan struct{})
	var mu sync.Mutex
	made, unsure := map[id.ID]int64{}, map[id.ID]bool{}
	for _, i := range shared {
		for range 4 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					key, c := newProduct(i)
					out, err := i.Program.Do(t.Context(), &program.Request{Meta: setup, Command: c})
					mu.Lock()
					if err == nil {
						made[key] = out.Events[0].Seq
					} else if f := fault.As(err); f.Kind != fault.Unavailable {
						t.Errorf("refused with %v", err)
					} else if f.Code == "outcome_unknown" {
						unsure[key] = true
					}
					mu.Unlock()
				}
			})
		}
	}
	for range 15 {
		time.Sleep(100 * time.Millisecond)
		if _, err := admin.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
	if len(made) == 0 {
		t.Errorf("only %d changes were made", len(made))
	}
	rows, err := shared[0].Store.List(t.Context(), shared[0].Store.DB.Reader, journal.Product, "true")
	for err != nil && fault.As(err).Code == "database_unreachable" { // the pool may still have connections that were cut last
		rows, err = shared[0].Store.List(t.Context(), shared[0].Store.DB.Reader, journal.Product, "true")
	}
	if err != nil {
		t.Fatal(err)
	}
	there := map[id.ID]bool{}
	for _, r := range rows {
		key := r.State.Ref().ID
		there[key] = true
		if _, ok := made[key]; !ok && !unsure[key] {
			t.Errorf("%s is there, and its caller was told that it is not", key)
		}
	}
	for key, seq := range made {
		if !there[key] {
			t.Errorf("%s was acknowledged with seq %d, and is not there", key, seq)
		}
	}
	t.Logf("%d acknowledged, %d unknown", len(made), len(unsure))
}

func TestAJobHasOneLeader(t *testing.T) {
	shared, _ := share(t, 2)
	a, b := shared[0].Store, shared[1].Store
	for _, c := range []struct {
		s      *store.Store
		holder string
		want   bool
	}{{a, "a", true}, {b, "b", false}, {a, "a", true}} {
		if got, err := c.s.Lease(t.Context(), "job", c.holder, time.Hour); err != nil || got != c.want {
			t.Errorf("%s: got %v, %v, want %v", c.holder, got, err, c.want)
		}
	}
	if err := a.Release(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Lease(t.Context(), "job", "b", time.Millisecond); err != nil || !got {
		t.Errorf("after it was given back: %v, %v", got, err)
	}
	for end := time.Now().Add(5 * time.Second); ; { // it runs out by itself
		if got, err := a.Lease(t.Context(), "job", "a", time.Hour); err != nil || got {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a lease that ran out was not taken over")
		}
	}
}
