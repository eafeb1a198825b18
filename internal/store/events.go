package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"
	"strings"
	"time"

	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/seal"
	"perennial/internal/vault"
)

// Stored is an event with what lies beside it.
type Stored struct {
	*journal.Event
	Body []byte
	Leaf seal.Hash
}

const eventColumns = `seq, body, boxes, leaf_hash`

// Privacy says whether sealed values are opened when events are read.
type Privacy int

// Closed leaves every sealed value erased, which costs no key; Opened opens what can be opened.
const (
	Closed Privacy = iota
	Opened
)

// packed is an event as it is stored. Rows are read first and opened afterwards: opening may ask for a key, and a connection to
// PostgreSQL answers one question at a time.
type packed struct {
	seq               int64
	body, boxes, leaf []byte
}

func (e *packed) scan(scan func(...any) error) error {
	return scan(&e.seq, &e.body, &e.boxes, &e.leaf)
}

func packedRows(ctx context.Context, q db.Querier, query string, args ...any) (out []packed, err error) {
	err = db.Each(ctx, q, func(r *sql.Rows) error {
		var e packed
		err := e.scan(r.Scan)
		out = append(out, e)
		return err
	}, query, args...)
	return out, err
}

func (s *Store) unpack(ctx context.Context, q db.Querier, p Privacy, e packed) (Stored, error) {
	st, err := s.open(ctx, q, p, e.body, e.boxes)
	if err != nil {
		return st, fmt.Errorf("event %d: %w", e.seq, err)
	}
	copy(st.Leaf[:], e.leaf)
	return st, nil
}

func (s *Store) open(ctx context.Context, q db.Querier, p Privacy, body, boxes []byte) (Stored, error) {
	st := Stored{Body: body}
	parsed, err := journal.Parse(body)
	if err != nil {
		return st, err
	}
	if p == Closed || len(parsed.Boxes()) == 0 {
		st.Event, err = parsed.Open(nil, nil)
		return st, err
	}
	ciphertexts, err := vault.SplitCiphertexts(boxes, len(parsed.Boxes()))
	if err != nil {
		return st, err
	}
	st.Event, err = parsed.Open(ciphertexts, s.Keys.Opener(ctx, q))
	return st, err
}

// Event reads one event; an unknown seq is a NotFound fault.
func (s *Store) Event(ctx context.Context, q db.Querier, p Privacy, seq int64) (Stored, error) {
	var e packed
	err := e.scan(q.QueryRowContext(ctx, `SELECT `+eventColumns+` FROM event WHERE shop_id = $1 AND seq = $2`, s.Shop, seq).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return Stored{}, unknownEvent(s.Shop, seq)
	}
	if err != nil {
		return Stored{}, err
	}
	return s.unpack(ctx, q, p, e)
}

// Leaf gives the leaf hash of an event; zero when the database has none.
func (s *Store) Leaf(ctx context.Context, q db.Querier, seq int64) (leaf seal.Hash, err error) {
	var b []byte
	err = q.QueryRowContext(ctx, `SELECT leaf_hash FROM event WHERE shop_id = $1 AND seq = $2`, s.Shop, seq).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	copy(leaf[:], b)
	return leaf, err
}

// EventByID reads one event by its id.
func (s *Store) EventByID(ctx context.Context, q db.Querier, p Privacy, key id.ID) (Stored, error) {
	shop, seq, err := id.ParseEvent(string(key))
	if err != nil || shop != s.Shop {
		return Stored{}, fault.New(fault.NotFound, "unknown_event", "There is no event %s in this shop.", key)
	}
	return s.Event(ctx, q, p, seq)
}

// Events reads the events with from <= seq < to, in order. to 0 means the end.
func (s *Store) Events(ctx context.Context, q db.Querier, p Privacy, from, to int64) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		for {
			const page = 1000
			end := from + page
			if to > 0 {
				end = min(end, to)
			}
			rows, err := packedRows(ctx, q,
				`SELECT `+eventColumns+` FROM event WHERE shop_id = $1 AND seq >= $2 AND seq < $3 ORDER BY seq`, s.Shop, from, end)
			if err != nil {
				yield(Stored{}, err)
				return
			}
			for _, e := range rows {
				st, err := s.unpack(ctx, q, p, e)
				if !yield(st, err) || err != nil {
					return
				}
			}
			n := int64(len(rows))
			from = end
			if n < page || (to > 0 && from >= to) {
				return
			}
		}
	}
}

