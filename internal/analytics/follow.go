package analytics

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/db"
	"perennial/internal/follow"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
	"perennial/internal/store"
)

// batchLength is how many entries are counted in one transaction.
const batchLength = 2000

// always is the day until which the orders to come of a thing that has none are known.
const always = "9999-12-31"

// batch is what a transaction counts.
type batch struct {
	a   *Analytics
	ctx context.Context
	tx  *sql.Tx
	at  position
	loc *time.Location // of at.zone

	events  map[int64]*journal.Event
	known   map[id.ID]*known // nil: there is none
	changed map[id.ID]bool
	plans   map[id.ID][]catalog.Pricing
	priced  map[id.ID]bool // plans that changed

	sums    map[cell]sum
	entries [][]any
	reasons [][]any
}

// take counts a run of entries.
func (a *Analytics) take(ctx context.Context, r *follow.Run) error {
	b, err := a.begin(ctx, r.Tx)
	if err != nil {
		return err
	}
	list := make([]*journal.Event, len(r.Events))
	for i, st := range r.Events {
		list[i] = st.Event
		b.events[st.Seq] = st.Event
	}
	if err := b.load(list); err != nil {
		return err
	}
	for _, e := range list {
		if err := b.take(e); err != nil {
			return fmt.Errorf("analytics: count event %d: %w", e.Seq, err)
		}
	}
	return b.write()
}

// begin begins a batch in a transaction that has the position.
func (a *Analytics) begin(ctx context.Context, tx *sql.Tx) (b *batch, err error) {
	b = &batch{a: a, ctx: ctx, tx: tx, events: map[int64]*journal.Event{}, known: map[id.ID]*known{}, changed: map[id.ID]bool{},
		plans: map[id.ID][]catalog.Pricing{}, priced: map[id.ID]bool{}, sums: map[cell]sum{}}
	if b.at, err = a.position(ctx, tx); err != nil {
		return nil, err
	}
	b.loc = b.at.location()
	return b, nil
}

// load reads what is known of the subscriptions that the events are about.
func (b *batch) load(list []*journal.Event) error {
	var ids []id.ID
	for _, e := range list {
		for _, t := range e.Targets {
			if t.Kind == journal.Subscription && (t == e.Target() || e.Type == journal.BillingAttemptFailed) {
				ids = append(ids, t.ID)
			}
		}
	}
	slices.Sort(ids)
	for part := range slices.Chunk(slices.Compact(ids), 500) {
		args := []any{b.a.s.Shop}
		for _, key := range part {
			args = append(args, key)
			b.known[key] = nil
		}
		if err := b.read(`id IN (`+db.Placeholders(2, len(part))+`)`, args...); err != nil {
			return err
		}
	}
	return nil
}

// read reads what is known of some subscriptions, unless it was read before.
func (b *batch) read(where string, args ...any) error {
	return db.Each(b.ctx, b.tx, func(r *sql.Rows) error {
		var key id.ID
		var body []byte
		if err := r.Scan(&key, &body); err != nil {
			return err
		}
		if b.known[key] != nil {
			return nil
		}
		k := &known{}
		b.known[key] = k
		return json.Unmarshal(body, k)
	}, `SELECT id, body FROM rollup_state WHERE shop_id = $1 AND `+where, args...)
}

// take counts one event.
func (b *batch) take(e *journal.Event) error {
	if e.Target() == (journal.Ref{Kind: journal.Settings, ID: settings.PageGeneral}) {
		if c, ok := e.Change("time_zone"); ok {
			if err := json.Unmarshal(c.After, &b.at.zone); err != nil {
				return err
			}
			b.loc = b.at.location()
		}
	}
	day := civil.Of(e.RecordedAt, b.loc)
	b.at.day = max(b.at.day, day.String())
	day, err := civil.Parse(b.at.day)
	if err != nil {
		return err
	}
	switch e.Target().Kind {
	case journal.Subscription:
		return b.subscription(e, day)
	case journal.Order:
		return b.order(e)
	case journal.SellingPlan:
		return b.plan(e)
	case journal.Settings:
		if _, ok := e.Change("tax_basis_points"); ok { // every order to come costs something else
			_, err := b.tx.ExecContext(b.ctx, `UPDATE rollup_state SET covered = '' WHERE shop_id = $1 AND due <> '[]'`, b.a.s.Shop)
			return err
		}
	}
	return nil
}

