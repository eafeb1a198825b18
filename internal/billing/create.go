package billing

import (
	"fmt"
	"time"

	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

// CreateOrder makes the next order of the rhythm when its day has come, and begins its charge: order.created, the
// pieces from stock, billing_attempt.started. The gateway is called afterwards, by the id of the attempt, and
// FinishAttempt takes its answer.
//
//   - An order that costs nothing is placed at once.
//   - Without a payment method the attempt fails at once (no_payment_method) and recovery begins.
//   - When a counted variant is out of stock it goes by the settings: its backup is sent for the same price, or the order
//     is skipped (subscription.order_skipped, its reason out_of_stock), or it is held (subscription.order_held, once, and
//     the refusal out_of_stock after that). A decision without an order has no Created.
//   - An order to a country that the shop does not send to (any more) is held, and refused with country_not_shipped after that.
//   - An older order that nobody waits for any more (Stale) is cancelled first.
//
// It is refused while the subscription is not active (status_<status>), before the day or when the order of that day
// was made already (not_due), and while the order before waits for its money (order_open); so it can be run any
// number of times.
type CreateOrder struct {
	SubscriptionID id.ID
	OrderID        id.ID
	AttemptID      id.ID
	Due            civil.Date // orders of this day and before are due
}

func (c CreateOrder) Load(r journal.Reader) (w World, err error) {
	return w, w.loadNew(r, c.SubscriptionID)
}

func (c CreateOrder) Decide(w World, now time.Time) (journal.Decision, error) {
	s := w.Subscription
	if s.Status != subscription.Active || s.NextBillingDate == nil {
		return journal.Decision{}, fault.New(fault.Conflict, "status_"+string(s.Status), "The subscription is %s, so no order of it is due.", s.Status)
	}
	date := *s.NextBillingDate
	if date.After(c.Due) {
		return journal.Decision{}, fault.New(fault.Conflict, "not_due", "The next order of the subscription is due on %s.", date.Long())
	}
	t := w.story(now)
	if w.Waiting != nil {
		if !Stale(w.Waiting, s) {
			return journal.Decision{}, fault.New(fault.Conflict, "order_open", "Order %s of the subscription is still being paid.", w.Waiting.Number)
		}
		t.order = w.Waiting
		if err := t.giveUp(Cancelled, 0); err != nil {
			return journal.Decision{}, err
		}
	}
	o, err := w.order(c.OrderID, date, s.NextOrder(w.Plan, w.tax()), now)
	if err != nil {
		return journal.Decision{}, err
	}
	o.Cycle = new(s.Cycle + 1)
	if l := w.Latest; l != nil && l.BillingDate == o.BillingDate {
		o.Earlier = l.Earlier + len(l.Attempts)
	}
	o.Carried = s.CarriedOver
	o.prepay(s.DeliveryDates())
	w.address(o)
	if err := w.ships(o); err != nil {
		return t.hold(codeNotShipped, err)
	}

	if w.Billing.OutOfStock == settings.StockSwap {
		t.stock.instead(o, w.Products)
	}
	pieces, err := t.stock.take(o, len(t.drafts)+1)
	if err != nil {
		if fault.As(err).Code != "out_of_stock" {
			return journal.Decision{}, err
		}
		if w.Billing.OutOfStock == settings.StockHold {
			return t.hold("out_of_stock", err)
		}
		return t.skip(w, date)
	}
	created := t.create(w, o, 0)
	t.drafts = append(t.drafts, pieces...)
	t.reservations = append(t.reservations, journal.Reservation{Scope: ScopeOpenOrder, Value: string(s.ID), Owner: o.ID})
	if o.Due().IsZero() {
		err = t.placed(created)
	} else {
		err = t.charge(c.AttemptID, w.today(now), created)
	}
	d := t.decision()
	d.Created = []id.ID{o.ID}
	return d, err
}

// OrderNow makes an extra order, outside the rhythm: the next date, the cycle, one-time items, gifts and counted
// discounts stay as they are. It begins with subscription.order_requested_now. A person asks for it and gets an answer, so
// what would otherwise be skipped or recovered is refused: status_<status>, out_of_stock, no_payment_method. Orders that
// were asked for twice are two orders.
type OrderNow struct {
	SubscriptionID id.ID
	OrderID        id.ID
	AttemptID      id.ID
}

func (c OrderNow) Load(r journal.Reader) (w World, err error) {
	return w, w.loadNew(r, c.SubscriptionID)
}

func (c OrderNow) Decide(w World, now time.Time) (journal.Decision, error) {
	s := w.Subscription
	asked, err := subscription.OrderedNow(s, c.OrderID)
	if err != nil {
		return journal.Decision{}, err
	}
	o, err := w.order(c.OrderID, w.today(now), s.ExtraOrder(w.Plan, w.tax()), now)
	if err != nil {
		return journal.Decision{}, err
	}
	o.Extra = asked.After.(*subscription.Subscription).ExtraOrders
	w.address(o)
	if err := w.ships(o); err != nil {
		return journal.Decision{}, err
	}
	method := w.choose(o)
	if method == nil && !o.Total.IsZero() {
		return journal.Decision{}, fault.New(fault.Conflict, codeNoMethod, "There is no payment method that can be charged. Add one first.")
	}
	t := w.story(now)
	t.tell(asked, 0)
	pieces, err := t.stock.take(o, 2)
	if err != nil {
		return journal.Decision{}, err
	}
	created := t.create(w, o, 1)
	t.drafts = append(t.drafts, pieces...)
	if o.Total.IsZero() {
		err = t.placed(created)
	} else {
		t.start(c.AttemptID, method, created)
	}
	d := t.decision()
	d.Created = []id.ID{o.ID}
	d.Result = s.Ref()
	return d, err
}

// order is a new pending order, priced, without a cycle and an address.
func (w World) order(key id.ID, date civil.Date, basis subscription.Basis, now time.Time) (*Order, error) {
	p, err := subscription.PriceOrder(basis)
	if err != nil {
		return nil, err
	}
	s := w.Subscription
	o := &Order{
		ID: key, SubscriptionID: s.ID, CustomerID: s.CustomerID, Number: Number(s.ID, w.OrderCount+1), BillingDate: date, Status: Pending,
		Subtotal: p.Subtotal, Discount: p.Discount, Delivery: p.Delivery, Tax: p.Tax, Total: p.Total, Refunded: money.Zero(s.Currency),
		CreatedAt: journal.At(now),
	}
	for _, l := range p.Lines {
		o.Items = append(o.Items, Line{
			ItemID: l.ItemID, VariantID: l.VariantID, ProductID: l.ProductID, Title: l.Title, Quantity: l.Quantity, UnitPrice: l.UnitPrice,
			Total: l.Total, Discount: l.Discount, OneTime: l.OneTime,
		})
	}
	return o, nil
}

// prepay says when a prepaid order is delivered. Any other has no list.
func (o *Order) prepay(dates []civil.Date) {
	if len(dates) < 2 {
		return
	}
	for i, d := range dates {
		o.Deliveries = append(o.Deliveries, Delivery{Number: fmt.Sprintf("%03d", i+1), Date: d})
	}
}

// address copies where the order goes: to the person who gets it as a gift, or to the subscription's address.
func (w World) address(o *Order) {
	if o.Cycle != nil {
		if g, ok := w.Subscription.GiftFor(o.BillingDate); ok {
			o.ShipTo = journal.Secluded(new(ShipTo(g.Address)))
			o.GiftMessage = journal.Secluded(g.Message)
			return
		}
	}
	if a := w.Address; a != nil {
		o.ShipTo = journal.Secluded(&ShipTo{
			FirstName: a.FirstName.Value, LastName: a.LastName.Value, Company: a.Company.Value, Line1: a.Line1.Value, Line2: a.Line2.Value,
			City: a.City.Value, Region: a.Region.Value, PostalCode: a.PostalCode.Value, Country: a.Country, Phone: a.Phone.Value,
		})
	}
}

// readdress gives an order that is paid at last the address of now: it may have waited for its money for weeks, and nothing was sent. An
// address that the shop does not send to is not taken, nor one of somebody who was erased.
func (t *story) readdress(o *Order) {
	if o.ShipTo.Erased || t.w.Customer.Status != customer.Active {
		return
	}
	now := journal.Clone(o)
	now.ShipTo, now.GiftMessage = journal.Secluded[*ShipTo](nil), journal.Secluded("")
	t.w.address(now)
	if now.ShipTo.Value == nil || t.w.ships(now) != nil {
		return
	}
	o.ShipTo, o.GiftMessage = now.ShipTo, now.GiftMessage
}

// codeNotShipped is the code of an order that would go to a country that the shop does not send to.
const codeNotShipped = "country_not_shipped"

// ships refuses an order that would go to a country that the shop does not send to: an address or the settings may have changed since
// the subscription was made.
func (w World) ships(o *Order) error {
	if to := o.ShipTo.Value; to != nil && !w.Shipping.Ships(to.Country) {
		return fault.New(fault.Conflict, codeNotShipped, "The shop does not send to %s. Give the subscription another address first.", to.Country)
	}
	return nil
}

// create tells that the order was made, and gives the position of that event.
func (t *story) create(w World, o *Order, cause int) int {
	var mentions []journal.Ref
	for _, a := range w.Subscription.Discounts {
		mentions = append(mentions, journal.Ref{Kind: journal.Discount, ID: a.DiscountID})
	}
	return t.tell(orderDraft(journal.OrderCreated, nil, o, mentions...), cause)
}

type skipDetails struct {
	Date   civil.Date `json:"date"`
	Reason string     `json:"reason"` // a code: out_of_stock
}

// hold lets the order wait, for stock or for an address. It is told once; after that the refusal stands.
func (t *story) hold(reason string, refusal error) (journal.Decision, error) {
	d, ok := subscription.Hold(t.sub, reason)
	if !ok {
		return journal.Decision{}, refusal
	}
	t.tell(d, 0)
	return journal.Decision{Drafts: t.drafts, Reservations: t.reservations, Result: t.sub.Ref()}, nil
}

// skip gives up the order of a date because something in it is out of stock.
func (t *story) skip(w World, date civil.Date) (journal.Decision, error) {
	skipped, err := subscription.Skip{ID: t.sub.ID}.Decide(subscription.World{General: w.General, Subscription: t.sub}, t.now)
	if err != nil {
		return journal.Decision{}, err
	}
	for _, d := range skipped.Drafts {
		d.Details = skipDetails{date, "out_of_stock"}
		t.tell(d, 0)
	}
	return journal.Decision{Drafts: t.drafts, Reservations: t.reservations, Result: t.sub.Ref()}, nil
}
