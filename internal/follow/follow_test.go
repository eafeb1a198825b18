package follow_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/customer"
	"perennial/internal/db"
	"perennial/internal/follow"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/store"
	"perennial/internal/test/shop"
)

// made is what a follower of these tests makes: the types of the entries by seq, in a table beside its position.
type made struct {
	t   testing.TB
	d   *db.DB
	row *follow.Row
	*follow.Follower
}

func newMade(t testing.TB, s *store.Store) *made {
	t.Helper()
	d, err := db.OpenMemory(t.Context())
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	for _, text := range []string{`CREATE TABLE place (shop_id TEXT PRIMARY KEY, next INTEGER NOT NULL, leaf_hash BLOB NOT NULL, version INTEGER NOT NULL, note TEXT NOT NULL) STRICT`,
		`CREATE TABLE made (seq INTEGER PRIMARY KEY, type TEXT NOT NULL, leaf BLOB NOT NULL) STRICT`} {
		_, err := d.Writer.ExecContext(t.Context(), text)
		must(t, err)
	}
	return (&made{t: t, d: d}).of(s)
}

// of is a follower that goes on with what was made, of a store.
func (m *made) of(s *store.Store) *made {
	n := &made{t: m.t, d: m.d}
	n.row = &follow.Row{DB: func() *db.DB { return m.d }, Store: s, Table: "place", Column: "version", Version: 1, First: ", note", Values: ", ''",
		Clear: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `DELETE FROM made`)
			return err
		}}
	n.Follower = &follow.Follower{Name: "made", Store: s, Place: n.row, Batch: 3, Take: func(ctx context.Context, r *follow.Run) error {
		for _, e := range r.Events {
			if _, err := r.Tx.ExecContext(ctx, `INSERT INTO made (seq, type, leaf) VALUES ($1, $2, $3)`, e.Seq, e.Type, e.Leaf[:]); err != nil {
				return err
			}
		}
		return nil
	}}
	return n
}

func (m *made) catchUp() {
	m.t.Helper()
	must(m.t, m.CatchUp(m.t.Context(), nil))
}

