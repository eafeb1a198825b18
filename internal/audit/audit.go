// Package audit proves that a database is what its journal says: it recomputes every hash, walks every chain, checks
// every checkpoint that is known, replays every entry and compares the outcome with the live rows, one by one. It compares the whole
// schema with what the migrations make, the indexes with their tables, what the server's role sees with what is there, and what is
// derived with what it follows from. It only reads, the journal and the rows in one snapshot, and may run beside a server.
//
// Whatever differs is a Problem, and what was not looked at is said (Report.Missed). An error of the engine is neither: then there
// is no report, or when it was met in what is derived, Report.Unread says so. sabotage_test.go changes a database in every way that we could think of; docs/threat-model.md says what that shows.
package audit

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/observe"
	"perennial/internal/seal"
	"perennial/internal/store"
	"perennial/internal/vault"
)

// Problem is one thing that is wrong.
type Problem struct {
	Seq    int64  `json:"seq"`   // -1 when it is not about an entry
	ID     string `json:"id"`    // of the entry or the row
	Field  string `json:"field"` // the column, field or check
	Detail string `json:"detail"`
}

func (p Problem) String() string {
	where := ""
	if p.Seq >= 0 {
		where = fmt.Sprintf("seq %d, ", p.Seq)
	}
	return fmt.Sprintf("%s%s, field %s: %s", where, p.ID, p.Field, p.Detail)
}

// Report says what was covered and what was found.
type Report struct {
	Shop        id.ID         `json:"shop"`
	Entries     int64         `json:"entries"`
	Changes     int64         `json:"changes"` // the sum of the versions of all live rows: one entry each
	Rows        int64         `json:"rows"`
	Secrets     int64         `json:"secrets"`
	Checkpoints int64         `json:"checkpoints"`
	Boxes       int64         `json:"boxes"`
	ErasedBoxes int64         `json:"erased_boxes"`
	Root        seal.Hash     `json:"root"`
	MovedTo     string        `json:"moved_to,omitzero"` // where the shop goes on, as its last entry says
	Covered     []string      `json:"covered"`           // what was compared beside the entries and rows
	Missed      []string      `json:"missed"`            // what was not looked at, and why
	Unread      []string      `json:"unread"`            // what is derived and could not be read, and why: of it nothing can be said
	Derived     bool          `json:"derived"`           // whether all that is derived was compared
	Took        time.Duration `json:"took_ns"`           // set by whoever has a clock
	Differences int64         `json:"differences"`       // how many problems there are; the first ones are in Problems
	Problems    []Problem     `json:"problems"`
}

// maxProblems is how many problems a report lists; the rest are counted.
const maxProblems = 20

// Holds says whether nothing is wrong in what was read.
func (r *Report) Holds() bool { return r.Differences == 0 }

// Finished says whether all that was to be looked at could be read.
func (r *Report) Finished() bool { return len(r.Unread) == 0 }

// Entry is what the journal keeps of a report.
func (r *Report) Entry() observe.Verification {
	v := observe.Verification{Result: observe.Holds, Entries: r.Entries, Changes: r.Changes, Differences: r.Differences, Checkpoints: r.Checkpoints, Root: fmt.Sprintf("%x", r.Root[:]), Derived: r.Derived}
	switch {
	case !r.Holds():
		first := r.Problems[0]
		v.Result, v.Problem = observe.Differs, observe.Problem{Seq: first.Seq, ID: id.ID(first.ID), Field: first.Field}
	case !r.Finished():
		return observe.Verification{Result: observe.Unfinished}
	}
	return v
}

func (r *Report) add(p Problem) {
	r.Differences++
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, p)
	}
}

// Progress is told how many of the entries are done.
type Progress func(done, total int64)

// replayed is a row as the entries say it should be.
type replayed struct {
	state   journal.State
	version int64
	lastSeq int64
	seen    bool
}

type secretKey struct {
	owner journal.Ref
	name  string
}

type commitment struct {
	seq, version int64
	value        []byte
	seen         bool
}

