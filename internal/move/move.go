// Package move takes a shop from one database to another, of the same engine or the other one.
//
// The entries go over as they are, byte for byte, in batches of their own; the states are made from them by replay, so that the
// other database's triggers see every entry with its row. It may be stopped anywhere and begun again: the other database's head
// says how far it came. While it copies, the shop may be in use. In the end the journal gets its last entry, shop.moved, and is
// closed by the same commit: from then on the database itself refuses every further entry, and one tree has one signer.
//
// move_test.go moves a shop there and back, and stops it between any two batches.
package move

import (
	"context"
	"errors"
	"fmt"

	"perennial/internal/audit"
	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/program"
	"perennial/internal/seal"
	"perennial/internal/store"
	"perennial/internal/vault"
)

// batchLength is how many entries go over in one transaction.
const batchLength = 1000

// Steps are told what is going on. The functions may be nil.
type Steps struct {
	Verifying func(database string, done, total int64)
	Copying   func(done, total int64)
}

// Report says what was moved.
type Report struct {
	Shop    id.ID
	Entries int64 // the last one, shop.moved, included
	Root    string
}

// Shop moves the shop of from into to. closing runs the command that ends the source's journal, through a program that is open on
// it; the machinery of its request has to be given the batch. Both databases are verified, before and after.
func Shop(ctx context.Context, from, to *store.Store, source *program.Program, meta program.Meta, steps Steps) (_ *Report, err error) {
	defer fault.Trail(&err, "move a shop")
	head, err := from.ReadHead(ctx, from.Read)
	if err != nil {
		return nil, db.Fault(err)
	}
	if err := verify(ctx, from, "source", steps); err != nil {
		return nil, err
	}
	c := &copier{ctx: ctx, from: from, to: to, steps: steps}
	if err := c.begins(); err != nil {
		return nil, err
	}
	if err := c.run(); err != nil {
		return nil, err
	}
	if head.MovedTo == "" {
		if _, err := source.Do(
			ctx,
			&program.Request{Meta: meta, Command: journal.Bind(observe.Move{Shop: from.Shop, To: to.DB.Path, Entries: c.next}),
				Machinery: func(b *store.Batch) error { return b.Close(to.DB.Path) }},
		); err != nil {
			return nil, err
		}
	}
	// What others wrote before the journal was closed, and its last entry.
	if err := c.run(); err != nil {
		return nil, err
	}
	if err := verify(ctx, to, "copy", steps); err != nil {
		return nil, err
	}
	was, err := from.ReadHead(ctx, from.Read)
	if err != nil {
		return nil, db.Fault(err)
	}
	is, err := to.ReadHead(ctx, to.Read)
	if err != nil {
		return nil, db.Fault(err)
	}
	if was.Seq != is.Seq || was.Edge.Root() != is.Edge.Root() {
		return nil, fault.New(fault.Internal, "copy_differs",
			"The copy ends with entry %d and another root than the source, which ends with %d.", is.Seq, was.Seq)
	}
	return &Report{from.Shop, is.Seq + 1, is.Edge.Root().String()}, nil
}

func verify(ctx context.Context, s *store.Store, name string, steps Steps) error {
	r, err := audit.Verify(ctx, s, func(done, total int64) {
		if steps.Verifying != nil {
			steps.Verifying(name, done, total)
		}
	})
	if err != nil {
		return err
	}
	if !r.Holds() {
		return fault.New(fault.Conflict, "verify_failed", "The %s does not verify, and is not moved: %s.", name, r.Problems[0])
	}
	return nil
}

// copier copies entries, and what belongs to them.
type copier struct {
	ctx      context.Context
	from, to *store.Store
	steps    Steps
	w        *store.Writer // of the copy
	next     int64         // entries below this are in the copy
}

// begins says from where to go on, and refuses a database that holds something else.
func (c *copier) begins() error {
	head, err := c.to.ReadHead(c.ctx, c.to.Read)
	if err != nil {
		return db.Fault(err)
	}
	if head.MovedTo != "" {
		return fault.New(fault.Conflict, "journal_moved", "The shop was moved away from %s before: give an empty database.", c.to.DB.Path)
	}
	c.next = head.Seq + 1
	if c.next == 0 {
		return nil
	}
	source, err := c.from.ReadHead(c.ctx, c.from.Read)
	if err != nil {
		return db.Fault(err)
	}
	if c.next > source.Seq+1 {
		return fault.New(fault.Conflict, "copy_ahead", "The copy has %d entries and the source %d: the shop goes on there already.",
			c.next, source.Seq+1)
	}
	root, err := seal.RootAt(store.Tree{Ctx: c.ctx, S: c.from, Q: c.from.Read}, c.next)
	if err != nil {
		return err
	}
	if root != head.Edge.Root() {
		return fault.New(fault.Conflict, "another_journal",
			"The first %d entries there are not those of this journal: give an empty database.", c.next)
	}
	return nil
}