// holds compares what was made with the journal.
func (m *made) holds(s *store.Store, what string) {
	m.t.Helper()
	var got, want []string
	must(m.t, db.Each(m.t.Context(), m.d.Reader, func(r *sql.Rows) error {
		var seq int64
		var typ string
		var leaf []byte
		err := r.Scan(&seq, &typ, &leaf)
		got = append(got, fmt.Sprintf("%d %s %x", seq, typ, leaf))
		return err
	}, `SELECT seq, type, leaf FROM made ORDER BY seq`))
	for e, err := range s.Events(m.t.Context(), s.Read, store.Closed, 0, 0) {
		must(m.t, err)
		want = append(want, fmt.Sprintf("%d %s %x", e.Seq, e.Type, e.Leaf[:]))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		m.t.Errorf("%s (-journal +made):\n%s", what, diff)
	}
	if next := m.Next(); next != int64(len(want)) {
		m.t.Errorf("%s: next is %d of %d", what, next, len(want))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func people(s *shop.Shop, n int, name string) {
	for i := range n {
		s.Do(journal.Bind(customer.Create{ID: s.IDs.New(id.Customer), Email: fmt.Sprintf("%s%d@mail.example", name, i)}))
	}
}

// What was made and the position change together: a run that fails changes neither, and the next one begins where it began.
func TestWhatFailsIsTakenAgain(t *testing.T) {
	s := shop.Open(t)
	m := newMade(t, s.Store)
	take, failing := m.Take, errors.New("not now")
	m.Take = func(ctx context.Context, r *follow.Run) error {
		return errors.Join(take(ctx, r), failing)
	}
	people(s, 4, "ada")
	if err := m.CatchUp(t.Context(), nil); !errors.Is(err, failing) || m.Next() != 0 {
		t.Errorf("got %v and %d", err, m.Next())
	}
	failing = nil
	var done []int64
	must(t, m.CatchUp(t.Context(), func(n int64) { done = append(done, n) }))
	m.holds(s.Store, "after a failure")
	if !slices.IsSorted(done) || done[len(done)-1] != m.Next() {
		t.Errorf("the progress was %v", done)
	}
	people(s, 1, "bob")
	again := m.of(s.Store) // as after a restart
	again.catchUp()
	again.holds(s.Store, "after a restart")
	must(t, again.Restart(t.Context()))
	again.catchUp()
	again.holds(s.Store, "made anew")
}

// A journal that was put back, or goes on otherwise than it did, is noticed before anything of it is taken; nothing of the other one stays.
func TestAJournalThatWasPutBack(t *testing.T) {
	shop.OnlySQLite(t)
	for _, more := range []int{0, 2, 5, 9} { // shorter, as long and longer than what was taken
		t.Run(fmt.Sprint(more), func(t *testing.T) {
			dir, copied := t.TempDir(), t.TempDir()
			s := shop.OpenAt(t, dir)
			s.Found()
			people(s, 3, "before")
			must(t, s.DB.Backup(t.Context(), filepath.Join(copied, "perennial.db"), nil))
			keys := filepath.Join(copied, "keys")
			must(t, os.CopyFS(keys, os.DirFS(filepath.Join(dir, "keys"))))
			must(t, filepath.WalkDir(keys, func(path string, _ os.DirEntry, err error) error { return errors.Join(err, os.Chmod(path, 0o700)) }))
			people(s, 5, "lost")
			m := newMade(t, s.Store)
			m.catchUp()
			m.holds(s.Store, "the first journal")

			back := shop.OpenAt(t, copied)
			people(back, more, "other")
			again := m.of(back.Store)
			must(t, again.Check(t.Context())) // what was made is gone before anybody sees it
			again.Follower = m.of(back.Store).Follower
			again.catchUp()
			again.holds(back.Store, "the journal that was put back")
		})
	}
}

// A journal that was written again below the position is noticed with the next entry, in a process that runs.
func TestAJournalThatWasWrittenAgain(t *testing.T) {
	s := shop.Open(t)
	m := newMade(t, s.Store)
	m.catchUp()
	_, err := m.d.Writer.ExecContext(t.Context(), `UPDATE place SET leaf_hash = $1`, make([]byte, 32))
	must(t, err)
	_, err = m.d.Writer.ExecContext(t.Context(), `UPDATE made SET type = 'another.journal'`)
	must(t, err)
	people(s, 1, "ada")
	m.catchUp()
	m.holds(s.Store, "written again")
}

// What another version made is dropped.
func TestAnotherVersion(t *testing.T) {
	s := shop.Open(t)
	m := newMade(t, s.Store)
	m.catchUp()
	_, err := m.d.Writer.ExecContext(t.Context(), `UPDATE made SET type = 'another.version'`)
	must(t, err)
	again := m.of(s.Store)
	again.row.Version = 2
	must(t, again.Check(t.Context()))
	if again.Next() != 0 {
		t.Errorf("%d entries of another version are taken as made", again.Next())
	}
	again.catchUp()
	again.holds(s.Store, "another version")
}

// Several that catch up at once take every entry once.
func TestCatchingUpTogether(t *testing.T) {
	s := shop.Open(t)
	m := newMade(t, s.Store)
	other := m.of(s.Store)
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	for _, f := range []*made{m, m, other} {
		work.Go(func() {
			for ctx.Err() == nil {
				if err := f.CatchUp(ctx, nil); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	people(s, 40, "ada")
	stop()
	work.Wait()
	m.catchUp()
	m.holds(s.Store, "together")
}

// A follower of some types gets those, of families too, and comes to the head all the same.
func TestTypes(t *testing.T) {
	s := shop.Open(t)
	people(s, 7, "ada")
	for _, tt := range []struct {
		types []string
		batch int64
		want  int
	}{{nil, 0, 13}, {[]string{"customer.*"}, 0, 7}, {[]string{"customer.created"}, 2, 7}, {[]string{"billing_settings.*", "customer.created"}, 1, 8}, {[]string{"external.*"}, 0, 0}, {[]string{"order.placed"}, 0, 0}} {
		got := map[int64]int{}
		var last int64 = -1
		f := follow.Follower{Name: "types", Store: s.Store, Types: tt.types, Batch: tt.batch, Take: func(_ context.Context, r *follow.Run) error {
			for _, e := range r.Events {
				got[e.Seq]++
				if e.Seq <= last || e.Seq < r.From.Next || e.Seq >= r.To.Next {
					t.Errorf("%v: %d after %d, in [%d, %d)", tt.types, e.Seq, last, r.From.Next, r.To.Next)
				}
				last = e.Seq
			}
			return nil
		}}
		must(t, f.CatchUp(t.Context(), nil))
		if len(got) != tt.want || f.Next() != s.Program.Head()+1 || slices.ContainsFunc(slices.Collect(maps.Values(got)), func(n int) bool { return n != 1 }) {
			t.Errorf("%v: got %v and %d, want %d entries, once each", tt.types, got, f.Next(), tt.want)
		}
	}
	for _, unknown := range []string{"order.plcaed", "ordr.*"} {
		f := follow.Follower{Name: "types", Store: s.Store, Types: []string{unknown}}
		if err := f.CatchUp(t.Context(), nil); err == nil {
			t.Errorf("%s is taken for a type", unknown)
		}
	}
}

// While a run is taken, no transaction reads the journal: an embedded database can move its log into the file, and a server forgets old rows.
func TestNoReadingWhileTaking(t *testing.T) {
	s := shop.Open(t)
	people(s, 20, "ada")
	taken := 0
	f := follow.Follower{Name: "slow", Store: s.Store, Batch: 10, Take: func(_ context.Context, r *follow.Run) error {
		taken += len(r.Events)
		if n := s.DB.Reader.Stats().InUse; n > 0 && shop.Engine() == db.SQLite { // a server's readers are also those who listen
			t.Errorf("%d read", n)
		}
		return nil
	}}
	must(t, f.CatchUp(t.Context(), nil))
	if int64(taken) != f.Next() || taken == 0 {
		t.Errorf("%d taken of %d", taken, f.Next())
	}
}

// One process does what acts outwards. When it stops, another one goes on at once; when it loses the lease, its round ends.
func TestOneHolder(t *testing.T) {
	if shop.Engine() != db.Postgres {
		t.Skip("one process has an embedded database")
	}
	s := shop.Open(t)
	rounds := make(chan string, 100)
	follower := func(name string) *follow.Follower {
		return &follow.Follower{Name: "outwards", Store: s.Store, Lease: "outwards", Holder: name, Every: 20 * time.Millisecond,
			Take: func(context.Context, *follow.Run) error { return nil }, Round: func(context.Context, bool) error { rounds <- name; return nil }}
	}
	a, b := follow.New(s.Program, nil, follower("a")), follow.New(s.Program, nil, follower("b"))
	a.Start(t.Context())
	for range 3 {
		if got := <-rounds; got != "a" {
			t.Errorf("a round of %s", got)
		}
	}
	b.Start(t.Context())
	for range 5 {
		if got := <-rounds; got != "a" {
			t.Errorf("a round of %s, while a has the lease", got)
		}
	}
	if got := b.Figures()[0]; got.Lag != 0 {
		t.Errorf("who does not follow is %d behind", got.Lag)
	}
	a.Stop()
	for len(rounds) > 0 {
		<-rounds
	}
	if got := <-rounds; got != "b" {
		t.Errorf("a round of %s after a stopped", got)
	}
	b.Stop()
}
