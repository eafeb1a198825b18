package audit

import (
	"bytes"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"perennial/internal/db"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/program"
	"perennial/internal/seal"
	"perennial/internal/store"
)

// wantedRoots remembers the sizes at which a root will be asked for.
func (a *auditor) wantedRoots() error {
	want := func(size int64) {
		if _, known := a.roots[size]; !known && size > a.edge.Size {
			a.roots[size] = seal.Hash{}
		}
	}
	// The last one is kept with the keys too; a database that was restored from before it does not have it.
	folder := a.s.Keys.Folder()
	if last, err := folder.LastCheckpoint(string(a.s.Shop)); err == nil && last != nil {
		if verifiers, err := folder.Verifiers(string(a.s.Shop)); err == nil {
			if c, err := seal.OpenCheckpoint(last, verifiers, program.Origin(a.s.Shop)); err == nil {
				want(c.Size)
			}
		}
	} // what is wrong with it is said by checkpoints
	return db.Each(a.ctx, a.q, func(r *sql.Rows) error {
		var size int64
		err := r.Scan(&size)
		want(size)
		return err
	}, `SELECT size FROM checkpoint WHERE shop_id = $1`, a.s.Shop)
}

// tells remembers what an entry says about the journal itself: that it ended here, that a key was destroyed, that it was checked.
func (a *auditor) tells(e *journal.Event) {
	a.movedTo = ""
	switch e.Type {
	case journal.ShopMoved:
		a.movedTo = detail(e, "to")
	case journal.CustomerRedacted:
		key := string(e.Target().ID)
		a.destroyed[key] = append(a.destroyed[key], e.RecordedAt.Format(journal.TimeLayout))
	case journal.NetworkDataExpired:
		key := a.s.Keys.NetworkKey(detail(e, "month"))
		a.destroyed[key] = append(a.destroyed[key], e.RecordedAt.Format(journal.TimeLayout))
	case observe.RestoreAccepted:
		if c, err := observe.ReadRestore(e); err == nil {
			a.accepted = append(a.accepted, acceptance{e.Seq, string(e.ID), c})
		}
	case journal.LogVerified:
		v := observe.Verification{Result: observe.Outcome(detail(e, "result")), Root: detail(e, "root")}
		if err := json.Unmarshal(e.Detail("entries"), &v.Entries); err != nil || v.Result != observe.Holds {
			return
		}
		if n := e.Detail("checkpoints"); n != nil {
			if err := json.Unmarshal(n, &v.Checkpoints); err != nil {
				return
			}
		}
		a.verified = append(a.verified, v)
	}
}

// detail gives a text among an entry's details; empty when there is none.
func detail(e *journal.Event, name string) (text string) {
	if v := e.Detail(name); v != nil && json.Unmarshal(v, &text) != nil {
		return ""
	}
	return text
}

// checkpoints opens every checkpoint that is known, and compares it with the tree: those in the database, the last one in the keys
// folder, and what entries say of checks that held.
func (a *auditor) checkpoints() error {
	folder := a.s.Keys.Folder()
	last, err := folder.LastCheckpoint(string(a.s.Shop))
	if err != nil {
		return err
	}
	a.confirmMove()
	if err := a.earlierChecks(); err != nil {
		return err
	}
	if last == nil {
		a.acceptances(a.r.Entries) // of which nothing more can be said; that there is none is said below
	}
	if last == nil && len(a.roots) == 0 {
		a.missingCheckpoints(nil)
		a.r.note("", "what was signed: there is no checkpoint in the database, and none in the keys folder")
		a.unproved = true
		return nil // there may be no key to check with
	}
	verifiers, err := folder.Verifiers(string(a.s.Shop))
	if err != nil {
		return err
	}
	var sizes []int64
	var signed []signedRoot
	open := func(name, note string, size int64, root []byte) {
		c, err := seal.OpenCheckpoint([]byte(note), verifiers, program.Origin(a.s.Shop))
		switch {
		case err != nil:
			a.r.add(Problem{size - 1, name, "note", err.Error()})
		case c.Size != size || (root != nil && !bytes.Equal(c.Root[:], root)):
			a.r.add(Problem{size - 1, name, "note", "the signed text is about another tree than its row"})
		case c.Size > a.r.Entries:
			a.r.add(Problem{a.r.Entries, name, "size", fmt.Sprintf("it was signed over %d entries, the journal has %d", c.Size, a.r.Entries)})
		default:
			signed = append(signed, signedRoot{name, c.Size, c.Root})
		}
	}
	err = db.Each(a.ctx, a.q, func(r *sql.Rows) error {
		var size int64
		var root []byte
		var note, at string
		if err := r.Scan(&size, &root, &note, &at); err != nil {
			return err
		}
		a.r.Checkpoints++
		a.counts["checkpoint"]++
		sizes = append(sizes, size)
		name := fmt.Sprintf("checkpoint %d", size)
		open(name, note, size, root)
		switch {
		case !isTime(at):
			a.r.add(Problem{size - 1, name, "signed_at", "it is no time"})
		case at < a.times[size]: // not before the checkpoint before it: a clock that is put back signs with the time of the last entry
			a.r.add(Problem{size - 1, name, "signed_at", "before what it signs"})
		}
		return nil
	}, `SELECT size, root, note, signed_at FROM checkpoint WHERE shop_id = $1 ORDER BY size`, a.s.Shop)
	if err != nil {
		return err
	}
	a.missingCheckpoints(sizes)
	if err := a.compareRoots(signed); err != nil {
		return err
	}
	if last == nil {
		if !folder.KeepsCheckpoint(string(a.s.Shop)) { // it may have come while the database was copied
			a.r.note("", "whether this is an older copy: the keys folder has no last checkpoint, while the database has some")
		}
		return nil
	}
	c, err := seal.OpenCheckpoint(last, verifiers, program.Origin(a.s.Shop))
	if err != nil {
		a.r.add(Problem{-1, "last checkpoint in the keys folder", "note", err.Error()})
		return nil //nolint:nilerr // it is in the report
	}
	a.acceptances(c.Size)
	if c.Size > a.r.Entries && a.r.MovedTo != "" {
		return nil // it was signed where the shop went
	}
	if c.Size > a.r.Entries {
		// A server that runs beside may have signed after this snapshot began: that is no fault of the database.
		now, err := a.s.ReadHead(a.ctx, a.s.Read)
		switch {
		case err == nil && now.Seq+1 >= c.Size:
			return nil
		case db.FromEngine(err):
			return err
		}
		a.unproved = true
	}
	if c.Size <= a.r.Entries {
		want, err := a.rootAt(c.Size)
		if db.FromEngine(err) {
			return err
		}
		a.unproved = a.unproved || want != c.Root
	}
	signed = nil
	open("last checkpoint in the keys folder", string(last), c.Size, nil)
	if err := a.compareRoots(signed); err != nil {
		return err
	}
	if c.Size < a.r.Entries && !slices.Contains(sizes, c.Size) || c.Size == a.r.Entries && len(sizes) == 0 {
		// A copy may be from between its last entry and the checkpoint over it, and a server that runs beside have signed since.
		var now int64
		err := a.s.Read.QueryRowContext(a.ctx, `SELECT count(*) FROM checkpoint WHERE shop_id = $1 AND size = $2`, a.s.Shop, c.Size).Scan(&now)
		if err != nil {
			return err
		}
		if now == 0 {
			a.r.add(Problem{c.Size - 1, fmt.Sprintf("checkpoint %d", c.Size), "size", "the keys folder has this checkpoint, and the database lost it"})
		}
	}
	return nil
}

