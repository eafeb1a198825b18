package server

import (
	"context"

	"perennial/internal/gate"
	"perennial/internal/mail"
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
