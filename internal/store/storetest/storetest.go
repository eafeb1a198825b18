// Package storetest says when an engine is done. Exercise runs everything that package store promises of a database against one
// engine; a new engine is finished when Exercise passes and `make test` passes with it.
//
// It works on the store itself, with no program above it: each test opens a database of its own, writes batches as the program's writer
// does, and ends with a check of the whole journal (audit.Verify).
package storetest

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"perennial/internal/audit"
	"perennial/internal/catalog"
	"perennial/internal/customer"
	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/program"
	"perennial/internal/seal"
	"perennial/internal/store"
	"perennial/internal/vault"
)

// Engine is the engine under test and the few words in which it differs.
type Engine struct {
	// New makes an empty database and gives its address: a path or a URL.
	New func(t testing.TB) (address string)
	// Open opens a database as the server does.
	Open func(ctx context.Context, address string, opt db.Options) (*db.DB, error)
	// Shell opens it past the store, as somebody may who has the database and no keys; Owner with every right to change the schema.
	Shell, Owner func(address string) (*sql.DB, error)

	Roles    []string            // what a shell runs to take on the rights of each who is refused alike; "" for its own
	Reset    string              // what takes them off again
	Flushes  map[string]string   // what the writer's connection answers when a commit waits for the disk, by question
	Bytes    func(string) string // a literal of bytes, from hexadecimal digits
	Tables   string              // names of the database's tables
	Triggers string              // "table trigger" for each trigger
	Besides  []string            // triggers that every guarded table has beside the common ones
	Refuses  []string            // what refusals by the schema say; one of them is in each error
	Damage   []Damage            // of triggers and rights
	// WaysRound are statements past the journal in words that only this engine has, by name. Each has to be refused, as the common ones.
	WaysRound func(x *Target) map[string]string
}

// Damage takes away something that enforces the journal.
type Damage struct {
	Statement string
	Found     func(p *store.Plan) bool // whether a plan names what was lost
}

// Exercise holds an engine to every promise of the store.
func Exercise(t *testing.T, e Engine) {
	for _, promise := range []struct {
		words string
		hold  func(t *testing.T, e Engine)
	}{
		{"a batch is committed whole or not at all", wholeOrNothing},
		{"a batch holds everything that belongs to its events", everythingInABatch},
		{"seqs, times and versions have one order", oneOrder},
		{"writers of several processes take turns", severalWriters},
		{"a commit waits for the disk", flushed},
		{"nothing changes without an entry", refused},
		{"a row reads back as it was written, now and at any time", rows},
		{"a name has one owner", names},
		{"events are read by seq, by range and by chain", walks},
		{"a snapshot stands still", snapshots},
		{"an erased person stays erased", erasure},
		{"a first answer is given again, and only as it was written", answers},
		{"sessions and links open until they end", signIn},
		{"what is over is swept", swept},
		{"a message has one row for each cause", outbox},
		{"a job and a due thing have one holder, and none for ever", held},
		{"a row of the machinery is worth nothing once it is changed", worth},
		{"an answer that was kept for one request is not given to another", swapped},
		{"every table has a class, and its triggers", classes},
		{"a migrated database is what the migrations say, from every version", migrations},
		{"what was taken away is found and mended", mended},
	} {
		t.Run(promise.words, func(t *testing.T) {
			t.Parallel()
			promise.hold(t, e)
		})
	}
}

// process is one process with the shop open. Its methods are for the goroutine of the test.
type process struct {
	*store.Store
	t       testing.TB
	db      *db.DB
	keys    *vault.Folder
	folder  string // of the keys
	address string
	w       *store.Writer
	ids     *id.Maker
	now     time.Time // the clock: a second later after each batch
}

// open opens a shop in a new database. The whole journal is checked when the test ends.
func open(t testing.TB, e Engine) *process {
	t.Helper()
	address, keys := e.New(t), filepath.Join(t.TempDir(), "keys")
	p := join(t, e, address, keys)
	t.Cleanup(func() {
		t.Helper()
		r, err := audit.Verify(context.Background(), p.Store, nil)
		must(t, err)
		for _, problem := range r.Problems {
			t.Errorf("verify: %s", problem)
		}
		must(t, p.w.Close())
		must(t, p.db.Close())
	})
	return p
}