// acceptance is an entry by which somebody goes on from a restored database.
type acceptance struct {
	seq int64
	id  string
	observe.AcceptRestore
}

// acceptances says what was given up with restored databases. An entry alone proves nothing, as whoever may write can append one: the
// operator's word is signed at once, and the keys folder has that checkpoint or a later one. signed is how many entries it covers.
func (a *auditor) acceptances(signed int64) {
	for _, c := range a.accepted {
		if c.seq >= signed {
			a.r.add(Problem{c.seq, c.id, string(observe.RestoreAccepted), fmt.Sprintf(
				"it gives a checkpoint over %d entries up, and no checkpoint in the keys folder covers it: run perennial accept-restore again, or ask who wrote it", c.Signed)})
			continue
		}
		a.r.note("", fmt.Sprintf("what the %d entries held that were signed before this database was put back: entry %d accepts that it had %d of them (%s: %s)",
			c.Signed, c.seq, c.Ours, c.By, c.Because))
	}
}

// signedRoot is what a checkpoint says.
type signedRoot struct {
	name string
	size int64
	root seal.Hash
}

func (a *auditor) compareRoots(list []signedRoot) error {
	for _, c := range list {
		want, err := a.rootAt(c.size)
		if db.FromEngine(err) {
			return err
		}
		if err != nil || want != c.root {
			a.r.add(Problem{c.size - 1, c.name, "root", "the tree of these entries is not the one that was signed"})
		}
	}
	return nil
}

// rootAt gives the root over the first entries: as it was recomputed on the way, or of a checkpoint that was signed after the way went by,
// from the tree, whose nodes were compared.
func (a *auditor) rootAt(size int64) (seal.Hash, error) {
	if root, ok := a.roots[size]; ok {
		return root, nil
	}
	return seal.RootAt(store.Tree{Ctx: a.ctx, S: a.s, Q: a.q}, size)
}

// missingCheckpoints compares how many checkpoints there are with what entries of checks say.
func (a *auditor) missingCheckpoints(sizes []int64) {
	for _, v := range a.verified {
		n := int64(0)
		for _, size := range sizes {
			if size <= v.Entries {
				n++
			}
		}
		if n < v.Checkpoints {
			a.r.add(Problem{v.Entries - 1, "checkpoint", "size", fmt.Sprintf("an entry of a check counted %d checkpoints up to here, now there are %d", v.Checkpoints, n)})
			return
		}
	}
}

// earlierChecks compares the roots that entries of earlier checks give.
func (a *auditor) earlierChecks() error {
	tree := store.Tree{Ctx: a.ctx, S: a.s, Q: a.q}
	for _, v := range a.verified {
		if v.Root == "" || v.Entries <= 0 || v.Entries > a.r.Entries {
			continue
		}
		root, err := seal.RootAt(tree, v.Entries)
		if db.FromEngine(err) {
			return err
		}
		if err != nil || fmt.Sprintf("%x", root[:]) != v.Root {
			a.r.add(Problem{v.Entries - 1, string(journal.LogVerified), "root", "an entry of a check gives another root for the entries up to here"})
		}
	}
	return nil
}

// confirmMove believes that the shop went elsewhere only when the last entry says so.
func (a *auditor) confirmMove() {
	switch {
	case a.head.MovedTo == "":
	case a.head.MovedTo == a.movedTo:
		a.r.MovedTo = a.movedTo
	default:
		a.r.add(Problem{-1, string(a.s.Shop), "head.moved_to", fmt.Sprintf("the head says that the shop was moved to %q, and the last entry does not", a.head.MovedTo)})
	}
}

// isTime says whether a column holds a time as this program writes it.
func isTime(text string) bool {
	t, err := time.Parse(journal.TimeLayout, text)
	return err == nil && t.UTC().Format(journal.TimeLayout) == strings.TrimSpace(text)
}
