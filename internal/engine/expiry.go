package engine

import (
	"context"
	"errors"

	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/gate"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/settings"
)

// NoteExpiries makes an entry for each card that expires this month or the next, once for each expiry. It may be called as often as one
// likes: after the first time on a day it does nothing.
func (e *Engine) NoteExpiries(ctx context.Context) error {
	if err := e.Gate.Ask(gate.Send); err != nil { // subscribers are written to about them
		return err
	}
	general, err := journal.Find[settings.General](program.NewReader(ctx, e.s, e.s.Read), journal.Settings, settings.PageGeneral)
	if err != nil || general == nil {
		return err
	}
	today := settings.Today(general, e.p.Now())
	if e.expiries == today {
		return nil
	}
	var errs []error
	for rows, err := range query.Pages(ctx, e.s, query.List{Kind: journal.PaymentMethod, Where: []query.Filter{query.Is(query.Status, customer.StatusActive)}, Steady: true}, "") {
		if err != nil {
			return err
		}
		for _, row := range rows {
			m := row.State.(*customer.PaymentMethod)
			if !m.ExpiresSoon(today) {
				continue
			}
			if err := e.Gate.Ask(gate.Send); err != nil {
				return err
			}
			if _, err := e.do(ctx, journal.Bind(customer.NoteExpiry{ID: m.ID, CustomerID: m.CustomerID})); err != nil && fault.As(err).Kind != fault.Conflict {
				errs = append(errs, err)
			}
		}
	}
	if len(errs) == 0 {
		e.expiries = today
	}
	return errors.Join(errs...)
}