// run copies up to the source's head as it is when there is nothing left to copy.
func (c *copier) run() error {
	if err := c.from.CopyMachinery(c.ctx, c.to); err != nil {
		return err
	}
	var err error
	if c.w, err = c.to.Writer(c.ctx); err != nil {
		return err
	}
	for {
		head, herr := c.from.ReadHead(c.ctx, c.from.Read)
		if err = db.Fault(herr); err != nil || c.next > head.Seq {
			break
		}
		if c.steps.Copying != nil {
			c.steps.Copying(c.next, head.Seq+1)
		}
		if err = c.batch(min(head.Seq+1, c.next+batchLength)); err != nil {
			break
		}
		if c.steps.Copying != nil {
			c.steps.Copying(c.next, head.Seq+1)
		}
	}
	if err := errors.Join(err, c.w.Close()); err != nil {
		return err
	}
	// Keys, names and answers that came with the entries.
	return c.from.CopyMachinery(c.ctx, c.to)
}

// batch copies the entries up to end in one transaction.
func (c *copier) batch(end int64) (err error) {
	raws, err := c.from.RawRange(c.ctx, c.from.DB.Reader, c.next, end)
	if err != nil {
		return db.Fault(err)
	}
	secrets, err := c.from.Secrets(c.ctx, c.from.DB.Reader, c.next, end)
	if err != nil {
		return db.Fault(err)
	}
	checkpoints, err := c.from.CheckpointsBetween(c.ctx, c.from.DB.Reader, c.next, end)
	if err != nil {
		return db.Fault(err)
	}
	// Keys that were made since the machinery was copied: sealing under another one would be a second key of one person.
	if err := c.newKeys(raws); err != nil {
		return err
	}
	var entries []store.Entry
	rows, before := map[journal.Ref]*store.Row{}, map[journal.Ref]*store.Row{}
	var order []journal.Ref
	b, err := c.w.Begin(c.ctx, raws[0].RecordedAt)
	if err != nil {
		return err
	}
	defer b.Rollback()
	head := b.Head
	var nodes []seal.Node
	for _, raw := range raws {
		e := raw.Event
		ref := e.Target()
		row := rows[ref]
		if row == nil {
			was, err := c.to.Load(c.ctx, b, ref)
			if err != nil {
				return db.Fault(err)
			}
			before[ref] = &was
			row = &store.Row{State: was.State}
			rows[ref] = row
			order = append(order, ref)
		}
		row.Version, row.LastSeq = e.TargetVersion, e.Seq
		if store.HasState(ref.Kind) {
			fresh, err := c.to.Fresh(ref)
			if err != nil {
				return err
			}
			if row.State, err = journal.Apply(row.State, fresh, e.Changes); err != nil {
				return fmt.Errorf("entry %d: %w", e.Seq, err)
			}
		}
		leaf := seal.LeafHash(raw.Body)
		nodes = head.Edge.Add(leaf, nodes)
		head.Seq, head.RecordedAt = e.Seq, e.RecordedAt
		entries = append(entries, store.Entry{Event: e, Body: raw.Body, Ciphertexts: raw.Ciphertexts, Leaf: leaf})
	}
	if err := b.Append(entries); err != nil {
		return db.Fault(err)
	}
	var changed []store.Changed
	for _, ref := range order {
		changed = append(changed, store.Changed{Ref: ref, Row: rows[ref], Prev: before[ref]})
	}
	if err := b.WriteAll(changed); err != nil {
		return db.Fault(err)
	}
	for _, s := range secrets {
		if err := b.WriteSecret(s.Owner, s.Version, s.Seq, s.Name, s.Salt, s.Value); err != nil {
			return db.Fault(err)
		}
	}
	if err := b.WriteHead(head, nodes); err != nil {
		return db.Fault(err)
	}
	for _, p := range checkpoints {
		if err := b.PutCheckpoint(p); err != nil {
			return db.Fault(err)
		}
	}
	if err := b.Ready(head.Seq); err != nil {
		return db.Fault(err)
	}
	if err := b.Commit(); err != nil {
		return db.Fault(err)
	}
	c.next = end
	return nil
}

// newKeys copies the machinery again when an entry is sealed under a key that the copy does not have.
func (c *copier) newKeys(raws []store.Whole) error {
	for _, raw := range raws {
		for _, box := range raw.Event.Boxes {
			switch err := c.to.Keys.Known(c.ctx, c.to.Read, box.Key); {
			case errors.Is(err, vault.ErrErased), err == nil:
			case errors.Is(err, store.ErrNoKey):
				// An embedded database has one writing connection.
				if err := errors.Join(c.w.Close(), c.from.CopyMachinery(c.ctx, c.to)); err != nil {
					return err
				}
				c.w, err = c.to.Writer(c.ctx)
				return err
			default:
				return db.Fault(err)
			}
		}
	}
	return nil
}
