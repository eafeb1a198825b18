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
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/reading"
	"perennial/internal/seal"
	"perennial/internal/store"
	"perennial/internal/vault"
	"perennial/verify"
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
func (r *Report) Entry() reading.Verify {
	v := reading.Verify{Result: reading.Holds, Entries: r.Entries, Changes: r.Changes, Differences: r.Differences, Checkpoints: r.Checkpoints, Root: fmt.Sprintf("%x", r.Root[:])}
	switch {
	case !r.Holds():
		first := r.Problems[0]
		v.Result, v.Problem = reading.Differs, reading.Problem{Seq: first.Seq, ID: id.ID(first.ID), Field: first.Field}
	case !r.Finished():
		return reading.Verify{Result: reading.Unfinished}
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

	place     string              // what is being read, for an error of the engine
	unproved  bool                // nothing shows that this is the newest copy of the database, or something that it is not
	movedTo   string              // as the last entry says
	destroyed map[string][]string // when entries destroyed a data key, by its id
	verified  []reading.Verify    // the checks of which entries tell
	counts    map[string]int64    // rows that were read of a table

	engine atomic.Pointer[error] // the first error of the engine that an opener met
}

// Options of a check.
type Options struct {
	Progress Progress
	// Deep compares all that is derived, not a sample.
	Deep bool
	// Beside says that a server answers people meanwhile: it is done by one goroutine, and the indexes table by table.
	Beside bool
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
	for _, m := range program.Mappings() {
		a.mappings[m.Kind] = m
	}
	if err := a.snapshot(); err != nil {
		return nil, err
	}
	if err := a.indexes(); err != nil {
		return nil, a.failed(err)
	}
	for _, d := range opt.Derived {
		covered, missed, err := d.Compare(ctx, opt.Deep, a.r.add)
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

// snapshot checks what belongs together, as it is at one moment.
func (a *auditor) snapshot() error {
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
	for _, step := range []struct {
		reads string
		check func() error
	}{
		{"the heads", a.shops}, {"the table event", a.entries}, {"the table tree_node", a.tree}, {"the table checkpoint", a.checkpoints},
		{"the rows of state", a.states}, {"the table target_head", a.heads}, {"the table reservation", a.reservations}, {"the table secret", a.checkSecrets},
		{"the table data_key", a.keys}, {"what entries made", a.missing}, {"the schema", a.schema},
		{"what the server's role sees", a.seen},
	} {
		a.place = step.reads
		err := step.check()
		if e := a.engine.Load(); err == nil && e != nil {
			err = *e
		}
		if err != nil {
			return a.failed(err)
		}
	}
	return nil
}

// raw is one row of event as it is stored.
type raw struct {
	seq, version                             int64
	prev                                     sql.NullInt64
	at, typ, kind, target, leaf, body, boxes []byte
}

// chunk is a run of rows. They share one memory: a journal is millions of small texts.
type chunk struct {
	rows []raw
	text []byte
}

const (
	chunkRows = 1024
	chunkText = 3 << 19 // bytes of them, about; more is no harm
)

func (c *chunk) scan(rows *sql.Rows) error {
	var r raw
	var texts [7]sql.RawBytes
	if err := rows.Scan(&r.seq, &texts[0], &texts[1], &texts[2], &texts[3], &r.version, &r.prev, &texts[4], &texts[5], &texts[6]); err != nil {
		return err
	}
	for i, own := range []*[]byte{&r.at, &r.typ, &r.kind, &r.target, &r.leaf, &r.body, &r.boxes} {
		start := len(c.text)
		c.text = append(c.text, texts[i]...) // when it moves, the rows before keep what they have
		*own = c.text[start:len(c.text):len(c.text)]
	}
	c.rows = append(c.rows, r)
	return nil
}

// checked is what can be said of a row without the rows before it.
type checked struct {
	raw
	event    *journal.Event
	leafHash seal.Hash
	erased   int
	problems []Problem
}

func (a *auditor) entries() error {
	progress := a.opt.Progress
	if err := a.wantedRoots(); err != nil {
		return err
	}
	workers := runtime.GOMAXPROCS(0)
	if a.opt.Beside {
		workers = 1
	}
	// The chunks are checked side by side and taken in order.
	type job struct {
		in  *chunk
		out chan []checked
	}
	jobs := make(chan job, 2*workers)
	order := make(chan job, 4*workers)
	for range workers {
		go func() {
			for j := range jobs {
				out := make([]checked, len(j.in.rows))
				for i, r := range j.in.rows {
					out[i] = a.check(r)
				}
				j.out <- out
			}
		}()
	}
	var readErr error
	go func() {
		defer close(order)
		defer close(jobs)
		empty := func() *chunk { return &chunk{make([]raw, 0, chunkRows), make([]byte, 0, chunkText)} }
		c := empty()
		send := func() {
			j := job{c, make(chan []checked, 1)}
			order <- j
			jobs <- j
			c = empty()
		}
		readErr = db.Each(a.ctx, a.q, func(rows *sql.Rows) error {
			err := c.scan(rows)
			if len(c.rows) == chunkRows {
				send()
			}
			return err
		}, `SELECT seq, recorded_at, type, target_kind, target_id, target_version, target_prev_seq, leaf_hash, body, boxes FROM event WHERE shop_id = $1 ORDER BY seq`, a.s.Shop)
		if len(c.rows) > 0 {
			send()
		}
	}()
	next, taken := int64(0), int64(0)
	for j := range order {
		for _, c := range <-j.out {
			a.take(c, &next)
			taken++
		}
		if progress != nil {
			progress(next, a.head.Seq+1)
		}
	}
	if readErr != nil {
		a.place = fmt.Sprintf("the table event, after entry %d", next-1)
		return readErr
	}
	a.r.Entries = next
	a.counts["event"] = taken
	return nil
}

// check looks at one row alone: its bytes, its hash, its boxes, and whether its columns say what its bytes say.
func (a *auditor) check(r raw) (c checked) {
	c.raw = r
	key := string(id.Event(a.s.Shop, r.seq))
	wrong := func(field, format string, args ...any) {
		c.problems = append(c.problems, Problem{r.seq, key, field, fmt.Sprintf(format, args...)})
	}
	c.leafHash = seal.LeafHash(r.body)
	if !bytes.Equal(c.leafHash[:], r.leaf) {
		wrong("leaf_hash", "the stored bytes do not hash to the stored leaf hash")
	}
	parsed, err := journal.Parse(r.body)
	if (err != nil || !parsed.Canonical()) && verify.CheckCanonical(r.body) != nil {
		wrong("body", "the bytes are not canonical JSON (RFC 8785)")
		return c
	}
	if err != nil {
		wrong("body", "%v", err)
		return c
	}
	e, err := a.open(&c, parsed, wrong)
	if err != nil {
		wrong("body", "%v", err)
		return c
	}
	c.event = e
	t := e.Target()
	prev := journal.NoPrev
	if r.prev.Valid {
		prev = r.prev.Int64
	}
	same(wrong, "shop_id", a.s.Shop, e.Shop)
	same(wrong, "seq", r.seq, e.Seq)
	same(wrong, "id", id.ID(key), e.ID)
	same(wrong, "recorded_at", string(r.at), e.RecordedAt.Format(journal.TimeLayout))
	same(wrong, "type", journal.Name(string(r.typ)), e.Type)
	same(wrong, "target_kind", string(r.kind), string(t.Kind))
	same(wrong, "target_id", string(r.target), string(t.ID))
	same(wrong, "target_version", r.version, e.TargetVersion)
	same(wrong, "target_prev_seq", prev, e.TargetPrevSeq)
	return c
}

// same compares a column with what the body says in its place.
func same[T comparable](wrong func(field, format string, args ...any), name string, column, inTheBody T) {
	if column != inTheBody {
		wrong(name, "the column says %v, the event says %v", column, inTheBody)
	}
}

// open checks the boxes of an entry against their ciphertexts and opens what can be opened. When something is wrong with
// them, the entry is looked at with all of its sealed values erased.
func (a *auditor) open(c *checked, parsed *journal.Body, wrong func(field, format string, args ...any)) (*journal.Event, error) {
	n := len(parsed.Boxes())
	if n == 0 && len(c.boxes) == 0 {
		return parsed.Open(nil, nil)
	}
	ciphertexts, err := vault.SplitCiphertexts(c.boxes, n)
	if err != nil {
		wrong("boxes", "%v", err)
		return parsed.Open(nil, nil)
	}
	opened := 0
	e, err := parsed.Open(ciphertexts, func(b journal.Box, ct []byte) ([]byte, error) {
		v, err := a.box(b, ct)
		if err == nil {
			opened++
		}
		return v, err
	})
	if opened < n {
		// What was opened fits its box. Of the others the hash can still be checked.
		for i, b := range parsed.Boxes() {
			if err := vault.CheckCiphertext(vault.Box(b), ciphertexts[i]); err != nil {
				wrong("boxes", "box %d: %v", i, err)
			}
		}
	}
	c.erased = n - opened
	if err != nil {
		wrong("boxes", "%v", err)
		return parsed.Open(nil, nil)
	}
	return e, nil
}

// take adds one entry to what came before: order, chain, tree, replay.
func (a *auditor) take(c checked, next *int64) {
	key := string(id.Event(a.s.Shop, c.seq))
	for _, p := range c.problems {
		a.r.add(p)
	}
	if c.seq != *next {
		a.r.add(Problem{*next, string(id.Event(a.s.Shop, *next)), "seq", fmt.Sprintf("the entry is missing: seq %d follows %d", c.seq, *next-1)})
	}
	*next = c.seq + 1
	if string(c.at) < a.lastTime {
		a.r.add(Problem{c.seq, key, "recorded_at", "before the entry before it"})
	}
	a.lastTime = string(c.at)
	a.nodes = a.edge.Add(c.leafHash, a.nodes)
	if _, ok := a.roots[a.edge.Size]; ok {
		a.roots[a.edge.Size], a.times[a.edge.Size] = a.edge.Root(), a.lastTime
	}
	a.r.ErasedBoxes += int64(c.erased)
	if c.event == nil {
		return
	}
	e := c.event
	a.r.Boxes += int64(len(e.Boxes))
	a.tells(e)
	ref := e.Target()
	row := a.rows[ref]
	if row == nil {
		row = &replayed{lastSeq: journal.NoPrev}
		a.rows[ref] = row
	}
	if e.TargetVersion != row.version+1 {
		a.r.add(Problem{c.seq, key, "target_version", fmt.Sprintf("%d follows %d", e.TargetVersion, row.version)})
	}
	if e.TargetPrevSeq != row.lastSeq {
		a.r.add(Problem{c.seq, key, "target_prev_seq", fmt.Sprintf("%d, but the entry before of %s is %d", e.TargetPrevSeq, ref.ID, row.lastSeq)})
	}
	row.version, row.lastSeq = e.TargetVersion, e.Seq
	if m, ok := a.mappings[ref.Kind]; ok {
		after, err := journal.Apply(row.state, func() journal.State { return m.Fresh(ref.ID) }, e.Changes)
		if err != nil {
			a.r.add(Problem{c.seq, key, "changes", err.Error()})
		} else {
			if f := disagreement(row.state, e); f != "" {
				a.r.add(Problem{c.seq, key, "changes", "the value before of " + f + " is not what replay gives"})
			}
			row.state = after
		}
	}
	for _, s := range e.Secrets {
		a.secrets[secretKey{ref, s.Name}] = &commitment{seq: e.Seq, version: e.TargetVersion, value: s.Commitment}
	}
}

// disagreement names the first field whose value before, as the entry gives it, is not what the replayed state says.
// Erased values are not compared: they say nothing any more.
func disagreement(before journal.State, e *journal.Event) string {
	if before == nil {
		for _, c := range e.Changes {
			if c.Before != nil {
				return c.Field
			}
		}
		return ""
	}
	for _, c := range e.Changes {
		got, err := journal.Value(before, c.Field)
		if err != nil {
			return c.Field
		}
		if string(c.Before) == journal.ErasedJSON || string(got) == journal.ErasedJSON {
			continue
		}
		if !bytes.Equal(got, c.Before) {
			return c.Field
		}
	}
	return ""
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

// states compares every live row with what replay gives.
func (a *auditor) states() error {
	for _, kind := range store.StateKinds {
		a.place = "the table " + string(kind)
		m := a.mappings[kind]
		columns := ""
		if len(m.Columns) > 0 {
			columns = ", " + strings.Join(m.Columns, ", ")
		}
		err := db.Each(a.ctx, a.q, func(r *sql.Rows) error {
			var key id.ID
			var version, lastSeq, schema int64
			var doc []byte
			var box sql.NullString
			var sealed []byte
			own := make([]any, len(m.Columns))
			dest := []any{&key, &version, &lastSeq, &schema, &doc, &box, &sealed}
			for i := range own {
				dest = append(dest, &own[i])
			}
			if err := r.Scan(dest...); err != nil {
				return err
			}
			ref := journal.Ref{Kind: kind, ID: key}
			switch {
			case schema < 1 || schema > store.SchemaVersion:
				a.r.add(Problem{lastSeq, string(key), "schema_version", fmt.Sprintf("%d, while this program writes %d", schema, store.SchemaVersion)})
			case schema < store.SchemaVersion:
				doc = today(m.Fresh(key), doc)
			}
			a.row(m, ref, version, lastSeq, doc, box, sealed, own)
			return nil
		}, fmt.Sprintf(`SELECT id, version, last_seq, schema_version, doc, box, sealed%s FROM %q WHERE shop_id = $1 ORDER BY id`, columns, kind), a.s.Shop)
		if err != nil {
			return err
		}
	}
	return nil
}

// today gives a document of an older form as it would be written now; one that cannot be read stays as it is.
func today(fresh journal.State, doc []byte) []byte {
	state, err := journal.Join(fresh, doc, nil, false)
	if err != nil {
		return doc
	}
	again, _, err := journal.Split(state)
	if err != nil {
		return doc
	}
	return again
}

func (a *auditor) row(m store.Mapping, ref journal.Ref, version, lastSeq int64, doc []byte, box sql.NullString, sealed []byte, own []any) {
	a.r.Rows++
	a.counts[string(ref.Kind)]++
	a.r.Changes += version
	want := a.rows[ref]
	wrong := func(field, format string, args ...any) {
		a.r.add(Problem{lastSeq, string(ref.ID), field, fmt.Sprintf(format, args...)})
	}
	if want == nil {
		wrong(string(ref.Kind), "no entry ever made this row")
		return
	}
	want.seen = true
	if want.version != version {
		wrong("version", "the row says %d, its entries %d", version, want.version)
	}
	if want.lastSeq != lastSeq {
		wrong("last_seq", "the row says %d, its entries %d", lastSeq, want.lastSeq)
	}
	if want.state == nil {
		wrong("doc", "replay gives no state")
		return
	}
	wantDoc, wantPersonal, err := journal.Split(want.state)
	if err != nil {
		wrong("doc", "%v", err)
		return
	}
	if box.Valid && a.unreadable(box.String, sealed) {
		// The key is gone, but this copy of the database is from before the erasure: nobody knows any more what the
		// personal fields were, so only the others are compared.
		doc, wantDoc = withoutErased(doc), withoutErased(wantDoc)
	}
	if !bytes.Equal(doc, wantDoc) {
		field, is, should := firstDifference(doc, wantDoc)
		wrong(field, "the row says %s, its entries %s", is, should)
	}
	a.personal(want.state, box, sealed, wantPersonal, wrong)
	for i, v := range m.Values(want.state) {
		if !sameColumn(own[i], v) {
			wrong(m.Columns[i], "the column says %s, replay gives %s", shown(own[i]), shown(v))
		}
	}
}

// unreadable says whether a row's box has lost its key.
func (a *auditor) unreadable(box string, sealed []byte) bool {
	var b journal.Box
	if json.Unmarshal([]byte(box), &b) != nil {
		return false
	}
	_, err := a.box(b, sealed)
	return errors.Is(err, journal.ErrUnreadable)
}

// withoutErased gives a document without the members that read as erased.
func withoutErased(doc []byte) []byte {
	var m map[string]jsontext.Value
	if json.Unmarshal(doc, &m) != nil {
		return doc
	}
	maps.DeleteFunc(m, func(_ string, v jsontext.Value) bool { return string(v) == journal.ErasedJSON })
	b, err := journal.Canonical(m)
	if err != nil {
		return doc
	}
	return b
}

func (a *auditor) personal(state journal.State, box sql.NullString, sealed, want []byte, wrong func(field, format string, args ...any)) {
	if !box.Valid {
		if want != nil {
			wrong("sealed", "the personal fields are missing")
		}
		if sealed != nil {
			wrong("sealed", "a ciphertext without a box")
		}
		return
	}
	var b journal.Box
	if err := json.Unmarshal([]byte(box.String), &b); err != nil {
		wrong("box", "%v", err)
		return
	}
	if err := vault.CheckCiphertext(vault.Box(b), sealed); err != nil {
		wrong("sealed", "%v", err)
		return
	}
	if person := state.Person(); person != "" && b.Key != string(person) {
		wrong("box", "it is sealed with the key %s, not %s", b.Key, person)
		return
	}
	got, err := a.box(b, sealed)
	switch {
	case errors.Is(err, journal.ErrUnreadable):
	case err != nil:
		wrong("sealed", "%v", err)
	case !bytes.Equal(got, want):
		field, _, _ := firstDifference(got, want)
		wrong(field, "the sealed value is not what its entries say")
	}
}

// firstDifference names the first member in which two JSON objects differ, with both values.
func firstDifference(got, want []byte) (field, is, should string) {
	var g, w map[string]jsontext.Value
	if json.Unmarshal(got, &g) != nil || json.Unmarshal(want, &w) != nil {
		return "doc", "something unreadable", "otherwise"
	}
	names := slices.Sorted(maps.Keys(w))
	for _, n := range slices.Sorted(maps.Keys(g)) {
		if _, ok := w[n]; !ok {
			names = append(names, n)
		}
	}
	for _, n := range names {
		if !bytes.Equal(g[n], w[n]) {
			return n, cmp.Or(string(g[n]), "nothing"), cmp.Or(string(w[n]), "nothing")
		}
	}
	return "doc", "the same values in other bytes", "otherwise"
}

// heads compares the rows of targets that are only observed.
func (a *auditor) heads() error {
	return db.Each(a.ctx, a.q, func(r *sql.Rows) error {
		var ref journal.Ref
		var version, lastSeq int64
		if err := r.Scan(&ref.Kind, &ref.ID, &version, &lastSeq); err != nil {
			return err
		}
		a.r.Rows++
		a.counts["target_head"]++
		a.r.Changes += version
		want := a.rows[ref]
		if want == nil || store.HasState(ref.Kind) {
			a.r.add(Problem{lastSeq, string(ref.ID), "target_head", "no entry ever made this row"})
			return nil
		}
		want.seen = true
		if want.version != version || want.lastSeq != lastSeq {
			a.r.add(Problem{lastSeq, string(ref.ID), "target_head", fmt.Sprintf("the row says version %d at %d, its entries %d at %d", version, lastSeq, want.version, want.lastSeq)})
		}
		return nil
	}, `SELECT kind, id, version, last_seq FROM target_head WHERE shop_id = $1 ORDER BY kind, id`, a.s.Shop)
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