// Pick reads the events with the given seqs, in the order given. An unknown one is a NotFound fault.
func (s *Store) Pick(ctx context.Context, q db.Querier, p Privacy, seqs []int64) ([]Stored, error) {
	out, lost, err := s.PickSome(ctx, q, p, seqs)
	if err == nil && len(lost) > 0 {
		err = unknownEvent(s.Shop, lost[0])
	}
	return out, err
}

// PickSome reads the events with the given seqs, in the order given, and says which of them are not there.
func (s *Store) PickSome(ctx context.Context, q db.Querier, p Privacy, seqs []int64) (out []Stored, lost []int64, err error) {
	const most = 200 // in one statement
	found := make(map[int64]Stored, len(seqs))
	for part := range slices.Chunk(seqs, most) {
		args := []any{s.Shop}
		for _, n := range part {
			args = append(args, n)
		}
		rows, err := packedRows(
			ctx,
			q,
			`SELECT `+eventColumns+` FROM event WHERE shop_id = $1 AND seq IN (`+db.Placeholders(2, len(part))+`)`,
			args...)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range rows {
			if found[e.seq], err = s.unpack(ctx, q, p, e); err != nil {
				return nil, nil, err
			}
		}
	}
	out = make([]Stored, 0, len(seqs))
	for _, n := range seqs {
		if st, ok := found[n]; ok {
			out = append(out, st)
		} else {
			lost = append(lost, n)
		}
	}
	return out, lost, nil
}

func unknownEvent(shop id.ID, seq int64) error {
	return fault.New(fault.NotFound, "unknown_event", "There is no event %s in this shop.", id.Event(shop, seq))
}

// Chain walks one target's history backwards along target_prev_seq from an event on, that event included, until stop
// says so or the first one was given.
func (s *Store) Chain(ctx context.Context, q db.Querier, p Privacy, from int64) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		for from != journal.NoPrev {
			st, err := s.Event(ctx, q, p, from)
			if !yield(st, err) || err != nil {
				return
			}
			from = st.TargetPrevSeq
		}
	}
}

// First gives a target's first event; nil for a target that has none.
func (s *Store) First(ctx context.Context, q db.Querier, ref journal.Ref) (first *journal.Event, err error) {
	row, err := s.load(ctx, q, ref)
	if err != nil || row.Version == 0 {
		return nil, err
	}
	for e, err := range s.Chain(ctx, q, Closed, row.LastSeq) {
		if err != nil {
			return nil, err
		}
		first = e.Event
	}
	return first, nil
}

// StateAt gives the state of a target after its last event that keep accepts, going back from the row's last; version
// 0 when it did not exist then.
func (s *Store) StateAt(ctx context.Context, q db.Querier, ref journal.Ref, keep func(*journal.Event) bool) (Row, error) {
	row, err := s.load(ctx, q, ref)
	if err != nil || row.Version == 0 {
		return Row{}, err
	}
	return s.stateAt(ctx, q, ref, row, keep)
}

func (s *Store) stateAt(ctx context.Context, q db.Querier, ref journal.Ref, row Row, keep func(*journal.Event) bool) (Row, error) {
	var events []*journal.Event
	for st, err := range s.Chain(ctx, q, Opened, row.LastSeq) {
		if err != nil {
			return Row{}, err
		}
		if len(events) > 0 || keep(st.Event) {
			events = append(events, st.Event)
		}
	}
	if len(events) == 0 {
		return Row{}, nil
	}
	fresh, err := s.Fresh(ref)
	if err != nil {
		return Row{}, err
	}
	for i, j := 0, len(events)-1; i < j; i, j = i+1, j-1 {
		events[i], events[j] = events[j], events[i]
	}
	state, err := journal.Fold(fresh, events)
	last := events[len(events)-1]
	return Row{State: state, Version: last.TargetVersion, LastSeq: last.Seq}, err
}