// another opens the shop of a process in a second one.
func (p *process) another(t testing.TB, e Engine) *process {
	t.Helper()
	other := join(t, e, p.address, p.folder)
	t.Cleanup(func() {
		must(t, other.w.Close())
		must(t, other.db.Close())
	})
	return other
}

func join(t testing.TB, e Engine, address, keys string) *process {
	t.Helper()
	p := &process{t: t, address: address, folder: keys, now: time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC)}
	p.ids = id.NewMaker(func() time.Time { return p.now }, rand.Reader)
	var err error
	p.keys, err = vault.Open(keys)
	must(t, err)
	p.db, err = e.Open(t.Context(), address, db.Options{})
	must(t, err)
	p.Store, err = store.Open(t.Context(), p.db, p.keys, kinds.Mappings(), p.ids.NewShop)
	must(t, err)
	p.w, err = p.Writer(t.Context())
	must(t, err)
	return p
}

// batch runs a transaction of the writer's, and commits it unless f fails.
func (p *process) batch(f func(b *store.Batch) error) error {
	b, err := p.w.Begin(p.t.Context(), p.now)
	if err != nil {
		return err
	}
	defer b.Rollback()
	p.now = p.now.Add(time.Second)
	if err := f(b); err != nil {
		return err
	}
	if err := b.Ready(b.Head.Seq); err != nil {
		return err
	}
	if err := b.Commit(); err != nil {
		return err
	}
	b.Destroyed()
	return p.w.FinishErasures(p.t.Context(), time.Second)
}

// do is a batch that has to be accepted.
func (p *process) do(f func(b *store.Batch) error) {
	p.t.Helper()
	must(p.t, p.batch(f))
}

// put appends drafts to the journal within a batch, with their rows, secrets and the head.
func (p *process) put(b *store.Batch, drafts ...journal.Draft) (_ []*journal.Event, err error) {
	head, edge := b.Head, b.Head.Edge.Clone()
	var (
		events  []*journal.Event
		entries []store.Entry
		nodes   []seal.Node
		secrets []func() error
	)
	var moves []journal.Reservation
	before, after := map[journal.Ref]store.Row{}, map[journal.Ref]store.Row{}
	for _, d := range drafts {
		e, err := d.Event()
		if err != nil {
			return nil, err
		}
		ref := e.Target()
		was, again := after[ref]
		if !again {
			if was, err = p.Load(p.t.Context(), b, ref); err != nil {
				return nil, err
			}
			before[ref] = was
		}
		head.Seq++
		e.Shop, e.Seq, e.ID, e.RecordedAt, e.TargetVersion = p.Shop, head.Seq, id.Event(p.Shop, head.Seq), b.Now, was.Version+1
		if was.Version > 0 {
			e.TargetPrevSeq = was.LastSeq
		}
		e.Actor, e.Source = journal.Actor{Kind: journal.ActorSystem, ID: "test"}, journal.Origin{Channel: journal.ChannelCLI}
		e.CommandID = p.ids.New(id.Command)
		e.CorrelationID = e.CommandID
		for _, s := range d.Secrets {
			salt := []byte("sixteen bytes ok")
			e.Secrets = append(e.Secrets, journal.SecretCommitment{Name: s.Name, Commitment: vault.CommitSecret(salt, s.Value)})
			secrets = append(secrets, func() error {
				return b.WriteSecret(ref, e.TargetVersion, e.Seq, s.Name, salt, s.Value)
			})
		}
		body, ciphertexts, err := e.Encode(b, nil)
		if err != nil {
			return nil, err
		}
		leaf := seal.LeafHash(body)
		nodes = edge.Add(leaf, nodes)
		entries = append(entries, store.Entry{Event: e, Body: body, Ciphertexts: ciphertexts, Leaf: leaf})
		after[ref] = store.Row{State: d.After, Version: e.TargetVersion, LastSeq: e.Seq}
		moves = append(moves, moved(d)...)
		events = append(events, e)
	}
	if err := b.Append(entries); err != nil {
		return nil, err
	}
	var changed []store.Changed
	bySeq := func(x, y journal.Ref) int { return cmp.Compare(after[x].LastSeq, after[y].LastSeq) }
	for _, ref := range slices.SortedFunc(maps.Keys(after), bySeq) {
		row, was := after[ref], before[ref]
		changed = append(changed, store.Changed{Ref: ref, Row: &row, Prev: &was})
	}
	if err := b.WriteAll(changed); err != nil {
		return nil, err
	}
	for _, write := range secrets {
		if err := write(); err != nil {
			return nil, err
		}
	}
	for _, r := range moves {
		if err := b.Reserve(r); err != nil {
			return nil, err
		}
	}
	if len(entries) > 0 {
		head.Edge, head.RecordedAt = edge, b.Now
		if err := b.WriteHead(head, nodes); err != nil {
			return nil, err
		}
		b.Head = head
	}
	return events, nil
}

