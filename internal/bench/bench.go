// Package bench measures a shop on the machine at hand, beside two references from the same run: how fast the disk takes
// an append with fdatasync, and how fast a bare SQLite takes an update and an insert. What counts are the ratios.
package bench

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"perennial/internal/audit"
	"perennial/internal/find"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/server"
	"perennial/internal/store"
	"perennial/internal/subscription"
)

// Figure is one row of the table.
type Figure struct {
	Name   string        `json:"name"`
	Rate   float64       `json:"rate_per_second,omitzero"`
	P50    time.Duration `json:"p50_ns,omitzero"`
	P99    time.Duration `json:"p99_ns,omitzero"`
	Bytes  float64       `json:"bytes,omitzero"`
	Ratio  float64       `json:"ratio,omitzero"`  // to the reference
	Beside string        `json:"beside,omitzero"` // the reference
}

// Options say how much is measured.
type Options struct {
	Span   time.Duration // how long each rate is measured
	Events int64         // how many entries the reads are measured on
}

// Bench measures an instance that serves at base with an API key, and has the subscriptions.
type Bench struct {
	I             *server.Instance
	Base, Key     string
	Dir           string
	Subscriptions []id.ID
	Customers     []id.ID
	Opt           Options
	Say           func(string)
	Out           []Figure
}

func (b *Bench) add(f Figure) { b.Out = append(b.Out, f) }

// many runs work from n callers for the span and gives rate and latencies.
func (b *Bench) many(n int, work func(caller, i int) error) (rate float64, p50, p99 time.Duration, err error) {
	var mu sync.Mutex
	var all []time.Duration
	var failed atomic.Pointer[error]
	began := time.Now()
	end := began.Add(b.Opt.Span)
	var wg sync.WaitGroup
	for c := range n {
		wg.Go(func() {
			var mine []time.Duration
			for i := 0; time.Now().Before(end) && failed.Load() == nil; i++ {
				t := time.Now()
				if err := work(c, i); err != nil {
					failed.Store(&err)
					return
				}
				mine = append(mine, time.Since(t))
			}
			mu.Lock()
			all = append(all, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	if e := failed.Load(); e != nil {
		return 0, 0, 0, *e
	}
	p50, p99 = percentiles(all)
	return float64(len(all)) / time.Since(began).Seconds(), p50, p99, nil
}

func percentiles(all []time.Duration) (p50, p99 time.Duration) {
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100]
}

// Raw measures the disk: 4 KiB appended and flushed.
func (b *Bench) Raw() (err error) {
	b.Say("the disk")
	f, err := os.Create(filepath.Join(b.Dir, "raw"))
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, 4096)
	rate, p50, p99, err := b.many(1, func(int, int) error {
		if _, err := f.Write(block); err != nil {
			return err
		}
		return f.Sync()
	})
	b.add(Figure{Name: "raw: append 4 KiB, fsync", Rate: rate, P50: p50, P99: p99})
	return err
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// SQLite measures a bare database: one update and one insert of about 350 bytes a transaction, and 64 in one.
func (b *Bench) SQLite(ctx context.Context) (err error) {
	b.Say("a bare SQLite")
	d, err := sql.Open("sqlite", "file:"+filepath.Join(b.Dir, "bare.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, d.Close()) }()
	d.SetMaxOpenConns(1)
	if _, err := d.ExecContext(ctx, `CREATE TABLE state (id INTEGER PRIMARY KEY, doc TEXT); CREATE TABLE log (seq INTEGER PRIMARY KEY, body TEXT); INSERT INTO state VALUES (1, '')`); err != nil {
		return err
	}
	body := strings.Repeat("x", 350)
	for _, n := range []int{1, 64} {
		rate, p50, p99, err := b.many(1, func(_, i int) error {
			tx, err := d.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback()
			for range n {
				if _, err := tx.ExecContext(ctx, `UPDATE state SET doc = $1 WHERE id = 1`, body); err != nil {
					return err
				}
				if _, err := tx.ExecContext(ctx, `INSERT INTO log (body) VALUES ($1)`, body); err != nil {
					return err
				}
			}
			return tx.Commit()
		})
		if err != nil {
			return err
		}
		b.add(Figure{Name: fmt.Sprintf("bare SQLite: update + insert, %d a transaction", n), Rate: rate * float64(n), P50: p50, P99: p99})
	}
	return nil
}

func (b *Bench) rateOf(name string) float64 {
	for _, f := range b.Out {
		if f.Name == name {
			return f.Rate
		}
	}
	return 0
}

// bare is the reference for n callers: those of one caller cannot be joined.
func (b *Bench) bare(n int) (name string, rate float64) {
	name = "bare SQLite: update + insert, 64 a transaction"
	if n == 1 {
		name = "bare SQLite: update + insert, 1 a transaction"
	}
	return name, b.rateOf(name)
}

func meta() program.Meta {
	return program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "bench"}, Source: journal.Origin{Channel: journal.ChannelCLI, IP: journal.Secluded("127.0.0.1"), UserAgent: journal.Secluded("bench/1")}}
}

func (b *Bench) request(c, i int) *program.Request {
	key := sha256.Sum256(fmt.Appendf(nil, "%d %d %d", time.Now().UnixNano(), c, i))
	return &program.Request{Meta: meta(), Command: journal.Bind(subscription.ChangeNote{ID: b.Subscriptions[(c*31+i)%len(b.Subscriptions)], Note: fmt.Sprintf("note %d of %d", i, c)}),
		Idempotency: &program.Idempotency{CallerKey: key[:20], RequestHash: key[:]},
		Answer: func(_ program.Query, o *program.Outcome) (program.Reply, error) {
			return program.Reply{Status: 200, Body: []byte(o.Decision.Result.ID)}, nil
		}}
}

// Commands measures durable commands in the process, with state, event, leaf, idempotency and the index catching up.
func (b *Bench) Commands(ctx context.Context) error {
	for _, n := range []int{1, 64, 512} {
		b.Say(fmt.Sprintf("commands of %d callers", n))
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Millisecond):
					if err := b.I.Finder.CatchUp(ctx); err != nil {
						return
					}
				}
			}
		})
		rate, p50, p99, err := b.many(n, func(c, i int) error {
			_, err := b.I.Program.Do(ctx, b.request(c, i))
			return err
		})
		close(stop)
		wg.Wait()
		if err != nil {
			return err
		}
		name, ref := b.bare(n)
		b.add(Figure{Name: fmt.Sprintf("durable commands, %d callers", n), Rate: rate, P50: p50, P99: p99, Ratio: rate / ref, Beside: name})
	}
	return nil
}

