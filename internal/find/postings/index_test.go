package postings

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func open(t testing.TB, path string, opt Options) *Index {
	t.Helper()
	x, err := Open(t.Context(), path, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

func feed(t testing.TB, x *Index, shop string, n int) {
	t.Helper()
	next := int(x.Next(shop))
	if err := x.Append(shop, sample(next, n-next)); err != nil {
		t.Fatal(err)
	}
}

// check compares some answers about sample with what they should be.
func check(t testing.TB, x *Index, shop string, n int) {
	t.Helper()
	if got := x.Next(shop); got != int64(n) {
		t.Fatalf("Next: got %d, want %d", got, n)
	}
	m := model{}
	for _, e := range sample(0, n) {
		m[shop] = append(m[shop], e.Facets)
	}
	for _, q := range []Query{
		{},
		{All: [][]string{{"s:yes"}}, Desc: true},
		{All: [][]string{{"l:admin"}, {"h:portal", "h:engine"}}},
		{All: [][]string{{"t:sub_00000000000000000000000003"}, {"s:yes"}}, Desc: true},
		{All: [][]string{{"y:type.1"}, {"a:7"}}, From: int64(n / 3), To: int64(n / 2)},
		{All: [][]string{{"nowhere"}}},
	} {
		got, err := collect(t.Context(), x, shop, q, 0)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		if diff := cmp.Diff(m.search(shop, q), got); diff != "" {
			t.Fatalf("%+v (-want +got):\n%s", q, diff)
		}
	}
}

// TestConcurrent appends to two shops, searches, flushes and drops while runs are written and merged.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	x := open(t, ":memory:", Options{TailEvents: 100})
	const n = 12_000
	var appended [2]atomic.Int64
	var appending, reading sync.WaitGroup
	for i := range appended {
		shop := fmt.Sprint("shop", i)
		appending.Go(func() {
			for part := range slices.Chunk(sample(0, n), 333) {
				if err := x.Append(shop, part); err != nil {
					t.Error(err)
					return
				}
				appended[i].Store(part[len(part)-1].Seq + 1)
			}
		})
		reading.Go(func() {
			for ctx.Err() == nil {
				// What was appended before has to be there: "s:yes" is in every entry.
				low := appended[i].Load()
				desc := low%2 == 0
				count := int64(0)
				last := int64(-1)
				for seq, err := range x.Search(context.Background(), shop, Query{All: [][]string{{"s:yes"}, {"l:admin", "l:customer", "l:system"}}, Desc: desc}) {
					if err != nil {
						t.Error(err)
						return
					}
					if count > 0 && (desc && seq != last-1 || !desc && seq != last+1) {
						t.Errorf("%d after %d", seq, last)
						return
					}
					last = seq
					count++
				}
				if count < low {
					t.Errorf("%d found, %d appended before", count, low)
					return
				}
			}
		})
	}
	reading.Go(func() {
		for ctx.Err() == nil {
			if err := x.Append("other", sample(0, 500)); err != nil {
				t.Error(err)
			}
			if err := x.Flush(context.Background()); err != nil {
				t.Error(err)
			}
			x.Stats()
			if err := x.Drop(context.Background(), "other"); err != nil {
				t.Error(err)
			}
			checkRuns(t, x)
		}
	})
	appending.Wait()
	cancel()
	reading.Wait()
	for i := range appended {
		check(t, x, fmt.Sprint("shop", i), n)
	}
	if err := x.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := x.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, x, "shop0", n)
}

// TestSearchSurvivesMerge holds a search at its first seq while everything below it is merged, dropped and swept.
func TestSearchSurvivesMerge(t *testing.T) {
	t.Parallel()
	x := open(t, ":memory:", Options{TailEvents: 64})
	feed(t, x, "s", 64*7)
	if err := x.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := int64(0)
	for seq, err := range x.Search(t.Context(), "s", Query{All: [][]string{{"s:yes"}}}) {
		if err != nil {
			t.Fatal(err)
		}
		if seq == 0 {
			feed(t, x, "s", 64*8)
			if err := x.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := x.Drop(t.Context(), "s"); err != nil {
				t.Fatal(err)
			}
		}
		if seq != want {
			t.Fatalf("got %d, want %d", seq, want)
		}
		want++
	}
	if want != 64*7 {
		t.Errorf("%d found, want %d", want, 64*7)
	}
	if err := x.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	var blocks int
	if err := x.reader.QueryRow(`SELECT COUNT(*) FROM run_block`).Scan(&blocks); err != nil || blocks != 0 {
		t.Errorf("%d blocks are left, %v", blocks, err)
	}
}

