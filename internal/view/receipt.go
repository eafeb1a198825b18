package view

import (
	"context"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/program"
	"perennial/internal/seal"
	"perennial/internal/store"
)

// Receipt is everything that proves one event offline, as perennial verify --receipt reads it.
type Receipt struct {
	Event      []byte   `json:"event" doc:"The event's canonical bytes."`
	Seq        int64    `json:"seq"`
	Size       int64    `json:"size" doc:"How many events the checkpoint is over."`
	Hashes     [][]byte `json:"hashes"`
	Checkpoint string   `json:"checkpoint" doc:"The signed note."`
	Key        string   `json:"key" doc:"The shop's public key, as a hint: get it once from /log-key and keep it."`
}

// ReceiptOf makes the receipt of an event, and signs a checkpoint over it when there is none yet.
func ReceiptOf(ctx context.Context, s *store.Store, p *program.Program, event id.ID) (Receipt, error) {
	st, err := s.EventByID(ctx, s.Read, store.Closed, event)
	if err != nil {
		return Receipt{}, store.Fault(err)
	}
	c, err := CheckpointOver(ctx, s, p, st.Seq+1)
	if err != nil {
		return Receipt{}, err
	}
	if c.Size <= st.Seq {
		return Receipt{}, fault.New(fault.Unavailable, "not_signed", "No checkpoint covers this event yet.")
	}
	hashes, err := seal.Inclusion(store.Tree{Ctx: ctx, S: s, Q: s.Read}, st.Seq, c.Size)
	if err != nil {
		return Receipt{}, store.Fault(err)
	}
	proof := make([][]byte, len(hashes))
	for i, h := range hashes {
		proof[i] = h[:]
	}
	_, vkey, err := s.Keys.Folder().Verifier(string(s.Shop))
	return Receipt{st.Body, st.Seq, c.Size, proof, c.Note, vkey}, err
}

// CheckpointOver gives the newest checkpoint when it is over at least size events, and signs one over all of them when it
// is not. Size 0 stands for all events.
func CheckpointOver(ctx context.Context, s *store.Store, p *program.Program, size int64) (store.Checkpoint, error) {
	head, err := s.ReadHead(ctx, s.Read)
	if err != nil {
		return store.Checkpoint{}, store.Fault(err)
	}
	if size == 0 {
		size = head.Seq + 1
	}
	last, err := s.Checkpoints(ctx, s.Read, head.Seq+2, 1)
	if err != nil {
		return store.Checkpoint{}, store.Fault(err)
	}
	if len(last) == 1 && last[0].Size >= size {
		return last[0], nil
	}
	return p.Checkpoint(ctx)
}