// HTTP measures the same over HTTP, with the load made on this machine too.
func (b *Bench) HTTP(ctx context.Context) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 600}}
	defer client.CloseIdleConnections()
	for _, n := range []int{1, 64, 512} {
		b.Say(fmt.Sprintf("HTTP with %d callers", n))
		rate, p50, p99, err := b.many(n, func(c, i int) error {
			key := b.Subscriptions[(c*31+i)%len(b.Subscriptions)]
			return b.send(ctx, client, http.MethodPut, "/subscriptions/"+string(key)+"/note", "application/json", fmt.Sprintf(`{"note":"note %d of %d over HTTP"}`, i, c), fmt.Sprintf("%d-%d-%d", time.Now().UnixNano(), c, i))
		})
		if err != nil {
			return err
		}
		name, ref := b.bare(n)
		b.add(Figure{Name: fmt.Sprintf("durable commands over HTTP, %d callers", n), Rate: rate, P50: p50, P99: p99, Ratio: rate / ref, Beside: name})
	}
	return nil
}

func (b *Bench) send(ctx context.Context, client *http.Client, method, path, kind, body, key string) error {
	req, err := http.NewRequestWithContext(ctx, method, b.Base+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+b.Key)
	req.Header.Set("Content-Type", kind)
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %d %s", method, path, res.StatusCode, answer)
	}
	return err
}

// Ingest measures events from outside, 1,000 lines a request.
func (b *Bench) Ingest(ctx context.Context) error {
	b.Say("ingest")
	client := &http.Client{}
	defer client.CloseIdleConnections()
	rate, p50, p99, err := b.many(2, func(c, i int) error {
		var lines strings.Builder
		for n := range 1000 {
			fmt.Fprintf(&lines, `{"type":"external.parcel_scanned","source":"bench-%d","summary":"Parcel scanned at hub %d","targets":["%s"]}`+"\n", c, n%40, b.Subscriptions[(i*1000+n)%len(b.Subscriptions)])
		}
		return b.send(ctx, client, http.MethodPost, "/events", "application/x-ndjson", lines.String(), "")
	})
	if err != nil {
		return err
	}
	name, ref := b.bare(64)
	b.add(Figure{Name: "ingest, batches of 1,000", Rate: rate * 1000, P50: p50, P99: p99, Ratio: rate * 1000 / ref, Beside: name})
	return nil
}

