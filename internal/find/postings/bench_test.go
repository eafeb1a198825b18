//go:build unix

package postings

import (
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

var benchEvents = flag.Int("events", 1_000_000, "entries in benchmarks")

// cpu is the time that this process has used, all threads.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fill appends the benchmarks' entries in batches of 1,000 and gives the wall and CPU time of that alone.
func fill(b *testing.B, x *Index) (wall, used time.Duration) {
	const part = 100_000
	for from := 0; from < *benchEvents; from += part {
		entries := sample(from, min(part, *benchEvents-from))
		w, c := time.Now(), cpu()
		for batch := range slices.Chunk(entries, 1000) {
			if err := x.Append("shop_1", batch); err != nil {
				b.Fatal(err)
			}
		}
		if from+part >= *benchEvents {
			if err := x.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		if err := x.settle(b.Context()); err != nil {
			b.Fatal(err)
		}
		wall, used = wall+time.Since(w), used+cpu()-c
	}
	return wall, used
}

// BenchmarkAppend appends, writes and merges all entries in each iteration.
func BenchmarkAppend(b *testing.B) {
	n := float64(*benchEvents)
	for b.Loop() {
		x := open(b, filepath.Join(b.TempDir(), "find.db"), Options{Logf: b.Logf})
		wall, used := fill(b, x)
		st := x.Stats()
		b.ReportMetric(float64(wall.Nanoseconds())/n, "wall-ns/event")
		b.ReportMetric(float64(used.Nanoseconds())/n, "cpu-ns/event")
		b.ReportMetric(float64(st.Bytes)/n, "bytes/event")
		b.ReportMetric(float64(st.Memory)/n, "memory-bytes/event")
		b.ReportMetric(float64(st.Runs), "runs")
		var pages float64
		if err := x.reader.QueryRow(`SELECT SUM(pgsize) FROM dbstat`).Scan(&pages); err == nil {
			b.ReportMetric(pages/n, "file-bytes/event")
		}
		if err := x.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTail appends without ever writing.
func BenchmarkTail(b *testing.B) {
	entries := sample(0, defaultTail-1)
	for b.Loop() {
		b.StopTimer()
		x := open(b, ":memory:", Options{})
		b.StartTimer()
		if err := x.Append("s", entries); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := x.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(entries)), "ns/event")
}

// BenchmarkSearch measures questions of the explorer. Every iteration asks for another subject.
func BenchmarkSearch(b *testing.B) {
	x := open(b, filepath.Join(b.TempDir(), "find.db"), Options{})
	fill(b, x)
	n := *benchEvents
	b.Logf("%+v", x.Stats())
	shown := []string{"s:yes"}
	log := []string{"l:admin"}
	subject := func(i int) []string { return []string{fmt.Sprintf("t:sub_%026d", (i*7919)%(n/40))} }
	for _, bm := range []struct {
		name  string
		limit int
		query func(i int) Query
	}{
		{"newest50-everything", 50, func(int) Query { return Query{All: [][]string{shown, {"r:no"}}} }},
		{"newest50-subject", 50, func(i int) Query { return Query{All: [][]string{subject(i)}} }},
		{"newest50-subject-as-shown", 50, func(i int) Query { return Query{All: [][]string{subject(i), shown, {"r:no"}}} }},
		{"newest50-subject-in-log", 50, func(i int) Query { return Query{All: [][]string{subject(i), shown, log}} }},
		{"newest50-rare-type", 50, func(int) Query { return Query{All: [][]string{{"y:type.90", "y:type.91"}, shown}} }},
		{"newest50-absent", 50, func(i int) Query { return Query{All: [][]string{{fmt.Sprint("t:absent", i)}, shown}} }},
		{"newest50-old-page", 50, func(i int) Query { return Query{All: [][]string{shown, log}, To: int64(n / 2)} }},
		{"newest50-of-three-groups", 50, func(i int) Query {
			return Query{All: [][]string{{"y:type.3", "y:type.4"}, {fmt.Sprint("a:", i%40)}, {"h:portal"}, log, shown}}
		}},
		{"all-of-a-type", 0, func(int) Query { return Query{All: [][]string{{"y:type.20"}, shown}} }},
	} {
		for _, desc := range []bool{true, false} {
			name := bm.name
			if !desc {
				name += "-oldest-first"
			}
			b.Run(name, func(b *testing.B) {
				i, found := 0, 0
				for b.Loop() {
					q := bm.query(i)
					q.Desc = desc
					got, err := collect(b.Context(), x, "shop_1", q, bm.limit)
					if err != nil {
						b.Fatal(err)
					}
					found += len(got)
					i++
				}
				b.ReportMetric(float64(found)/float64(i), "found/op")
			})
		}
	}
}

// BenchmarkOpen opens a file with all entries.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "find.db")
	x := open(b, path, Options{})
	fill(b, x)
	for b.Loop() {
		b.StopTimer()
		if err := x.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		x = open(b, path, Options{})
	}
}