// Changed gives the targets of the events after a seq.
func (s *Store) Changed(ctx context.Context, q db.Querier, after int64) (refs []journal.Ref, err error) {
	err = db.Each(ctx, q, func(r *sql.Rows) error {
		var ref journal.Ref
		err := r.Scan(&ref.Kind, &ref.ID)
		refs = append(refs, ref)
		return err
	}, `SELECT DISTINCT target_kind, target_id FROM event WHERE shop_id = $1 AND seq > $2`, s.Shop, after)
	return refs, err
}

// SeqAt gives the first seq with recorded_at >= at: the number of events before that time.
func (s *Store) SeqAt(ctx context.Context, q db.Querier, at time.Time) (int64, error) {
	head, err := s.ReadHead(ctx, q)
	if err != nil {
		return 0, err
	}
	want := stamp(at)
	var failed error
	n := sort.Search(int(head.Seq+1), func(i int) bool {
		var got string
		if err := q.QueryRowContext(ctx, `SELECT recorded_at FROM event WHERE shop_id = $1 AND seq = $2`, s.Shop, i).Scan(&got); err != nil {
			failed = err
		}
		return strings.Compare(got, want) >= 0
	})
	return int64(n), failed
}

// Tree reads the Merkle tree. It implements seal.Source.
type Tree struct {
	Ctx context.Context
	S   *Store
	Q   db.Querier
}

// Leaves gives the leaf hashes of [from, to).
func (t Tree) Leaves(from, to int64) ([]seal.Hash, error) {
	out := make([]seal.Hash, 0, to-from)
	err := db.Each(t.Ctx, t.Q, func(r *sql.Rows) error {
		var b []byte
		if err := r.Scan(&b); err != nil {
			return err
		}
		var h seal.Hash
		copy(h[:], b)
		out = append(out, h)
		return nil
	}, `SELECT leaf_hash FROM event WHERE shop_id = $1 AND seq >= $2 AND seq < $3 ORDER BY seq`, t.S.Shop, from, to)
	if err == nil && int64(len(out)) != to-from {
		err = fmt.Errorf("store: %d leaves of [%d, %d)", len(out), from, to)
	}
	return out, err
}

// Node gives the root of a complete subtree at a level of at least seal.NodeLevel.
func (t Tree) Node(level int, index int64) (seal.Hash, error) {
	var h seal.Hash
	var b []byte
	if err := t.Q.QueryRowContext(t.Ctx, `SELECT hash FROM tree_node WHERE shop_id = $1 AND level = $2 AND idx = $3`, t.S.Shop,
		level, index).Scan(
		&b,
	); err != nil {
		return h, fmt.Errorf("store: tree node %d/%d: %w", level, index, err)
	}
	copy(h[:], b)
	return h, nil
}

// Checkpoint is a signed checkpoint as stored.
type Checkpoint struct {
	Size     int64
	Root     []byte
	Note     string
	SignedAt string
}

// Checkpoints lists signed checkpoints with a size below before, newest first.
func (s *Store) Checkpoints(ctx context.Context, q db.Querier, before int64, limit int) ([]Checkpoint, error) {
	var out []Checkpoint
	err := db.Each(ctx, q, func(r *sql.Rows) error {
		var c Checkpoint
		if err := r.Scan(&c.Size, &c.Root, &c.Note, &c.SignedAt); err != nil {
			return err
		}
		out = append(out, c)
		return nil
	}, `SELECT size, root, note, signed_at FROM checkpoint WHERE shop_id = $1 AND size < $2 ORDER BY size DESC LIMIT $3`, s.Shop, before, limit)
	return out, err
}

// PutCheckpoint appends a signed checkpoint.
func (b *Batch) PutCheckpoint(c Checkpoint) error {
	_, err := b.ExecContext(b.ctx, `INSERT INTO checkpoint (shop_id, size, root, note, signed_at) VALUES ($1, $2, $3, $4, $5)`,
		b.s.Shop, c.Size, c.Root, c.Note, c.SignedAt)
	return err
}
