package audit

import (
	"bytes"
	"database/sql"
	"fmt"
	"runtime"

	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/seal"
	"perennial/internal/vault"
	"perennial/verify"
)

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

// entries checks the entries from a.from on, those below to; -1 is all that there are.
func (a *auditor) entries(to int64) error {
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
	// What comes before the first entry, or after the head, is there to be seen too.
	where, args := "", []any{a.s.Shop}
	if a.from > 0 {
		args = append(args, a.from)
		where += ` AND seq >= $2`
	}
	if to >= 0 {
		args = append(args, to)
		where += fmt.Sprintf(` AND seq < $%d`, len(args))
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
		}, `SELECT seq, recorded_at, type, target_kind, target_id, target_version, target_prev_seq, leaf_hash, body, boxes FROM event WHERE shop_id = $1`+where+` ORDER BY seq`, args...)
		if len(c.rows) > 0 {
			send()
		}
	}()
	for j := range order {
		for _, c := range <-j.out {
			a.take(c, &a.next)
			a.taken++
		}
		if progress != nil {
			progress(a.next, a.head.Seq+1)
		}
	}
	if readErr != nil {
		a.place = fmt.Sprintf("the table event, after entry %d", a.next-1)
		return readErr
	}
	a.from = to
	a.r.Entries = a.next
	a.counts["event"] = a.taken
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
