package analytics

import (
	"context"

	"perennial/internal/money"
)

// SubscriptionRow is how many subscriptions there are at the end of a period, and how many began, stopped and went on in it.
type SubscriptionRow struct {
	Period
	Active      int64 `json:"active"`
	InRecovery  int64 `json:"in_recovery"`
	OnHold      int64 `json:"on_hold" doc:"Paused."`
	New         int64 `json:"new"`
	Reactivated int64 `json:"reactivated"`
	Resumed     int64 `json:"resumed"`
	Paused      int64 `json:"paused"`
	Churned     int64 `json:"churned"`
	Transferred int64 `json:"transferred"`
}

// Subscriptions reports how many subscriptions there are, and what moves their number.
func (a *Analytics) Subscriptions(ctx context.Context, q Query) (*Report[SubscriptionRow], error) {
	on := links(map[string]Figure{"new": MRRNew, "reactivated": MRRReactivated, "resumed": MRRResumed, "paused": MRRPaused, "churned": MRRChurned, "transferred": MRRTransferred,
		"active": allMovements, "in_recovery": allMovements, "on_hold": allMovements})
	return reported(ctx, a, q, on, func(r *reader, in Period) (rows []SubscriptionRow, total SubscriptionRow, err error) {
		periods := in.periods(r.query.By)
		has, err := r.opening("gauge", in.From)
		if err != nil {
			return nil, total, err
		}
		gauges, err := r.flow("gauge", periods)
		if err != nil {
			return nil, total, err
		}
		moves, err := r.flow("mrr", periods)
		if err != nil {
			return nil, total, err
		}
		running, paused, failed := has[GaugeRunning].count, has[GaugePaused].count, has[GaugeRecovery].count
		for i, p := range periods {
			running += gauges[i][GaugeRunning].count
			paused += gauges[i][GaugePaused].count
			failed += gauges[i][GaugeRecovery].count
			m := moves[i]
			rows = append(rows, SubscriptionRow{
				Period: p, Active: running - failed, InRecovery: failed, OnHold: paused,
				New: m[MRRNew].count, Reactivated: m[MRRReactivated].count, Resumed: m[MRRResumed].count,
				Paused: m[MRRPaused].count, Churned: m[MRRChurned].count, Transferred: m[MRRTransferred].count,
			})
			total.New += m[MRRNew].count
			total.Reactivated += m[MRRReactivated].count
			total.Resumed += m[MRRResumed].count
			total.Paused += m[MRRPaused].count
			total.Churned += m[MRRChurned].count
			total.Transferred += m[MRRTransferred].count
		}
		total.Period, total.Active, total.InRecovery, total.OnHold = in, running-failed, failed, paused
		return rows, total, nil
	})
}

// RevenueMovementRow is the monthly recurring revenue at the beginning and the end of a period, and what moved it. Start and the
// movements, which have a sign, add up to End.
type RevenueMovementRow struct {
	Period
	Start       money.Amount `json:"start"`
	New         money.Amount `json:"new"`
	Reactivated money.Amount `json:"reactivated"`
	Resumed     money.Amount `json:"resumed"`
	Upgrade     money.Amount `json:"upgrade"`
	Downgrade   money.Amount `json:"downgrade"`
	Paused      money.Amount `json:"paused"`
	Churned     money.Amount `json:"churned"`
	Transferred money.Amount `json:"transferred"`
	End         money.Amount `json:"end"`
}

func (r *reader) movements(in Period, start int64, m map[Figure]sum) RevenueMovementRow {
	end := start
	for _, f := range Movements {
		end += m[f].amount
	}
	return RevenueMovementRow{
		Period: in, Start: r.money(start), New: r.money(m[MRRNew].amount), Reactivated: r.money(m[MRRReactivated].amount), Resumed: r.money(m[MRRResumed].amount),
		Upgrade: r.money(m[MRRUpgrade].amount), Downgrade: r.money(m[MRRDowngrade].amount), Paused: r.money(m[MRRPaused].amount),
		Churned: r.money(m[MRRChurned].amount), Transferred: r.money(m[MRRTransferred].amount), End: r.money(end),
	}
}

// worthBefore gives the monthly recurring revenue at the beginning of a day.
func (r *reader) worthBefore(in Period) (minor int64, err error) {
	has, err := r.opening("mrr", in.From)
	for _, s := range has {
		minor += s.amount
	}
	return minor, err
}

// MRR reports the monthly recurring revenue and its movements.
func (a *Analytics) MRR(ctx context.Context, q Query) (*Report[RevenueMovementRow], error) {
	on := links(map[string]Figure{"start": allMovements, "end": allMovements, "new": MRRNew, "reactivated": MRRReactivated, "resumed": MRRResumed, "upgrade": MRRUpgrade,
		"downgrade": MRRDowngrade, "paused": MRRPaused, "churned": MRRChurned, "transferred": MRRTransferred})
	return reported(ctx, a, q, on, func(r *reader, in Period) (rows []RevenueMovementRow, total RevenueMovementRow, err error) {
		start, err := r.worthBefore(in)
		if err != nil {
			return nil, total, err
		}
		periods := in.periods(r.query.By)
		moves, err := r.flow("mrr", periods)
		if err != nil {
			return nil, total, err
		}
		all := map[Figure]sum{}
		at := start
		for i, p := range periods {
			row := r.movements(p, at, moves[i])
			at = row.End.Minor
			rows = append(rows, row)
			for f, s := range moves[i] {
				all[f] = sum{all[f].count + s.count, all[f].amount + s.amount}
			}
		}
		return rows, r.movements(in, start, all), nil
	})
}

