package program

import (
	"bytes"
	"context"
	"math"
	"time"

	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/seal"
	"perennial/internal/store"
	"perennial/internal/vault"
)

// checkpoint signs the tree as it stands.
func (w *writer) checkpoint() (c store.Checkpoint, err error) {
	defer fault.Trail(&err, "checkpoint")
	ctx := context.Background()
	b, err := w.begin(ctx)
	if err != nil {
		return c, err
	}
	defer b.Rollback()
	size := b.Head.Seq + 1
	if size == 0 {
		return c, fault.New(fault.NotFound, "journal_empty", "The journal is empty: there is nothing to sign.")
	}
	if err := w.continues(ctx, b, size); err != nil {
		return c, err
	}
	last, err := w.s.Checkpoints(ctx, b, size+1, 1)
	if err != nil {
		return c, db.Fault(err)
	}
	if len(last) == 1 && last[0].Size == size {
		return last[0], w.save([]byte(last[0].Note), size)
	}
	folder := w.s.Keys.Folder()
	signer, err := folder.Signer(string(w.s.Shop))
	if err != nil {
		return c, err
	}
	root := b.Head.Edge.Root()
	note, err := seal.SignCheckpoint(signer, Origin(w.s.Shop), size, root)
	if err != nil {
		return c, err
	}
	c = store.Checkpoint{Size: size, Root: root[:], Note: string(note), SignedAt: b.Now.UTC().Format(journal.TimeLayout)}
	if err := b.PutCheckpoint(c); err != nil {
		return c, db.Fault(err)
	}
	if err := b.Commit(); err != nil {
		return c, db.Fault(err)
	}
	return c, w.save(note, size)
}

// save keeps a checkpoint with the keys too, unless it is there. What failed is tried again by the next checkpoint.
func (w *writer) save(note []byte, size int64) error {
	if bytes.Equal(note, w.signed) {
		return nil
	}
	err := w.s.Keys.Folder().SaveCheckpoint(string(w.s.Shop), note, size)
	if err == nil {
		w.signed = note
	}
	return err
}

// Origin is the first line of a shop's checkpoints.
func Origin(shop id.ID) string { return "perennial/" + string(shop) }

// continues refuses a journal that is not a continuation of the last signed checkpoint in the keys folder: the
// database was restored from before it, and signing would make two histories.
func (w *writer) continues(ctx context.Context, b *store.Batch, size int64) error {
	folder := w.s.Keys.Folder()
	note, err := folder.LastCheckpoint(string(w.s.Shop))
	if err != nil || note == nil || bytes.Equal(note, w.signed) {
		w.p.continued.Store(err == nil)
		return err
	}
	w.p.continued.Store(false)
	last, err := openCheckpoint(folder, w.s.Shop, note)
	if err != nil {
		return err
	}
	if last.Size > size {
		return fault.New(fault.Unavailable, "database_behind",
			"The database holds %d entries, but a checkpoint over %d was signed: it was restored from an older copy. Nothing is signed until the newer one is back, or until you go on from this one with perennial accept-restore.",
			size, last.Size)
	}
	root, err := seal.RootAt(store.Tree{Ctx: ctx, S: w.s, Q: b}, last.Size)
	if err != nil {
		return err
	}
	if root != last.Root {
		return fault.New(fault.Unavailable, "database_forked",
			"The first %d entries of the database are not those that the last checkpoint was signed over. Run perennial verify.", last.Size)
	}
	w.signed = note
	w.p.continued.Store(true)
	return nil
}

// Continued says whether the database was last seen to go on from the last signed checkpoint of the keys folder.
func (p *Program) Continued() bool { return p.continued.Load() }

// GivenUp says what a checkpoint was over that is given up.
type GivenUp struct {
	Found string // how the database differs from it: database_behind, database_forked
	Size  int64  // entries that it is over
	Root  seal.Hash
	Ours  int64     // entries that the database has
	Since time.Time // the newest checkpoint in the database was signed then: what was recorded later may be missing

	Unsent int64 // messages that the database had still to send, and that may have been sent: they are left out
}

// Lost says how the database differs from the last signed checkpoint, when it is no continuation of it. Otherwise it is refused with
// nothing_to_accept.
func (p *Program) Lost(ctx context.Context) (g GivenUp, err error) {
	_, err = p.Checkpoint(ctx)
	if err == nil {
		return g, fault.New(fault.Conflict, "nothing_to_accept",
			"The database goes on from the last signed checkpoint: there is nothing to accept.")
	}
	if g.Found = fault.As(err).Code; g.Found != "database_behind" && g.Found != "database_forked" {
		return g, err
	}
	note, err := p.Store.Keys.Folder().LastCheckpoint(string(p.Store.Shop))
	if err != nil {
		return g, err
	}
	last, err := openCheckpoint(p.Store.Keys.Folder(), p.Store.Shop, note)
	if err != nil {
		return g, err
	}
	g.Size, g.Root, g.Ours = last.Size, last.Root, p.Head()+1
	signed, err := p.Store.Checkpoints(ctx, p.Store.Read, math.MaxInt64, 1)
	if err == nil && len(signed) > 0 {
		g.Since, err = time.Parse(journal.TimeLayout, signed[0].SignedAt)
		return g, err
	}
	for first, err := range p.Store.Events(ctx, p.Store.Read, store.Closed, 0, 1) {
		if err != nil {
			return g, err
		}
		g.Since = first.RecordedAt
	}
	return g, err
}

// GiveUp makes the last signed checkpoint one of the past, and signs the database as it is.
func (p *Program) GiveUp(ctx context.Context) error {
	err := p.Exclusive(ctx, func(*store.Writer) error {
		p.w.signed = nil
		return p.Store.Keys.Folder().GiveUp(string(p.Store.Shop))
	})
	if err != nil {
		return err
	}
	_, err = p.Checkpoint(ctx)
	return err
}

func openCheckpoint(folder *vault.Folder, shop id.ID, note []byte) (seal.Checkpoint, error) {
	verifiers, err := folder.Verifiers(string(shop))
	if err != nil {
		return seal.Checkpoint{}, err
	}
	return seal.OpenCheckpoint(note, verifiers, Origin(shop))
}
