package analytics

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/go-json-experiment/json"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

// Horizon is how many days the forecast reaches.
const Horizon = 90

// ahead is how many days more are counted at once, so that a schedule that nobody changes is not looked at every day.
const ahead = 35

// lookLength is how many schedules are looked at in one transaction.
const lookLength = 300

// planned is an order to come in the sums: of one product, or with "" the whole order.
type planned struct {
	Day      string `json:"day"`
	Product  id.ID  `json:"product,omitzero"`
	Currency string `json:"currency"`
	Amount   int64  `json:"amount"`
}

// look counts the orders to come of some subscriptions that changed, or that were not looked at far enough into the future.
func (a *Analytics) look(ctx context.Context) (more bool, err error) {
	err = a.f.Alone(func() error {
		more, err = a.lookAt(ctx)
		return err
	})
	return more, err
}

func (a *Analytics) lookAt(ctx context.Context) (more bool, err error) {
	tx, err := a.d.Load().Writer.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback()
	if _, _, err := a.row.Lock(ctx, tx); err != nil {
		return false, err
	}
	at, err := a.position(ctx, tx)
	if err != nil {
		return false, err
	}
	today := at.today(a.clock())
	was := map[id.ID][]planned{}
	args := []any{a.s.Shop}
	err = db.Each(ctx, tx, func(r *sql.Rows) error {
		var key id.ID
		var due []byte
		if err := r.Scan(&key, &due); err != nil {
			return err
		}
		var list []planned
		if err := json.Unmarshal(due, &list); err != nil {
			return err
		}
		was[key] = list
		args = append(args, key)
		return nil
	}, `SELECT id, due FROM rollup_state WHERE shop_id = $1 AND covered < $2 ORDER BY covered, id LIMIT $3`, a.s.Shop, today.AddDays(Horizon).String(), lookLength)
	if err != nil || len(was) == 0 {
		return false, err
	}
	rows, err := a.s.List(ctx, a.s.Read, journal.Subscription, `id IN (`+db.Placeholders(2, len(args)-1)+`)`, args[1:]...)
	if err != nil {
		return false, err
	}
	prices, err := a.prices(ctx)
	if err != nil {
		return false, err
	}
	sums := map[cell]sum{}
	count := func(list []planned, times int64) {
		for _, p := range list {
			c := cell{string(p.Product), dueFigure, p.Day, p.Currency}
			s := sums[c]
			sums[c] = sum{s.count + times, s.amount + times*p.Amount}
		}
	}
	update, err := tx.PrepareContext(ctx, `UPDATE rollup_state SET covered = $3, due = $4 WHERE shop_id = $1 AND id = $2`)
	if err != nil {
		return false, err
	}
	defer update.Close()
	until := today.AddDays(Horizon + ahead)
	for _, row := range rows {
		s := row.State.(*subscription.Subscription)
		due, err := prices.plan(s, today, until)
		if err != nil {
			return false, fmt.Errorf("analytics: orders to come of %s: %w", s.ID, err)
		}
		covered := until.String()
		if due == nil {
			due, covered = []planned{}, always
		}
		text, err := json.Marshal(due)
		if err != nil {
			return false, err
		}
		if _, err := update.ExecContext(ctx, a.s.Shop, s.ID, covered, string(text)); err != nil {
			return false, err
		}
		count(was[s.ID], -1)
		count(due, 1)
	}
	if err := a.addSums(ctx, tx, sums); err != nil {
		return false, err
	}
	return len(was) == lookLength && len(rows) > 0, tx.Commit()
}

// prices is what the price of an order depends on beside the subscription.
type prices struct {
	plans map[id.ID]*catalog.Plan
	tax   int // basis points
}

func (a *Analytics) prices(ctx context.Context) (p prices, err error) {
	p, _, err = a.pricesAt(ctx)
	return p, err
}

// pricesAt gives them with the newest entry that changed one.
func (a *Analytics) pricesAt(ctx context.Context) (p prices, newest int64, err error) {
	rows, err := a.s.List(ctx, a.s.Read, journal.SellingPlan, `id <> ''`)
	if err != nil {
		return p, 0, err
	}
	p.plans = map[id.ID]*catalog.Plan{}
	for _, row := range rows {
		plan := row.State.(*catalog.Plan)
		p.plans[plan.ID] = plan
		newest = max(newest, row.LastSeq)
	}
	row, err := a.s.Load(ctx, a.s.Read, journal.Ref{Kind: journal.Settings, ID: settings.PageBilling})
	if b, ok := row.State.(*settings.Billing); ok {
		p.tax = b.TaxBasisPoints
		newest = max(newest, row.LastSeq)
	}
	return p, newest, err
}

// plan gives a subscription's orders to come before a day; nil when none will ever come as it is now.
func (p prices) plan(s *subscription.Subscription, today, until civil.Date) ([]planned, error) {
	for count := 8; ; count *= 4 {
		orders, err := subscription.Upcoming(s, p.plans[s.SellingPlanID], subscription.FlatTax(p.tax), today, count)
		if err != nil || len(orders) == 0 {
			return nil, err
		}
		if last := orders[len(orders)-1]; len(orders) == count && last.Date.Before(until) {
			continue
		}
		out := []planned{}
		for _, o := range orders {
			if o.Skipped || !o.Date.Before(until) {
				continue
			}
			out = append(out, planned{o.Date.String(), "", s.Currency, o.Total.Minor})
			nets := map[id.ID]int64{}
			for _, l := range o.Items {
				nets[l.ProductID] += l.Total.Minor - l.Discount.Minor
			}
			for _, product := range slices.Sorted(maps.Keys(nets)) {
				out = append(out, planned{o.Date.String(), product, s.Currency, nets[product]})
			}
		}
		return out, nil
	}
}