func (b *batch) subscription(e *journal.Event, day civil.Date) error {
	key := e.Target().ID
	k := b.known[key]
	plan := id.ID("")
	if k != nil {
		plan = k.Member.SellingPlanID
	}
	if c, ok := e.Change("selling_plan_id"); ok {
		if err := json.Unmarshal(c.After, &plan); err != nil {
			return err
		}
	}
	pricing, err := b.pricing(plan)
	if err != nil {
		return err
	}
	next, facts, err := k.follow(e, day, pricing)
	if err != nil {
		return err
	}
	b.known[key], b.changed[key] = next, true
	b.add(e, facts)
	if e.Type == journal.SubscriptionRedacted {
		b.reasons = slices.DeleteFunc(b.reasons, func(row []any) bool { return row[2] == key })
		_, err := b.tx.ExecContext(b.ctx, `DELETE FROM rollup_reason WHERE shop_id = $1 AND subscription_id = $2`, b.a.s.Shop, key)
		return err
	}
	return b.reason(e, facts)
}

// reason keeps the MAC of the reason that was given for a cancellation.
func (b *batch) reason(e *journal.Event, facts []Fact) error {
	given := slices.ContainsFunc(facts, func(f Fact) bool {
		return f.Figure.family() == "ended" && f.Figure != EndedExpired && f.Figure != EndedPayment
	})
	if !given {
		return nil
	}
	st, err := b.a.s.Event(b.ctx, b.a.s.Read, store.Opened, e.Seq)
	if err != nil {
		return err
	}
	if words := reasonOf(st.Event); words != "" {
		mac := hmac.New(sha256.New, b.a.key[:])
		mac.Write([]byte(strings.ToLower(words)))
		b.reasons = append(b.reasons, []any{b.a.s.Shop, e.Seq, e.Target().ID, mac.Sum(nil)})
	}
	return nil
}

// reasonOf gives the words of a cancellation's reason with single spaces; empty when there are none, or no more.
func reasonOf(e *journal.Event) string {
	c, _ := e.Change("cancel_reason")
	var words string
	if err := json.Unmarshal(c.After, &words); err != nil {
		return "" // erased, or nothing
	}
	return strings.Join(strings.Fields(words), " ")
}

func (b *batch) order(e *journal.Event) error {
	switch e.Type {
	case journal.BillingAttemptFailed:
		i := slices.IndexFunc(e.Targets, func(r journal.Ref) bool { return r.Kind == journal.Subscription })
		if i < 0 || b.known[e.Targets[i].ID] == nil {
			return nil
		}
		key := e.Targets[i].ID
		next := *b.known[key]
		var err error
		next.Declined, err = amountOf(e)
		b.known[key], b.changed[key] = &next, true
		return err
	case journal.OrderPlaced, journal.OrderRefunded:
		history, err := b.history(e)
		if err != nil {
			return err
		}
		s, err := saleOf(history)
		if err != nil {
			return err
		}
		if e.Type == journal.OrderPlaced {
			b.add(e, s.placedFacts())
			return nil
		}
		before, err := saleOf(history[:len(history)-1])
		if err != nil {
			return err
		}
		facts, err := s.refundFacts(before)
		b.add(e, facts)
		return err
	}
	return nil
}

// history gives the events of an event's target up to it, oldest first.
func (b *batch) history(e *journal.Event) ([]*journal.Event, error) {
	out := []*journal.Event{e}
	for e.TargetPrevSeq != journal.NoPrev {
		prev := b.events[e.TargetPrevSeq]
		if prev == nil {
			st, err := b.a.s.Event(b.ctx, b.a.s.Read, store.Closed, e.TargetPrevSeq)
			if err != nil {
				return nil, err
			}
			prev = st.Event
		}
		out, e = append(out, prev), prev
	}
	slices.Reverse(out)
	return out, nil
}

