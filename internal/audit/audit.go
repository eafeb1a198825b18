// Package audit proves that a database is what its journal says: it recomputes every hash, walks every chain, checks
// every checkpoint ever signed, replays every entry and compares the outcome with the live rows, one by one. It only
// reads, in one snapshot, and may run beside a server.
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
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
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
	Took        time.Duration `json:"took_ns"`     // set by whoever has a clock
	Differences int64         `json:"differences"` // how many problems there are; the first ones are in Problems
	Problems    []Problem     `json:"problems"`
}

// maxProblems is how many problems a report lists; the rest are counted.
const maxProblems = 20

// Holds says whether nothing is wrong.
func (r *Report) Holds() bool { return r.Differences == 0 }

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
	rows     map[journal.Ref]*replayed
	secrets  map[secretKey]*commitment
	mappings map[journal.Kind]store.Mapping
	head     store.Head
	edge     seal.Edge
	roots    map[int64]seal.Hash // at the sizes of checkpoints
	nodes    []seal.Node
	lastTime string
	box      journal.Opener // opens boxes, from several goroutines
}

// Verify checks a shop's part of a database. The report is complete unless err says that it could not be made.
func Verify(ctx context.Context, s *store.Store, progress Progress) (*Report, error) {
	conn, err := s.DB.Reader.Conn(ctx)
	if err != nil {
		return nil, db.Fault(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, s.DB.BeginSnapshot()); err != nil {
		return nil, db.Fault(err)
	}
	defer func() { _, _ = conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`) }() // nothing was written
	a := &auditor{ctx: ctx, s: s, q: conn, r: &Report{Shop: s.Shop, Problems: []Problem{}}, rows: map[journal.Ref]*replayed{},
		secrets: map[secretKey]*commitment{}, mappings: map[journal.Kind]store.Mapping{}, roots: map[int64]seal.Hash{}, box: s.Keys.OpenerOnce(ctx, s.Read)}
	for _, m := range program.Mappings() {
		a.mappings[m.Kind] = m
	}
	for _, step := range []func() error{
		func() error { return a.entries(progress) }, a.tree, a.checkpoints, a.states, a.heads, a.reservations, a.checkSecrets, a.missing, a.schema,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return a.r, nil
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

func (a *auditor) entries(progress Progress) error {
	var err error
	if a.head, err = a.s.ReadHead(a.ctx, a.q); err != nil {
		a.r.add(Problem{-1, string(a.s.Shop), "head", err.Error()})
		a.head = store.Head{Seq: -1}
	}
	if err := a.wantedRoots(); err != nil {
		return err
	}
	// The chunks are checked side by side and taken in order.
	type job struct {
		in  *chunk
		out chan []checked
	}
	jobs := make(chan job, 2*runtime.GOMAXPROCS(0))
	order := make(chan job, 4*runtime.GOMAXPROCS(0))
	for range runtime.GOMAXPROCS(0) {
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
	next := int64(0)
	for j := range order {
		for _, c := range <-j.out {
			a.take(c, &next)
		}
		if progress != nil {
			progress(next, a.head.Seq+1)
		}
	}
	if readErr != nil {
		return db.Fault(readErr)
	}
	a.r.Entries = next
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
	same(wrong, "type", string(r.typ), e.Type)
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
		a.roots[a.edge.Size] = a.edge.Root()
	}
	a.r.ErasedBoxes += int64(c.erased)
	if c.event == nil {
		return
	}
	e := c.event
	a.r.Boxes += int64(len(e.Boxes))
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

// wantedRoots remembers the sizes at which a root will be asked for.
func (a *auditor) wantedRoots() error {
	// The last one is kept with the keys too; a database that was restored from before it does not have it.
	folder := a.s.Keys.Folder()
	if last, err := folder.LastCheckpoint(string(a.s.Shop)); err == nil && last != nil {
		if verifiers, err := folder.Verifiers(string(a.s.Shop)); err == nil {
			if c, err := seal.OpenCheckpoint(last, verifiers, program.Origin(a.s.Shop)); err == nil {
				a.roots[c.Size] = seal.Hash{}
			}
		}
	} // what is wrong with it is said by checkpoints
	return db.Each(a.ctx, a.q, func(r *sql.Rows) error {
		var size int64
		err := r.Scan(&size)
		a.roots[size] = seal.Hash{}
		return err
	}, `SELECT size FROM checkpoint WHERE shop_id = $1`, a.s.Shop)
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

// checkpoints opens every checkpoint ever signed and compares it with the tree.
func (a *auditor) checkpoints() error {
	folder := a.s.Keys.Folder()
	last, err := folder.LastCheckpoint(string(a.s.Shop))
	if err != nil {
		return err
	}
	if last == nil && len(a.roots) == 0 {
		return nil // nothing was signed yet, so there may be no key to check with
	}
	verifiers, err := folder.Verifiers(string(a.s.Shop))
	if err != nil {
		return err
	}
	compare := func(name, note string, size int64, root []byte) {
		c, err := seal.OpenCheckpoint([]byte(note), verifiers, program.Origin(a.s.Shop))
		switch {
		case err != nil:
			a.r.add(Problem{size - 1, name, "note", err.Error()})
		case c.Size != size || (root != nil && !bytes.Equal(c.Root[:], root)):
			a.r.add(Problem{size - 1, name, "note", "the signed text is about another tree than its row"})
		case c.Size > a.r.Entries:
			a.r.add(Problem{a.r.Entries, name, "size", fmt.Sprintf("it was signed over %d entries, the journal has %d", c.Size, a.r.Entries)})
		default:
			if want, ok := a.roots[c.Size]; ok && want != c.Root {
				a.r.add(Problem{c.Size - 1, name, "root", "the tree of these entries is not the one that was signed"})
			}
		}
	}
	err = db.Each(a.ctx, a.q, func(r *sql.Rows) error {
		var size int64
		var root []byte
		var note string
		if err := r.Scan(&size, &root, &note); err != nil {
			return err
		}
		a.r.Checkpoints++
		compare(fmt.Sprintf("checkpoint %d", size), note, size, root)
		return nil
	}, `SELECT size, root, note FROM checkpoint WHERE shop_id = $1 ORDER BY size`, a.s.Shop)
	if err != nil {
		return err
	}
	if last == nil {
		return nil
	}
	c, err := seal.OpenCheckpoint(last, verifiers, program.Origin(a.s.Shop))
	if err != nil {
		a.r.add(Problem{-1, "last checkpoint in the keys folder", "note", err.Error()})
		return nil //nolint:nilerr // it is in the report
	}
	if c.Size > a.r.Entries && a.head.MovedTo != "" {
		return nil // it was signed where the shop went
	}
	if c.Size > a.r.Entries {
		// A server that runs beside may have signed after this snapshot began: that is no fault of the database.
		if now, err := a.s.ReadHead(a.ctx, a.s.Read); err == nil && now.Seq+1 >= c.Size {
			return nil
		}
	}
	compare("last checkpoint in the keys folder", string(last), c.Size, nil)
	return nil
}

// states compares every live row with what replay gives.
func (a *auditor) states() error {
	for _, kind := range store.StateKinds {
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
		if fmt.Sprint(own[i]) != fmt.Sprint(v) {
			wrong(m.Columns[i], "the column says %v, replay gives %v", own[i], v)
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

// schema checks that the database still refuses by itself: its triggers are there, and no batch was left half done.
func (a *auditor) schema() error {
	lapses, err := a.s.Lapses(a.ctx, a.q)
	if err != nil {
		return err
	}
	for _, l := range lapses {
		a.r.add(Problem{-1, l.Name, l.Field, l.Words})
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