// Grow makes entries until there are as many as the reads want.
func (b *Bench) Grow(ctx context.Context) error {
	const chunk = 2000
	for b.I.Program.Head()+1 < b.Opt.Events {
		b.Say(fmt.Sprintf("making entries: %d of %d", b.I.Program.Head()+1, b.Opt.Events))
		var waiting []program.Pending
		for i := range chunk {
			r := b.request(i, int(b.I.Program.Head()))
			r.Idempotency, r.Answer = nil, nil
			p, err := b.I.Program.Submit(ctx, r)
			if err != nil {
				return err
			}
			waiting = append(waiting, p)
		}
		for _, p := range waiting {
			if _, err := p.Wait(); err != nil {
				return err
			}
		}
	}
	return b.I.Finder.CatchUp(ctx)
}

// Reads measures what people ask for, inside the process: the search, and reading the entries found.
func (b *Bench) Reads(ctx context.Context) error {
	b.Say("reads")
	now := b.I.Program.Now()
	for _, r := range []struct {
		name   string
		filter func(i int) find.Filter
	}{
		{"newest 50 of a subscription", func(i int) find.Filter { return find.Filter{Scope: b.Subscriptions[i%len(b.Subscriptions)]} }},
		{"newest 50 of a customer", func(i int) find.Filter { return find.Filter{Scope: b.Customers[i%len(b.Customers)]} }},
		{"newest 50 of a rare type", func(int) find.Filter { return find.Filter{Types: []string{"recovery.exhausted"}} }},
		{"an actor in a date range", func(i int) find.Filter {
			return find.Filter{ActorIDs: []string{"billing"}, From: now.AddDate(0, 0, -200-i%60), To: now.AddDate(0, 0, -100-i%60)}
		}},
		{"a search for three words", func(int) find.Filter { return find.Filter{Words: "moved next order"} }},
	} {
		var all []time.Duration
		for i := range 300 {
			t := time.Now()
			var seqs []int64
			for seq, err := range b.I.Finder.Search(ctx, r.filter(i), -1) {
				if err != nil {
					return err
				}
				if seqs = append(seqs, seq); len(seqs) == 50 {
					break
				}
			}
			if _, err := b.I.Store.Pick(ctx, b.I.Store.Read, store.Closed, seqs); err != nil {
				return err
			}
			all = append(all, time.Since(t))
		}
		p50, p99 := percentiles(all)
		b.add(Figure{Name: fmt.Sprintf("%s, %d entries", r.name, b.I.Program.Head()+1), P50: p50, P99: p99})
	}
	return nil
}

// Verify measures the whole check.
func (b *Bench) Verify(ctx context.Context) error {
	b.Say("verify")
	began := time.Now()
	r, err := audit.Verify(ctx, b.I.Store, nil)
	if err != nil {
		return err
	}
	if !r.Holds() {
		return fmt.Errorf("bench: the journal does not verify: %s", r.Problems[0])
	}
	b.add(Figure{Name: "verify, entries", Rate: float64(r.Entries) / time.Since(began).Seconds()})
	return nil
}

// Size measures what an entry takes on disk, kept answers apart.
func (b *Bench) Size(ctx context.Context) error {
	if err := b.I.Program.Exclusive(ctx, func(w *store.Writer) error { return w.Flush(ctx) }); err != nil {
		return err
	}
	entries := float64(b.I.Program.Head() + 1)
	var answers sql.NullFloat64
	if err := b.I.DB.Reader.QueryRowContext(ctx, `SELECT sum(length(answer) + length(request_hash) + 120) FROM idempotency WHERE shop_id = $1`, b.I.Store.Shop).Scan(&answers); err != nil {
		return err
	}
	total := 0.0
	for _, f := range []string{"perennial.db", "find.db"} {
		st, err := os.Stat(filepath.Join(b.I.Config.Data, f))
		if err != nil {
			return err
		}
		total += float64(st.Size())
	}
	b.add(Figure{Name: "bytes an entry on disk, with states, tree and index", Bytes: (total - answers.Float64) / entries})
	return nil
}
