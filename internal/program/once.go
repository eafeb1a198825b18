package program

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/go-json-experiment/json"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/store"
)

// sent is what is kept of a form: what it came to.
type sent struct {
	Actor   journal.Actor `json:"actor"`
	From    int64         `json:"from"` // seq of the first event
	Events  int           `json:"events"`
	Result  journal.Ref   `json:"result"`
	Created []id.ID       `json:"created,omitzero"`
}

// DoOnce is Do for a form that a person sends, which may come twice. key is what the form is known by. A second request under it
// changes nothing and gives the outcome of the first with its events, Replayed; where the first wrote machinery, which may hold a
// secret that only it could show, or was somebody else's, it is refused (Conflict, sent_already). What was refused may be sent
// again.
func (p *Program) DoOnce(ctx context.Context, req *Request, key [sha256.Size]byte) (*Outcome, error) {
	h := sha256.Sum256(fmt.Appendf(nil, "%s form %x", p.Store.Shop, key))
	req.Idempotency = &Idempotency{CallerKey: h[:20], RequestHash: h[sha256.Size-store.FormHash:]}
	req.Answer = func(_ Query, out *Outcome) (Reply, error) {
		s := sent{Actor: req.Meta.Actor, Events: len(out.Events), Result: out.Decision.Result, Created: out.Decision.Created}
		if s.Events > 0 {
			s.From = out.Events[0].Seq
		}
		body, err := json.Marshal(s)
		return Reply{Body: body, Once: req.Machinery != nil}, err
	}
	out, err := p.Do(ctx, req)
	if err != nil {
		if f := fault.As(err); f.Code == "already_shown" {
			err = SentAlready()
		}
		return nil, err
	}
	if !out.Replayed {
		return out, nil
	}
	var s sent
	if err := json.Unmarshal(out.Reply.Body, &s); err != nil {
		return nil, fmt.Errorf("program: what is kept of a form: %w", err)
	}
	if s.Actor != req.Meta.Actor {
		return nil, SentAlready()
	}
	out.Decision = journal.Decision{Result: s.Result, Created: s.Created}
	if s.Events == 0 {
		return out, nil
	}
	for st, err := range p.Store.Events(ctx, p.Store.Read, store.Opened, s.From, s.From+int64(s.Events)) {
		if err != nil {
			return nil, store.Fault(err)
		}
		out.Events = append(out.Events, Done{Event: st.Event, Leaf: st.Leaf})
	}
	return out, nil
}

// First says whether a form comes for the first time today that does what no command does. It asks for nothing else.
func (p *Program) First(ctx context.Context, key [sha256.Size]byte) (bool, error) {
	return p.Spend(ctx, fmt.Sprintf("form %x", key), p.Now().AddDate(0, 0, 1))
}

// SentAlready is the refusal of a form that comes again and cannot show once more what it did.
func SentAlready() error {
	return fault.New(fault.Conflict, "sent_already", "This form was sent already, and it was done. Open the page again to do it once more.")
}