type auditor struct {
	ctx      context.Context
	s        *store.Store
	q        *sql.Conn
	r        *Report
	opt      Options
	rows     map[journal.Ref]*replayed
	secrets  map[secretKey]*commitment
	mappings map[journal.Kind]store.Mapping
	head     store.Head
	edge     seal.Edge
	roots    map[int64]seal.Hash // at the sizes of checkpoints
	times    map[int64]string    // of the last entries at these sizes
	nodes    []seal.Node
	lastTime string
	box      journal.Opener // opens boxes, from several goroutines

	from, next, taken int64 // the next piece of the journal, the next entry that is wanted, and how many were taken

	place     string                 // what is being read, for an error of the engine
	unproved  bool                   // nothing shows that this is the newest copy of the database, or something that it is not
	movedTo   string                 // as the last entry says
	destroyed map[string][]string    // when entries destroyed a data key, by its id
	verified  []observe.Verification // the checks of which entries tell
	accepted  []acceptance           // restored databases from which an entry says that somebody went on
	counts    map[string]int64       // rows that were read of a table

	engine atomic.Pointer[error] // the first error of the engine that an opener met
}

// Options of a check.
type Options struct {
	Progress Progress
	// Deep compares all that is derived, not a sample.
	Deep bool
	// Beside says that a server answers people meanwhile: it is done by one goroutine, in several transactions, and the indexes table by table.
	Beside bool
	// Piece is how many entries are read in one transaction beside a server; 20,000 when zero.
	Piece int64
	// Derived compare what was derived from the journal.
	Derived []Derived
}

// Derived is something that was derived from the journal. Compare holds it against what it follows from, a sample of it unless deep, and
// says in words what was compared, and what was not and why.
type Derived struct {
	Name    string
	Compare func(ctx context.Context, deep bool, wrong func(p Problem)) (covered, missed string, err error)
}

// Verify checks a shop's database, but nothing that is derived in files beside it. The report is complete unless err says that it could
// not be made.
func Verify(ctx context.Context, s *store.Store, progress Progress) (*Report, error) {
	return Check(ctx, s, Options{Progress: progress})
}

// Check is Verify with options.
func Check(ctx context.Context, s *store.Store, opt Options) (*Report, error) {
	a := &auditor{ctx: ctx, s: s, opt: opt, r: &Report{Shop: s.Shop, Covered: []string{}, Missed: []string{}, Unread: []string{}, Problems: []Problem{}}, rows: map[journal.Ref]*replayed{},
		secrets: map[secretKey]*commitment{}, mappings: map[journal.Kind]store.Mapping{}, roots: map[int64]seal.Hash{}, times: map[int64]string{},
		destroyed: map[string][]string{}, counts: map[string]int64{}}
	a.box = a.engineErrors(s.Keys.OpenerOnce(ctx, s.Read))
	for _, m := range kinds.Mappings() {
		a.mappings[m.Kind] = m
	}
	if opt.Beside {
		if err := a.pieces(); err != nil {
			return nil, err
		}
	}
	if err := a.snapshot(); err != nil {
		return nil, err
	}
	if err := a.indexes(); err != nil {
		return nil, a.failed(err)
	}
	a.r.Derived = len(opt.Derived) > 0
	for _, d := range opt.Derived {
		covered, missed, err := d.Compare(ctx, opt.Deep, a.r.add)
		a.r.Derived = a.r.Derived && covered != ""
		switch {
		case err == nil:
			a.r.note(covered, missed)
		case ctx.Err() != nil:
			return nil, a.failed(err)
		case db.FromEngine(err):
			a.r.Unread = append(a.r.Unread, d.Name+": "+fault.As(db.Fault(err)).Public)
		case a.r.Holds():
			a.r.add(Problem{-1, string(s.Shop), d.Name, err.Error()})
		default:
			a.r.note("", d.Name+": an entry or a row that it follows from cannot be read")
		}
	}
	a.r.Missed = append(a.r.Missed, never...)
	return a.r, nil
}

// never is what no check of a database can see.
var never = []string{
	"forged new entries, and what was rewritten since the last checkpoint: compare with a receipt or an export that somebody kept",
}

func (r *Report) note(covered, missed string) {
	if covered != "" {
		r.Covered = append(r.Covered, covered)
	}
	if missed != "" {
		r.Missed = append(r.Missed, missed)
	}
}

// piece is how many entries are read in one transaction beside a server.
const piece int64 = 20_000