func TestLevels(t *testing.T) {
	tests := []struct {
		name  string
		sizes []int64
		want  []int64 // sizes of what should be merged
	}{
		{"none", nil, nil},
		{"seven tails", []int64{64, 64, 64, 64, 64, 64, 64}, nil},
		{"eight tails", []int64{64, 64, 64, 64, 64, 64, 64, 64}, []int64{64, 64, 64, 64, 64, 64, 64, 64}},
		{"small ones after a big one", []int64{512, 5, 3}, []int64{5, 3}},
		{"a big one between", []int64{1, 2, 64, 2, 1}, nil},
		{"lowest level first", []int64{64, 64, 64, 64, 64, 64, 64, 7, 1, 64}, []int64{7, 1}},
		{"at the top", []int64{64 * 512, 64 * 512, 64 * 512, 64 * 512, 64 * 512, 64 * 512, 64 * 512, 64 * 512}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var runs []*run
			at := int64(0)
			for _, n := range tt.sizes {
				runs = append(runs, &run{from: at, to: at + n})
				at += n
			}
			var got []int64
			for _, r := range pick(levels(64), runs) {
				got = append(got, r.to-r.from)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	x := open(t, ":memory:", Options{TailEvents: 1000})
	feed(t, x, "s", 3500)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var last error
	for _, err := range x.Search(ctx, "s", Query{All: [][]string{{"s:yes"}}}) {
		cancel()
		n++
		last = err
	}
	if !errors.Is(last, context.Canceled) || n > 3000 {
		t.Errorf("ended after %d with %v", n, last)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
	if err := x.Append("s", sample(3500, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("Append: got %v, want ErrClosed", err)
	}
	if err := x.Flush(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Flush: got %v, want ErrClosed", err)
	}
	if err := x.Drop(t.Context(), "s"); !errors.Is(err, ErrClosed) {
		t.Errorf("Drop: got %v, want ErrClosed", err)
	}
	if _, err := collect(t.Context(), x, "s", Query{}, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("Search: got %v, want ErrClosed", err)
	}
	if _, err := os.Stat(x.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary file: %v", err)
	}
}

func TestCloseEndsASearch(t *testing.T) {
	t.Parallel()
	x := open(t, ":memory:", Options{TailEvents: 100})
	feed(t, x, "s", 5000)
	if err := x.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var last error
	for seq, err := range x.Search(t.Context(), "s", Query{All: [][]string{{"o:req_00000000000000000000000000", "o:req_00000000000000000000002250"}}}) {
		if seq == 0 && err == nil {
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
		}
		last = err
	}
	if !errors.Is(last, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", last)
	}
}

// copyFile copies an index's file as it is at this moment, as a killed process would leave it: while the writer is held,
// nothing is written and no checkpoint runs.
func copyFile(t testing.TB, x *Index, to string) {
	t.Helper()
	tx, err := x.writer.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	for _, suffix := range []string{"", "-wal"} {
		p, err := os.ReadFile(x.path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+suffix, p, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCrash opens copies that were taken while runs were written and merged, and copies that lost the end of the log.
func TestCrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	opt := Options{TailEvents: 50, Logf: t.Errorf}
	x := open(t, filepath.Join(dir, "find.db"), opt)
	for i, part := range slices.Collect(slices.Chunk(sample(0, 6000), 97)) {
		if err := x.Append("s", part); err != nil {
			t.Fatal(err)
		}
		if i%6 > 1 {
			continue
		}
		path := filepath.Join(dir, fmt.Sprintf("copy%d.db", i))
		copyFile(t, x, path)
		if i%6 == 1 {
			st, err := os.Stat(path + "-wal")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path+"-wal", st.Size()-st.Size()/7-int64(i)); err != nil {
				t.Fatal(err)
			}
		}
		again, err := Open(t.Context(), path, opt)
		if err != nil {
			t.Fatal(err)
		}
		next := again.Next("s")
		if limit := part[len(part)-1].Seq + 1; next > limit {
			t.Fatalf("Next is %d of %d", next, limit)
		}
		check(t, again, "s", int(next))
		feed(t, again, "s", int(next)+333)
		if err := again.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		check(t, again, "s", int(next)+333)
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMadeAnew(t *testing.T) {
	t.Parallel()
	exec := func(text string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			d, err := sql.Open("sqlite", "file:"+path)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if _, err := d.Exec(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name  string
		spoil func(t *testing.T, path string)
	}{
		{"older format", exec(`PRAGMA user_version = 0`)},
		{"no table", exec(`DROP TABLE run_block`)},
		{"a column is missing", exec(`ALTER TABLE run DROP COLUMN bloom`)},
		{"a run is missing", exec(`DELETE FROM run WHERE seq_from = 0`)},
		{"filter changed", exec(`UPDATE run SET bloom = zeroblob(length(bloom))`)},
		{"no database", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("this is no database, whatever its name may say"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"cut short", func(t *testing.T, path string) {
			if err := os.Truncate(path, 3*pageSize); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "find.db")
			x := open(t, path, Options{TailEvents: 300})
			feed(t, x, "s", 1000)
			if err := x.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
			tt.spoil(t, path)
			told := 0
			x = open(t, path, Options{TailEvents: 300, Logf: func(string, ...any) { told++ }})
			if x.Next("s") != 0 || told != 1 {
				t.Errorf("Next %d, told %d times", x.Next("s"), told)
			}
			feed(t, x, "s", 1000)
			check(t, x, "s", 1000)
		})
	}
}

func TestDamagedBlock(t *testing.T) {
	t.Parallel()
	x := open(t, ":memory:", Options{TailEvents: 1000})
	feed(t, x, "s", 1000)
	if err := x.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`UPDATE run_block SET body = CAST(substr(body, 2) || x'00' AS BLOB)`, `DELETE FROM run_block`} {
		if _, err := x.writer.Exec(text); err != nil {
			t.Fatal(err)
		}
		if _, err := collect(t.Context(), x, "s", Query{All: [][]string{{"s:yes"}}}, 0); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%s: got %v, want ErrDamaged", text, err)
		}
	}
	if err := x.Drop(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	feed(t, x, "s", 1500)
	check(t, x, "s", 1500)
}

func TestForeignDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "perennial.db")
	d, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Exec(`CREATE TABLE event (seq INTEGER); INSERT INTO event VALUES (1)`); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, Options{}); err == nil || errors.Is(err, ErrDamaged) {
		t.Fatalf("got %v", err)
	}
	var n int
	if err := d.QueryRow(`SELECT COUNT(*) FROM event`).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d rows are left, %v", n, err)
	}
}

func TestInUse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "find.db")
	x := open(t, path, Options{})
	if _, err := Open(t.Context(), path, Options{}); !errors.Is(err, ErrInUse) {
		t.Fatalf("got %v, want ErrInUse", err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path, Options{})
}

// TestFileCannotBeWritten keeps answering from memory, refuses when memory is full, and recovers.
func TestFileCannotBeWritten(t *testing.T) {
	t.Parallel()
	x := open(t, ":memory:", Options{TailEvents: 5000})
	if _, err := x.writer.Exec(`ALTER TABLE run RENAME TO away`); err != nil {
		t.Fatal(err)
	}
	entries := make([]Entry, 2*maxTail)
	for i := range entries {
		entries[i] = Entry{Seq: int64(i), Facets: []string{"s:yes", fmt.Sprint("n:", i%1000)}}
	}
	if err := x.Append("s", entries[:3000]); err != nil {
		t.Fatal(err)
	}
	if err := x.Flush(t.Context()); err == nil {
		t.Fatal("Flush says nothing")
	}
	err := x.Append("s", entries[3000:])
	next := x.Next("s")
	if err == nil || next > maxTail || next < maxTail-appendStep {
		t.Fatalf("Append to %d: %v", next, err)
	}
	got, err := collect(t.Context(), x, "s", Query{All: [][]string{{"n:7"}}}, 3)
	if diff := cmp.Diff([]int64{7, 1007, 2007}, got); diff != "" || err != nil {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := x.writer.Exec(`ALTER TABLE away RENAME TO run`); err != nil {
		t.Fatal(err)
	}
	if err := x.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := x.Append("s", entries[next:]); err != nil {
		t.Fatal(err)
	}
	if got := x.Next("s"); got != int64(len(entries)) {
		t.Errorf("Next: got %d, want %d", got, len(entries))
	}
}

// TestBeside uses the connections for a table of one's own, which lives as long as the file.
func TestBeside(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "find.db")
	x := open(t, path, Options{})
	w, _ := x.DB()
	if _, err := w.Exec(`CREATE TABLE name_word (word TEXT); INSERT INTO name_word VALUES ('ada')`); err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	x = open(t, path, Options{})
	_, r := x.DB()
	var word string
	if err := r.QueryRow(`SELECT word FROM name_word`).Scan(&word); err != nil || word != "ada" {
		t.Errorf("got %q, %v", word, err)
	}
	if _, err := r.Exec(`DELETE FROM name_word`); err == nil {
		t.Error("the reader writes")
	}
}

// A file that another one writes is read as it is at one moment: what is only in memory is not there, and what is merged away stays.
func TestOpenReadOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "find.db")
	if _, err := OpenReadOnly(t.Context(), path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
	x := open(t, path, Options{TailEvents: 100})
	feed(t, x, "s", 750)
	if err := x.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	check(t, r, "s", 700)
	feed(t, x, "s", 2000)
	if err := x.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, x, "s", 2000)
	check(t, r, "s", 700)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := x.writer.Exec(`PRAGMA user_version = 99`); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReadOnly(t.Context(), path); !errors.Is(err, ErrOther) {
		t.Errorf("another format: %v", err)
	}
}
