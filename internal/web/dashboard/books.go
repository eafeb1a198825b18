package dashboard

import (
	"perennial/internal/billing"
	"perennial/internal/find"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/store"
	"perennial/internal/team"
	"perennial/internal/web/ui"
)

// booksPath is the page about what the orders and the gateway's books disagree about.
const booksPath = "/orders/differences"

// lastReconciled reads the newest comparison of the orders with the gateway's books; nil when there was none.
func (c *call) lastReconciled() (*billing.ReconciledDetails, error) {
	for st, err := range c.Finder.Events(c.ctx, store.Closed, find.Filter{Types: []journal.Name{journal.BillingReconciled}}, -1) {
		if err != nil {
			return nil, store.Fault(err)
		}
		d, err := billing.ReadReconciled(st.Event)
		return &d, err
	}
	return nil, nil
}

// bookLine is a difference as people read it.
type bookLine struct {
	What, Advice          string
	Order                 ui.Link // without an address: the shop does not have it
	When, Gateway, Amount string
}

type booksView struct {
	Compared string // the days of the last comparison; empty: there was none
	Lines    []bookLine
	More     int // differences of orders that the last entry does not name
	Log      []ui.Day
}

// differing is what each difference is called, and what is to be done.
var differing = map[string][2]string{
	billing.ExtraCharge:   {"The gateway took money that the order does not know of", "Look the charge up at the gateway. If nobody can say what it is for, give it back there."},
	billing.MissingCharge: {"The order counts as paid, and the gateway has no such charge", "Look for the charge at the gateway. Without it, the money never came."},
	billing.OtherCharge:   {"The gateway took another amount", "Give back at the gateway what is too much, or write to the customer about what is missing."},
	billing.ExtraRefund:   {"The gateway gave money back that the order does not know of", "Somebody may have given it back at the gateway by hand."},
	billing.MissingRefund: {"The order counts as refunded, and the gateway has no such refund", "The customer may still wait for the money. Give it back at the gateway."},
	billing.OtherRefund:   {"The gateway gave another amount back", "Give back at the gateway what is missing, or write to the customer about what was too much."},
}

// bookLines are the differences of an order.
func (c *call) bookLines(o *billing.Order) (out []bookLine) {
	for _, d := range o.Differences {
		l := bookLine{What: differing[d.What][0], Advice: differing[d.What][1], Order: ui.Link{Href: "/orders/" + string(o.ID), Text: o.Number}, When: c.moment(d.At), Gateway: d.GatewayID}
		switch {
		case d.Ours == nil:
			l.Amount = c.cash(*d.Theirs)
		case d.Theirs == nil:
			l.Amount = c.cash(*d.Ours)
		default:
			l.Amount = c.cash(*d.Theirs) + " there, " + c.cash(*d.Ours) + " here"
		}
		out = append(out, l)
	}
	return out
}

func (c *call) strayLine(s billing.Stray) bookLine {
	l := bookLine{What: "The gateway took money for an order that this store does not have", Advice: "If another store uses the same account at the gateway, it may be theirs. If not, give it back there.", Order: ui.Link{Text: string(s.OrderID)}, Gateway: s.GatewayID}
	switch s.What {
	case billing.ExtraRefund:
		l.What, l.Advice = "The gateway gave money back for an order that this store does not have", "If another store uses the same account at the gateway, it may be theirs."
	case "": // from before the entry said more
		return l
	}
	l.When, l.Amount = c.moment(s.At), c.cash(s.Amount)
	return l
}

func (c *call) moment(t journal.Time) string {
	return t.In(c.here().zone).Format("2 January 2006, 15:04")
}

func (c *call) booksPage() (answer, error) {
	var v booksView
	last, err := c.lastReconciled()
	if err != nil {
		return answer{}, err
	}
	if last != nil {
		v.Compared = last.From.Long() + " to " + last.To.Long()
		orders, err := statesOf[*billing.Order](c, journal.Order, last.Orders)
		if err != nil {
			return answer{}, err
		}
		for _, key := range last.Orders {
			if o := orders[key]; o != nil {
				v.Lines = append(v.Lines, c.bookLines(o)...)
			}
		}
		for _, s := range last.Strays {
			v.Lines = append(v.Lines, c.strayLine(s))
		}
		v.More = max(0, last.Open-len(v.Lines))
	}
	if c.permitted(team.EventsView) {
		found, err := take(c.Finder.Events(c.ctx, store.Opened, find.Filter{Types: []journal.Name{journal.BillingDifferenceFound, journal.BillingDifferenceSettled, journal.BillingReconciled}}, -1), 20)
		if err != nil {
			return answer{}, err
		}
		entries, err := c.entries(found, observe.Log{})
		if err != nil {
			return answer{}, err
		}
		v.Log = ui.Days(entries, c.Program.Now())
	}
	return answer{title: "The gateway's books", head: ui.Head{Crumbs: []ui.Link{{Href: "/orders", Text: "Orders"}},
		Lead: "Once a day the orders are held against what the payment gateway says that it took and gave back."}, body: booksBody(v)}, nil
}