// pieces reads most of the journal in short transactions: entries never change, and a long one would keep all that is written meanwhile in
// the write-ahead log, or from being vacuumed. What is left is read in the snapshot in which the rows are compared.
func (a *auditor) pieces() error {
	piece := cmp.Or(a.opt.Piece, piece)
	for more := true; more; {
		err := a.inSnapshot(func() error {
			head, err := a.s.ReadHead(a.ctx, a.q)
			if more = err == nil && head.Seq-a.from >= piece; !more {
				return nil // what is wrong with the head is said in its place
			}
			a.head = head
			return a.step("the table event", func() error { return a.entries(a.from + piece) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// inSnapshot runs f while a.q sees one state of the database, as the server's role.
func (a *auditor) inSnapshot(f func() error) error {
	conn, err := a.s.DB.Reader.Conn(a.ctx)
	if err != nil {
		return db.Fault(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(a.ctx, a.s.DB.BeginSnapshot()); err != nil {
		return db.Fault(err)
	}
	defer func() { _, _ = conn.ExecContext(context.WithoutCancel(a.ctx), `ROLLBACK`) }() // nothing was written
	a.q = conn
	if err := a.role(); err != nil {
		return db.Fault(err)
	}
	return f()
}

// step makes one step of a check. An error of the engine says where it was met.
func (a *auditor) step(reads string, check func() error) error {
	a.place = reads
	err := check()
	if e := a.engine.Load(); err == nil && e != nil {
		err = *e
	}
	if err != nil {
		return a.failed(err)
	}
	return nil
}

// snapshot checks what belongs together, as it is at one moment.
func (a *auditor) snapshot() error { return a.inSnapshot(a.steps) }

func (a *auditor) steps() error {
	for _, step := range []struct {
		reads string
		check func() error
	}{
		{"the heads", a.shops}, {"the table event", func() error { return a.entries(-1) }}, {"the table tree_node", a.tree}, {"the table checkpoint", a.checkpoints},
		{"the rows of state", a.states}, {"the table target_head", a.heads}, {"the table reservation", a.reservations}, {"the table secret", a.checkSecrets},
		{"the table data_key", a.keys}, {"the machinery", a.machinery}, {"what entries made", a.missing}, {"the schema", a.schema},
		{"what the server's role sees", a.seen},
	} {
		if err := a.step(step.reads, step.check); err != nil {
			return err
		}
	}
	return nil
}

// tree compares the stored tree with the recomputed one.
func (a *auditor) tree() error {
	a.r.Root = a.edge.Root()
	if a.head.Seq+1 != a.r.Entries {
		a.r.add(Problem{a.head.Seq, string(a.s.Shop), "head", fmt.Sprintf("the head is at %d, the journal has %d entries", a.head.Seq, a.r.Entries)})
	}
	want, err := a.edge.MarshalBinary()
	if err != nil {
		return err
	}
	got, err := a.head.Edge.MarshalBinary()
	if err != nil {
		return err
	}
	if !bytes.Equal(want, got) {
		a.r.add(Problem{a.head.Seq, string(a.s.Shop), "head.edge", "the stored edge of the tree is not the recomputed one"})
	}
	if a.r.Entries > 0 && a.head.RecordedAt.Format(journal.TimeLayout) != a.lastTime {
		a.r.add(Problem{a.head.Seq, string(a.s.Shop), "head.recorded_at", "not the time of the last entry"})
	}
	slices.SortFunc(a.nodes, func(x, y seal.Node) int { return cmp.Or(cmp.Compare(x.Level, y.Level), cmp.Compare(x.Index, y.Index)) })
	i := 0
	err = db.Each(a.ctx, a.q, func(r *sql.Rows) error {
		var n seal.Node
		var hash []byte
		if err := r.Scan(&n.Level, &n.Index, &hash); err != nil {
			return err
		}
		copy(n.Hash[:], hash)
		name := fmt.Sprintf("tree_node %d/%d", n.Level, n.Index)
		for i < len(a.nodes) && (a.nodes[i].Level < n.Level || (a.nodes[i].Level == n.Level && a.nodes[i].Index < n.Index)) {
			a.r.add(Problem{-1, fmt.Sprintf("tree_node %d/%d", a.nodes[i].Level, a.nodes[i].Index), "hash", "the node is missing"})
			i++
		}
		switch {
		case i >= len(a.nodes) || a.nodes[i].Level != n.Level || a.nodes[i].Index != n.Index:
			a.r.add(Problem{-1, name, "hash", "the tree has no such node"})
		default:
			if a.nodes[i].Hash != n.Hash {
				a.r.add(Problem{-1, name, "hash", "not the recomputed hash"})
			}
			i++
		}
		return nil
	}, `SELECT level, idx, hash FROM tree_node WHERE shop_id = $1 ORDER BY level, idx`, a.s.Shop)
	for ; err == nil && i < len(a.nodes); i++ {
		a.r.add(Problem{-1, fmt.Sprintf("tree_node %d/%d", a.nodes[i].Level, a.nodes[i].Index), "hash", "the node is missing"})
	}
	return err
}

// checkSecrets compares every secret with the commitment in the entry that set it.
func (a *auditor) checkSecrets() error {
	err := db.Each(a.ctx, a.q, func(r *sql.Rows) error {
		var k secretKey
		var version, lastSeq int64
		var salt, value []byte
		if err := r.Scan(&k.owner.Kind, &k.owner.ID, &k.name, &version, &lastSeq, &salt, &value); err != nil {
			return err
		}
		a.r.Secrets++
		want := a.secrets[k]
		switch {
		case want == nil:
			a.r.add(Problem{lastSeq, string(k.owner.ID), "secret " + k.name, "no entry ever set it"})
			return nil
		case want.seq != lastSeq || want.version != version:
			a.r.add(Problem{lastSeq, string(k.owner.ID), "secret " + k.name, fmt.Sprintf("the row names seq %d, it was last set at %d", lastSeq, want.seq)})
		case !vault.CheckSecret(salt, value, want.value):
			a.r.add(Problem{lastSeq, string(k.owner.ID), "secret " + k.name, "not the value that the entry committed to"})
		}
		want.seen = true
		return nil
	}, `SELECT owner_kind, owner_id, name, version, last_seq, salt, value FROM secret WHERE shop_id = $1 ORDER BY owner_kind, owner_id, name`, a.s.Shop)
	if err != nil {
		return err
	}
	for k, want := range a.secrets {
		if !want.seen {
			a.r.add(Problem{want.seq, string(k.owner.ID), "secret " + k.name, "the secret that this entry set is missing"})
		}
	}
	return nil
}

// missing names rows that entries made and the database lost.
func (a *auditor) missing() error {
	for ref, row := range a.rows {
		if !row.seen {
			a.r.add(Problem{row.lastSeq, string(ref.ID), string(ref.Kind), "the row is missing"})
		}
	}
	if a.r.Changes != a.r.Entries && a.r.Differences == 0 {
		a.r.add(Problem{-1, string(a.s.Shop), "version", fmt.Sprintf("%d changes but %d entries", a.r.Changes, a.r.Entries)})
	}
	return nil
}

// reservations compares the names that are held with those that the states hold. Of somebody who was erased since
// this copy of the database was made nobody can say which they were.
func (a *auditor) reservations() error {
	type name struct {
		scope string
		hash  string
	}
	held := map[name]id.ID{}
	wrong := func(owner id.ID, words string) { a.r.add(Problem{-1, string(owner), "reservation", words}) }
	for ref, r := range a.rows {
		m := a.mappings[ref.Kind]
		if r.state == nil || m.Reserves == nil {
			continue
		}
		for _, n := range m.Reserves(r.state) {
			k := name{n.Scope, string(a.s.ReservationHash(n.Scope, n.Value))}
			if other, taken := held[k]; taken {
				wrong(n.Owner, fmt.Sprintf("its entries give it a name (%s) that others give to %s", n.Scope, other))
			}
			held[k] = n.Owner
		}
	}
	err := db.Each(a.ctx, a.q, func(r *sql.Rows) error {
		var n name
		var hash []byte
		var owner id.ID
		if err := r.Scan(&n.scope, &hash, &owner); err != nil {
			return err
		}
		n.hash = string(hash)
		want, ok := held[n]
		delete(held, n)
		switch {
		case !ok && !a.s.Keys.Folder().Erased(string(owner)):
			wrong(owner, "it holds a name ("+n.scope+") that its entries do not give it")
		case ok && want != owner:
			wrong(owner, fmt.Sprintf("it holds a name (%s) that by its entries is %s's", n.scope, want))
		}
		return nil
	}, `SELECT scope, hash, owner FROM reservation WHERE shop_id = $1`, a.s.Shop)
	if err != nil {
		return err
	}
	for n, owner := range held {
		wrong(owner, "the name that its entries give it ("+n.scope+") is not held: somebody else can take it")
	}
	return nil
}
