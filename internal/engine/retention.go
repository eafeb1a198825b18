package engine

import (
	"context"
	"errors"

	"perennial/internal/fault"
	"perennial/internal/gate"
	"perennial/internal/journal"
	"perennial/internal/privacy"
	"perennial/internal/program"
)

// Retain erases the network data of months that are kept no longer. It may be called as often as one likes.
func (e *Engine) Retain(ctx context.Context) error {
	if err := e.Gate.Ask(gate.Destroy); err != nil {
		return err
	}
	months, err := e.s.Keys.NetworkMonths(ctx, e.s.Read)
	if err != nil {
		return err
	}
	meta := program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "retention"}, Source: journal.Origin{Channel: journal.ChannelBulk}}
	var errs []error
	for _, month := range months {
		w, err := privacy.ExpireNetwork{}.Load(program.NewReader(ctx, e.s, e.s.Read))
		if err != nil {
			return err
		}
		if w.General == nil || !w.Log.NetworkDataExpired(month, e.p.Now()) {
			continue
		}
		if err := e.Gate.Ask(gate.Destroy); err != nil {
			return err
		}
		_, err = e.p.Do(ctx, &program.Request{Meta: meta, Command: journal.Bind(privacy.ExpireNetwork{Shop: e.s.Shop, Month: month})})
		if err != nil && fault.As(err).Kind != fault.Conflict {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