// plan prices every subscription of a plan anew when its prices changed.
func (b *batch) plan(e *journal.Event) error {
	c, ok := e.Change("pricing")
	if !ok {
		return nil
	}
	key := e.Target().ID
	var pricing []catalog.Pricing
	if c.After != nil {
		if err := json.Unmarshal(c.After, &pricing); err != nil {
			return err
		}
	}
	b.plans[key], b.priced[key] = pricing, true
	if e.TargetVersion == 1 {
		return nil
	}
	if err := b.read(`plan_id = $2`, b.a.s.Shop, key); err != nil {
		return err
	}
	for sub, k := range b.known {
		if k == nil || k.Member.SellingPlanID != key {
			continue
		}
		next, facts, err := k.repriced(e, pricing)
		if err != nil {
			return err
		}
		b.known[sub], b.changed[sub] = next, true
		b.add(e, facts)
	}
	return nil
}

// pricing gives the prices of a plan as they are after the events that were taken.
func (b *batch) pricing(plan id.ID) ([]catalog.Pricing, error) {
	if plan == "" {
		return nil, nil
	}
	if p, ok := b.plans[plan]; ok {
		return p, nil
	}
	var body []byte
	err := b.tx.QueryRowContext(b.ctx, `SELECT body FROM rollup_state WHERE shop_id = $1 AND id = $2`, b.a.s.Shop, plan).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		b.plans[plan] = nil
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var pricing []catalog.Pricing
	err = json.Unmarshal(body, &pricing)
	b.plans[plan] = pricing
	return pricing, err
}

// add counts facts.
func (b *batch) add(e *journal.Event, facts []Fact) {
	for _, f := range facts {
		c := cell{string(f.Product), string(f.Figure), b.at.day, f.Currency}
		s := b.sums[c]
		b.sums[c] = sum{s.count + f.Count, s.amount + f.Amount}
		if len(f.Figure.members()) > 0 {
			b.entries = append(b.entries, []any{b.a.s.Shop, f.Product, f.Figure, b.at.day, e.Seq, f.Subscription, f.Currency, f.Count, f.Amount})
		}
	}
}

// write writes what was counted.
func (b *batch) write() error {
	if err := b.a.addSums(b.ctx, b.tx, b.sums); err != nil {
		return err
	}
	if err := b.a.insertRows(b.ctx, b.tx, `rollup_entry (shop_id, product, figure, day, seq, subscription_id, currency, count, amount)`, ``, b.entries); err != nil {
		return err
	}
	if err := b.a.insertRows(b.ctx, b.tx, `rollup_reason (shop_id, seq, subscription_id, mac)`, ``, b.reasons); err != nil {
		return err
	}
	var rows [][]any
	state := func(key, plan id.ID, covered string, v any) error {
		body, err := json.Marshal(v, json.Deterministic(true))
		rows = append(rows, []any{b.a.s.Shop, key, plan, covered, string(body), "[]"})
		return err
	}
	for key := range b.changed {
		if err := state(key, b.known[key].Member.SellingPlanID, "", b.known[key]); err != nil {
			return err
		}
	}
	for key := range b.priced {
		if err := state(key, "", always, b.plans[key]); err != nil {
			return err
		}
	}
	// due stays: it is what the sums hold of the subscription until its schedule is looked at again.
	if err := b.a.insertRows(b.ctx, b.tx, `rollup_state (shop_id, id, plan_id, covered, body, due)`,
		` ON CONFLICT (shop_id, id) DO UPDATE SET plan_id = excluded.plan_id, covered = excluded.covered, body = excluded.body`, rows); err != nil {
		return err
	}
	_, err := b.tx.ExecContext(b.ctx, `UPDATE rollup_followed SET day = $2, zone = $3 WHERE shop_id = $1`, b.a.s.Shop, b.at.day, zoneRules(b.at.zone))
	return err
}
