package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"perennial/internal/billing"
	"perennial/internal/customer"
	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/gate"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/store"
)

// eraseWait is how long at most until a gateway that failed to delete a customer is asked again, eraseTries after how many failures in a
// row an entry says so.
const (
	eraseWait  = 24 * time.Hour
	eraseTries = 3
)

// EraseAtGateway deletes erased customers at the gateway, once none of their money can move there any more: while a charge, a refund or a
// dispute is open, what the gateway keeps of the customer may be needed to ask about it. What fails is tried again, less and
// less often, and told once. It may be called as often as one likes.
func (e *Engine) EraseAtGateway(ctx context.Context) error {
	g, ok := e.g.(payment.Eraser)
	if !ok {
		return nil
	}
	var errs []error
	for last := id.ID(""); ctx.Err() == nil; {
		if err := e.Gate.Ask(gate.Destroy|gate.Charge, gate.GatewayFailing); err != nil {
			return err
		}
		rows, err := query.Claim(ctx, e.s, e.holder, inHand, query.List{Kind: journal.Customer, Limit: chunk,
			Where: []query.Filter{query.Set(query.GatewayData), query.After(query.ID, last)}})
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		for _, r := range rows {
			last = r.State.Ref().ID
			if err := e.eraseOne(ctx, g, last); err != nil {
				errs = append(errs, fmt.Errorf("customer %s: %w", last, err))
			}
		}
		if err := e.s.Unclaim(context.WithoutCancel(ctx), journal.Customer, e.holder); err != nil {
			return errors.Join(append(errs, err)...)
		}
		if len(rows) < chunk {
			break
		}
	}
	return errors.Join(errs...)
}

// eraseOne deletes one customer at the gateway and records it.
func (e *Engine) eraseOne(ctx context.Context, g payment.Eraser, who id.ID) error {
	if w := e.erasures[who]; !w.over(e.p.Now()) {
		return nil
	}
	orders, err := query.Rows(ctx, e.s, query.List{Kind: journal.Order, Where: []query.Filter{query.Is(query.Customer, who)}, Steady: true})
	if err != nil {
		return err
	}
	if slices.ContainsFunc(orders, func(r store.Row) bool { return billing.OpenAtGateway(r.State.(*billing.Order), e.p.Now()) }) {
		return nil
	}
	what, elsewhere, err := e.erasure(ctx, g, who)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, chargeTimeout)
	defer cancel()
	release := e.take()
	if err := e.Gate.Ask(gate.Destroy|gate.Charge, gate.GatewayFailing); err != nil {
		release()
		return err
	}
	n, err := g.EraseCustomer(limited, what)
	release()
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return e.eraseFailed(ctx, who, err)
	}
	delete(e.erasures, who)
	return e.noteErasure(context.WithoutCancel(ctx), journal.Bind(customer.NoteGatewayErased{ID: who, Customers: n, Elsewhere: elsewhere}))
}

// erasure says what is to be deleted: the cards of this gateway, apart from those that are kept together with another customer's.
func (e *Engine) erasure(ctx context.Context, g payment.Eraser, who id.ID) (out payment.Erasure, elsewhere []string, err error) {
	out.CustomerID = who
	secret, err := e.s.OpenSecret(ctx, e.s.Read, journal.Ref{Kind: journal.Customer, ID: who}, customer.SecretGatewayReferences)
	if err != nil || secret == nil {
		return out, nil, db.Fault(err)
	}
	references, err := customer.ReadGatewayReferences(secret)
	if err != nil {
		return out, nil, err
	}
	keepers := map[string]bool{} // whether somebody else has cards there too
	for _, r := range references {
		if !e.charges(r.Gateway) {
			if !slices.Contains(elsewhere, r.Gateway) {
				elsewhere = append(elsewhere, r.Gateway)
			}
			continue
		}
		if k := g.Keeper(r.Reference); k != "" {
			keepers[k] = false
		}
		out.References = append(out.References, r.Reference)
	}
	if err := e.shared(ctx, g, who, keepers); err != nil {
		return out, nil, err
	}
	out.References = slices.DeleteFunc(out.References, func(r string) bool {
		shared := keepers[g.Keeper(r)]
		if shared {
			out.Shared = append(out.Shared, r)
		}
		return shared
	})
	return out, elsewhere, nil
}

// charges says whether a payment method of a gateway's name is one of the gateway's that is asked.
func (e *Engine) charges(name string) bool {
	g, named := e.g.(interface{ Name() string })
	return !named || g.Name() == name
}

// shared notes which of some customers at the gateway have cards of somebody else of this shop: an import may say so. References are
// sealed, so all payment methods are looked through.
func (e *Engine) shared(ctx context.Context, g payment.Eraser, who id.ID, keepers map[string]bool) error {
	if len(keepers) == 0 {
		return nil
	}
	others := query.List{Kind: journal.PaymentMethod, Where: []query.Filter{query.Not(query.Customer, who)}, Steady: true}
	for rows, err := range query.Pages(ctx, e.s, others, "") {
		if err != nil {
			return err
		}
		for _, row := range rows {
			m := row.State.(*customer.PaymentMethod)
			if k := g.Keeper(m.GatewayReference.Value); k != "" && (m.Status == customer.StatusActive || m.Status == customer.StatusExpired) {
				if _, asked := keepers[k]; asked {
					keepers[k] = true
				}
			}
		}
	}
	return nil
}

// eraseFailed remembers when to try again, and tells of a gateway that keeps failing. One that refuses us will do so again.
func (e *Engine) eraseFailed(ctx context.Context, who id.ID, err error) error {
	if e.erasures == nil {
		e.erasures = map[id.ID]wait{}
	}
	w := e.erasures[who].longer(e.p.Now(), eraseWait)
	e.erasures[who] = w
	e.log.Warn("an erased customer could not be deleted at the payment gateway", "customer", who, "error", err)
	code := "no_answer"
	ours, refused := errors.AsType[*payment.Ours](err)
	if refused {
		code = ours.Code
	}
	if !refused && w.pause < firstWait<<(eraseTries-1) {
		return nil
	}
	return e.noteErasure(context.WithoutCancel(ctx), journal.Bind(customer.NoteGatewayErasureFailed{ID: who, Code: code}))
}

// noteErasure records what became of an erasure at the gateway. Another process may have been faster.
func (e *Engine) noteErasure(ctx context.Context, c journal.Command) error {
	meta := program.Meta{
		Actor:  journal.Actor{Kind: journal.ActorSystem, ID: "retention"},
		Source: journal.Origin{Channel: journal.ChannelBulk},
	}
	_, err := e.p.Do(ctx, &program.Request{Meta: meta, Command: c})
	if f := fault.As(err); err != nil && f.Kind == fault.Conflict {
		return nil
	}
	return err
}
