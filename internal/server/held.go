package server

import (
	"context"
	"time"

	"perennial/internal/db"
	"perennial/internal/engine"
	"perennial/internal/gate"
	"perennial/internal/mail"
	"perennial/internal/payment"
)

// heldMail sends messages while nothing holds them up, whoever sends them.
type heldMail struct {
	mail.Sender
	gate *gate.Gate
}

// Send asks at the moment of sending.
func (m heldMail) Send(ctx context.Context, letter mail.Message) error {
	if err := m.gate.Ask(gate.Send); err != nil {
		return err
	}
	return m.Sender.Send(ctx, letter)
}

// confirm asks whoever can be asked, before anything is done, whether the clock is right, the database no old copy, and the gateway's
// account the shop's own.
func (s *Server) confirm(ctx context.Context) error {
	head, err := s.Store.ReadHead(ctx, s.Store.Read)
	if err != nil {
		return db.Fault(err)
	}
	s.began = head.RecordedAt
	a, asking := s.askGateway(ctx)
	if s.Config.Accept.Clock {
		if err := s.acceptClock(ctx, s.Config.Accept.Operator); err != nil {
			return err
		}
	}
	if s.Program.Head() >= 0 {
		s.checkpoint(ctx) // readyz knows from the first answer on whether anything may be signed
	}
	return s.connect(ctx, a, asking)
}

// witness asks again and again.
func (s *Server) witness(ctx context.Context) {
	t := time.NewTicker(witnessEvery)
	defer t.Stop()
	asked := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		s.askDatabase(ctx)
		if s.unknown.Load() || s.noticed.Load() || s.doubted() || time.Since(asked) > gatewayEvery {
			asked = time.Now()
			s.reconnect(ctx)
		}
	}
}

// newEngine makes an engine that heeds an instance's gate.
func newEngine(i *Instance, g payment.Gateway) *engine.Engine {
	e := engine.New(i.Program, i.Store, g, i.Config.Log)
	e.Gate = i.Gate
	return e
}
