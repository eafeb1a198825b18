package portal

import (
	"context"
	"errors"
	"slices"

	"perennial/internal/billing"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment"
	"perennial/internal/payment/stripe"
	"perennial/internal/web/ui"
)

// Confirming a payment. The bank asks the customer on a page of its own, by Stripe's script or, for the simulated gateway, by a button.
// What came of it the engine hears from the gateway: nothing is believed that a browser says.

// testBank is the bank behind the simulated gateway.
type testBank interface {
	Confirm(ctx context.Context, chargeID string) error
}

// stripeBank is the bank behind Stripe.
type stripeBank interface {
	Publishable() string
	Confirm(ctx context.Context, chargeID string) (stripe.Confirmation, error)
}

func (p *Portal) registerConfirming() {
	// The secret of a payment is for whose payment it is.
	p.on(route{pattern: "GET /portal/orders/{order}/confirm", who: alone}, (*call).confirmPage)
	p.on(route{pattern: "POST /portal/orders/{order}/confirm", who: alone}, (*call).confirmed)
}

// confirmView is the page of a payment that waits for its customer.
type confirmView struct {
	At, Text                    string
	Test                        bool
	Publishable, Secret, Method string // for Stripe's script; empty: it cannot be confirmed here
	Contact                     string
}

// waitsForCustomer gives the attempt of an order that its customer has to confirm.
func waitsForCustomer(o *billing.Order) (billing.Attempt, bool) {
	i := slices.IndexFunc(o.Attempts, func(a billing.Attempt) bool { return a.Status == billing.AttemptActionRequired })
	if o.Status != billing.Pending || i < 0 {
		return billing.Attempt{}, false
	}
	return o.Attempts[i], true
}

// toConfirm gives the customer's order of the address, with its attempt.
func (c *call) toConfirm() (*billing.Order, billing.Attempt, error) {
	o, err := journal.Find[billing.Order](c.reader(), journal.Order, id.ID(c.r.PathValue("order")))
	if err != nil {
		return nil, billing.Attempt{}, err
	}
	if o == nil || o.CustomerID != c.who.ID {
		return nil, billing.Attempt{}, fault.New(fault.NotFound, "unknown_order", "There is no such order.")
	}
	a, waits := waitsForCustomer(o)
	if !waits {
		return o, a, fault.New(fault.Conflict, "nothing_to_confirm", "The payment of this order does not wait for you any more.")
	}
	return o, a, nil
}

func (c *call) confirmPage() (answer, error) {
	o, a, err := c.toConfirm()
	if err != nil {
		return answer{}, err
	}
	v := confirmView{At: c.r.URL.Path, Contact: c.contact(), Text: c.say("confirm.text", "amount", c.cash(a.Amount), "number", o.Number)}
	out := answer{title: c.say("confirm.title"), crumbs: []ui.Link{{Href: "/portal/orders", Text: c.say("orders.title")}}}
	switch g := c.Gateway.(type) {
	case testBank:
		v.Test = true
	case stripeBank:
		if g.Publishable() == "" {
			break
		}
		how, err := g.Confirm(c.ctx, a.GatewayID)
		if err != nil {
			return answer{}, unreachable(err)
		}
		v.Publishable, v.Secret, v.Method, out.stripe = g.Publishable(), how.ClientSecret, how.MethodID, true
	}
	out.body = confirmBody(v)
	return out, nil
}

// confirmed has the gateway asked what became of the payment.
func (c *call) confirmed() (answer, error) {
	_, a, err := c.toConfirm()
	if err != nil {
		return answer{}, err
	}
	if g, ok := c.Gateway.(testBank); ok {
		if err := g.Confirm(c.ctx, a.GatewayID); err != nil && !errors.Is(err, payment.ErrNotWaiting) {
			return answer{}, unreachable(err)
		}
	}
	if c.AskAgain != nil {
		c.AskAgain(a.ID)
	}
	c.note(c.say("confirm.done"))
	return answer{to: "/portal/orders"}, nil
}
