package postings

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// model is what an index should answer: the facets of every entry.
type model map[string][][]string

func (m model) search(shop string, q Query) []int64 {
	var out []int64
	for seq, facets := range m[shop] {
		if int64(seq) < q.From || q.To > 0 && int64(seq) >= q.To {
			continue
		}
		hit := !slices.ContainsFunc(q.All, func(or []string) bool {
			return !slices.ContainsFunc(or, func(f string) bool { return slices.Contains(facets, f) })
		})
		if hit {
			out = append(out, int64(seq))
		}
	}
	if q.Desc {
		slices.Reverse(out)
	}
	return out
}

func collect(ctx context.Context, x *Index, shop string, q Query, limit int) ([]int64, error) {
	var out []int64
	for seq, err := range x.Search(ctx, shop, q) {
		if err != nil {
			return out, err
		}
		if out = append(out, seq); len(out) == limit {
			break
		}
	}
	return out, nil
}

func head(s []int64, limit int) []int64 {
	if limit > 0 && len(s) > limit {
		return s[:limit]
	}
	return s
}

// drawFacets draws facets of all frequencies: in nearly all entries, in half, in some, in one.
func drawFacets(t *rapid.T, seq int) []string {
	var out []string
	for i, one := range []int{1, 2, 5, 30} {
		if rapid.IntRange(0, 9).Draw(t, "has") < 9 {
			out = append(out, fmt.Sprintf("f%d:%d", i, rapid.IntRange(0, one).Draw(t, "value")))
		}
	}
	if rapid.Bool().Draw(t, "own") {
		out = append(out, fmt.Sprintf("own:%d", seq), "own:any", "own:any")
	}
	return out
}

func drawQuery(t *rapid.T, n int) Query {
	facet := rapid.Custom(func(t *rapid.T) string {
		switch i := rapid.IntRange(0, 5).Draw(t, "kind"); i {
		case 4:
			return "own:any"
		case 5:
			return fmt.Sprintf("own:%d", rapid.IntRange(0, n).Draw(t, "value"))
		default:
			return fmt.Sprintf("f%d:%d", i, rapid.IntRange(0, 3).Draw(t, "value"))
		}
	})
	q := Query{Desc: rapid.Bool().Draw(t, "desc"), All: rapid.SliceOfN(rapid.SliceOfN(facet, 0, 3), 0, 3).Draw(t, "all")}
	if rapid.Bool().Draw(t, "ranged") {
		q.From = int64(rapid.IntRange(-1, n+2).Draw(t, "from"))
		q.To = int64(rapid.IntRange(0, n+2).Draw(t, "to"))
	}
	return q
}

func TestModel(t *testing.T) {
	t.Parallel()
	dir, file := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		opt := Options{TailEvents: rapid.IntRange(1, 20).Draw(t, "tail")}
		file++
		path := filepath.Join(dir, fmt.Sprint(file, ".db"))
		x, err := Open(ctx, path, opt)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
		}()
		m := model{}
		shop := rapid.SampledFrom([]string{"shop_a", "shop_b"})
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				s := shop.Draw(t, "shop")
				var entries []Entry
				for range rapid.IntRange(0, 70).Draw(t, "n") {
					seq := len(m[s])
					f := drawFacets(t, seq)
					m[s] = append(m[s], f)
					entries = append(entries, Entry{Seq: int64(seq), Facets: f})
				}
				if err := x.Append(s, entries); err != nil {
					t.Fatal(err)
				}
			},
			"gap": func(t *rapid.T) {
				s := shop.Draw(t, "shop")
				seq := rapid.Int64Range(-1, int64(len(m[s]))+5).Filter(func(n int64) bool { return n != int64(len(m[s])) }).Draw(t, "seq")
				if err := x.Append(s, []Entry{{Seq: seq}}); !errors.Is(err, ErrGap) {
					t.Fatalf("Append of %d: got %v, want ErrGap", seq, err)
				}
			},
			"flush": func(t *rapid.T) {
				if err := x.Flush(ctx); err != nil {
					t.Fatal(err)
				}
			},
			"settle": func(t *rapid.T) {
				if err := x.settle(ctx); err != nil {
					t.Fatal(err)
				}
			},
			"reopen": func(t *rapid.T) {
				if err := x.Close(); err != nil {
					t.Fatal(err)
				}
				if x, err = Open(ctx, path, opt); err != nil {
					t.Fatal(err)
				}
				for s := range m {
					next := x.Next(s)
					if next > int64(len(m[s])) {
						t.Fatalf("Next of %s is %d of %d", s, next, len(m[s]))
					}
					m[s] = m[s][:next]
				}
			},
			"drop": func(t *rapid.T) {
				if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
					t.Skip()
				}
				s := shop.Draw(t, "shop")
				if err := x.Drop(ctx, s); err != nil {
					t.Fatal(err)
				}
				m[s] = nil
			},
			"search": func(t *rapid.T) {
				s := shop.Draw(t, "shop")
				q := drawQuery(t, len(m[s]))
				limit := rapid.SampledFrom([]int{0, 1, 10}).Draw(t, "limit")
				got, err := collect(ctx, x, s, q, limit)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(head(m.search(s, q), limit), got); diff != "" {
					t.Fatalf("%+v (-want +got):\n%s", q, diff)
				}
			},
			"": func(t *rapid.T) {
				for s := range m {
					if got, want := x.Next(s), int64(len(m[s])); got != want {
						t.Fatalf("Next of %s: got %d, want %d", s, got, want)
					}
				}
				checkRuns(t, x)
			},
		})
		if err := x.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		if err := x.settle(ctx); err != nil {
			t.Fatal(err)
		}
		var stray int
		if err := x.reader.QueryRow(`SELECT COUNT(*) FROM run_block b WHERE NOT EXISTS (SELECT 1 FROM run r WHERE r.shop_id = b.shop_id AND r.run = b.run)`).Scan(&stray); err != nil {
			t.Fatal(err)
		}
		if stray != 0 {
			t.Fatalf("%d blocks belong to no run", stray)
		}
		for _, s := range x.shops {
			if inputs := pick(x.levels, s.runs); inputs != nil {
				t.Fatalf("settled, and %d runs of %s should be merged", len(inputs), s.id)
			}
		}
	})
}