// moved are the names that a draft gives up and takes.
func moved(d journal.Draft) (out []journal.Reservation) {
	for _, m := range kinds.Mappings() {
		if m.Reserves == nil || d.After == nil || m.Kind != d.After.Ref().Kind {
			continue
		}
		if d.Before != nil {
			for _, r := range m.Reserves(d.Before) {
				r.Release = true
				out = append(out, r)
			}
		}
		out = append(out, m.Reserves(d.After)...)
	}
	return out
}

// record commits drafts, each batch of them whole.
func (p *process) record(drafts ...journal.Draft) (events []*journal.Event) {
	p.t.Helper()
	p.do(func(b *store.Batch) (err error) {
		events, err = p.put(b, drafts...)
		return err
	})
	return events
}

// checkpoint signs the journal as it is.
func (p *process) checkpoint() {
	p.t.Helper()
	p.do(func(b *store.Batch) error {
		size := b.Head.Seq + 1
		root := b.Head.Edge.Root()
		signer, err := p.keys.Signer(string(p.Shop))
		if err != nil {
			return err
		}
		note, err := seal.SignCheckpoint(signer, program.Origin(p.Shop), size, root)
		if err != nil {
			return err
		}
		return b.PutCheckpoint(store.Checkpoint{Size: size, Root: root[:], Note: string(note), SignedAt: b.Now.Format(journal.TimeLayout)})
	})
}

// head is what the database calls the end of the journal.
func (p *process) head() store.Head {
	p.t.Helper()
	h, err := p.ReadHead(p.t.Context(), p.Read)
	must(p.t, err)
	return h
}

// count counts the rows of a table.
func (p *process) count(table string) (n int) {
	p.t.Helper()
	must(p.t, p.db.Reader.QueryRowContext(p.t.Context(), `SELECT count(*) FROM `+table).Scan(&n))
	return n
}

// product is a draft of a new product, and the product.
func (p *process) product(title string) (*catalog.Product, journal.Draft) {
	x := &catalog.Product{ID: p.ids.New(id.Product), Title: title, Status: catalog.Active, PortalVisible: true, CreatedAt: journal.At(p.now)}
	return x, journal.Draft{Type: journal.ProductCreated, After: x}
}

// retitled is a draft that gives a product another title.
func retitled(x *catalog.Product, title string) (*catalog.Product, journal.Draft) {
	next := *x
	next.Title = title
	return &next, journal.Draft{Type: journal.ProductUpdated, Before: x, After: &next}
}

// customer is a draft of a new customer, whose address is sealed, and the customer.
func (p *process) customer(email string) (*customer.Customer, journal.Draft) {
	x := &customer.Customer{
		ID:        p.ids.New(id.Customer),
		Email:     journal.Secluded(email),
		Locale:    "en",
		Tags:      []string{},
		Status:    customer.Active,
		CreatedAt: journal.At(p.now),
	}
	return x, journal.Draft{Type: journal.CustomerCreated, After: x}
}

// observed is a draft of an entry about a session.
func observed(typ journal.Name, session id.ID, details any) journal.Draft {
	return journal.Draft{Type: typ, Target: journal.Ref{Kind: journal.Session, ID: session}, Details: details}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