// ChurnRow is what was lost of what there was at the beginning of a period. Rates are in basis points (10,000 is all of it), and null
// when there was nothing.
type ChurnRow struct {
	Period
	Open        int64        `json:"open" doc:"Subscriptions at the beginning: active, in recovery or paused."`
	Churned     int64        `json:"churned" doc:"Cancelled or expired in the period."`
	Rate        *int64       `json:"rate_basis_points"`
	MRR         money.Amount `json:"mrr" doc:"At the beginning."`
	ChurnedMRR  money.Amount `json:"churned_mrr" doc:"Positive; a subscription that was paused has none."`
	RevenueRate *int64       `json:"revenue_rate_basis_points"`
}

// Churn reports which part of the subscriptions and of the recurring revenue was lost.
func (a *Analytics) Churn(ctx context.Context, q Query) (*Report[ChurnRow], error) {
	on := links(map[string]Figure{"churned": MRRChurned, "churned_mrr": MRRChurned, "open": allMovements, "mrr": allMovements})
	return reported(ctx, a, q, on, func(r *reader, in Period) (rows []ChurnRow, total ChurnRow, err error) {
		periods := in.periods(r.query.By)
		has, err := r.opening("gauge", in.From)
		if err != nil {
			return nil, total, err
		}
		gauges, err := r.flow("gauge", periods)
		if err != nil {
			return nil, total, err
		}
		worth, err := r.worthBefore(in)
		if err != nil {
			return nil, total, err
		}
		moves, err := r.flow("mrr", periods)
		if err != nil {
			return nil, total, err
		}
		open := has[GaugeRunning].count + has[GaugePaused].count
		row := func(p Period, open, churned, worth, lost int64) ChurnRow {
			return ChurnRow{p, open, churned, share(churned, open), r.money(worth), r.money(lost), share(lost, worth)}
		}
		first, worthFirst, churned, lost := open, worth, int64(0), int64(0)
		for i, p := range periods {
			m := moves[i][MRRChurned]
			rows = append(rows, row(p, open, m.count, worth, -m.amount))
			open += gauges[i][GaugeRunning].count + gauges[i][GaugePaused].count
			for _, f := range Movements {
				worth += moves[i][f].amount
			}
			churned, lost = churned+m.count, lost-m.amount
		}
		return rows, row(in, first, churned, worthFirst, lost), nil
	})
}

// SalesRow is what was paid in a period, refunds apart. For one product it is its lines after discounts, without delivery and tax.
type SalesRow struct {
	Period
	New       money.Amount `json:"new" doc:"First orders of subscriptions."`
	Recurring money.Amount `json:"recurring" doc:"The orders after them."`
	Extra     money.Amount `json:"extra" doc:"Orders outside the rhythm."`
	Total     money.Amount `json:"total"`
	Delivery  money.Amount `json:"delivery" doc:"Part of total."`
	Tax       money.Amount `json:"tax" doc:"Part of total."`
	Refunded  money.Amount `json:"refunded"`
	Net       money.Amount `json:"net" doc:"total without refunded."`
	Orders    int64        `json:"orders"`
	Average   money.Amount `json:"average_order_value" doc:"total by orders, rounded half up; zero without orders."`
}

func (r *reader) sales(in Period, m map[Figure]sum) (SalesRow, error) {
	total := m[SalesNew].amount + m[SalesRecurring].amount + m[SalesExtra].amount
	row := SalesRow{
		Period: in, New: r.money(m[SalesNew].amount), Recurring: r.money(m[SalesRecurring].amount), Extra: r.money(m[SalesExtra].amount), Total: r.money(total),
		Delivery: r.money(m[SalesDelivery].amount), Tax: r.money(m[SalesTax].amount), Refunded: r.money(m[SalesRefunded].amount), Net: r.money(total - m[SalesRefunded].amount),
		Orders: m[SalesNew].count + m[SalesRecurring].count + m[SalesExtra].count, Average: r.money(0),
	}
	var err error
	if row.Orders > 0 {
		row.Average, err = row.Total.MulRatio(1, row.Orders, money.HalfUp)
	}
	return row, err
}

// Revenue reports what was paid, by new and recurring, and the average order value.
func (a *Analytics) Revenue(ctx context.Context, q Query) (*Report[SalesRow], error) {
	on := links(map[string]Figure{"new": SalesNew, "recurring": SalesRecurring, "extra": SalesExtra, "total": allSales, "orders": allSales, "average_order_value": allSales,
		"delivery": allSales, "tax": allSales, "refunded": SalesRefunded})
	return reported(ctx, a, q, on, func(r *reader, in Period) (rows []SalesRow, total SalesRow, err error) {
		periods := in.periods(r.query.By)
		flows, err := r.flow("sales", periods)
		if err != nil {
			return nil, total, err
		}
		all := map[Figure]sum{}
		for i, p := range periods {
			row, err := r.sales(p, flows[i])
			if err != nil {
				return nil, total, err
			}
			rows = append(rows, row)
			for f, s := range flows[i] {
				all[f] = sum{all[f].count + s.count, all[f].amount + s.amount}
			}
		}
		total, err = r.sales(in, all)
		return rows, total, err
	})
}