// checkRuns checks that segments follow each other without a gap.
func checkRuns(t interface{ Fatalf(string, ...any) }, x *Index) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, s := range x.shops {
		at := int64(0)
		for _, r := range s.runs {
			if r.from != at || r.refs.Load() < 1 {
				t.Fatalf("run %d of %s begins at %d, wanted %d; %d references", r.id, s.id, r.from, at, r.refs.Load())
			}
			at = r.to
		}
		for _, f := range append(slices.Clone(s.frozen), s.tail) {
			if f.from != at {
				t.Fatalf("a tail of %s begins at %d, wanted %d", s.id, f.from, at)
			}
			at = f.next()
		}
	}
}

// sample gives entries like those of a shop: about 13 facets, of which some are nearly everywhere.
func sample(from, n int) []Entry {
	out := make([]Entry, n)
	for i := range out {
		seq := from + i
		r := rand.New(rand.NewPCG(uint64(seq), 1))
		subject := r.IntN(max(seq/20, 1) + 1)
		typ := min(int(r.ExpFloat64()*12), 99)
		out[i] = Entry{Seq: int64(seq), Facets: []string{
			fmt.Sprintf("t:sub_%026d", subject), fmt.Sprintf("t:cus_%026d", subject/2), fmt.Sprintf("t:ord_%026d", max(seq/6-r.IntN(5000), 0)),
			fmt.Sprintf("y:type.%d", typ), fmt.Sprintf("y:type%d.*", typ/5), fmt.Sprintf("c:%d", typ/10),
			[]string{"l:admin", "l:customer", "l:system"}[r.IntN(3)], []string{"k:system", "k:customer", "k:team_member", "k:api_key"}[min(int(r.ExpFloat64()), 3)],
			fmt.Sprintf("a:%d", r.IntN(40)), []string{"h:dashboard", "h:portal", "h:engine"}[r.IntN(3)],
			fmt.Sprintf("o:req_%026d", seq/2), "s:yes", "r:no",
		}}
	}
	return out
}

// TestScale compares answers where lists go over many cells, blocks, runs and levels.
func TestScale(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	x, err := Open(ctx, ":memory:", Options{TailEvents: 500})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	const n = 60_000
	m := model{}
	entries := sample(0, n)
	for _, e := range entries {
		m["s"] = append(m["s"], e.Facets)
	}
	for part := range slices.Chunk(entries, 777) {
		if err := x.Append("s", part); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.settle(ctx); err != nil {
		t.Fatal(err)
	}
	if st := x.Stats(); st.Runs > 12 || st.Blocks < 100 || st.Tail != 0 {
		t.Errorf("settled: %+v", st)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 150 {
		var q Query
		for range r.IntN(4) {
			var or []string
			for range 1 + r.IntN(3) {
				f := entries[r.IntN(n)].Facets
				or = append(or, f[r.IntN(len(f))])
			}
			q.All = append(q.All, or)
		}
		if r.IntN(2) == 0 {
			q.From, q.To = r.Int64N(n), r.Int64N(n)
		}
		q.Desc = r.IntN(2) == 0
		limit := []int{0, 50}[r.IntN(2)]
		got, err := collect(ctx, x, "s", q, limit)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(head(m.search("s", q), limit), got); diff != "" {
			t.Fatalf("%+v (-want +got):\n%s", q, diff)
		}
	}
}
