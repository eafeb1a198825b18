package server

import (
	"context"
	"errors"

	"perennial/internal/db"
	"perennial/internal/gate"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/payment"
	"perennial/internal/program"
)

// connect compares the account that the gateway charges for with the shop's own, which is that of its last entry about it. A shop without
// one takes this account as its own. With another one nothing is charged, compared or reported until whoever runs the server says so.
func (s *Server) connect(ctx context.Context, is payment.Account, asking error) error {
	s.connecting.Lock()
	defer s.connecting.Unlock()
	const holds = gate.Charge | gate.Compare | gate.Report
	switch {
	case asking != nil && s.connected && s.remembered:
		return nil // it was the shop's, and the key cannot have changed
	case asking != nil:
		s.unknown.Store(true)
		s.Gate.Raise(gate.Reason{Code: gate.GatewayUnknown, Holds: holds,
			Sentence: "The payment gateway does not say whose account it is, so nothing is charged: " + reasonOf(asking) + ". It is asked again."})
		return nil
	case is.Gateway == "":
		s.remember(ctx)
		return nil
	}
	head, err := s.Store.ReadHead(ctx, s.Store.Read)
	if err != nil {
		return db.Fault(err)
	}
	if s.unknown.Store(head.Seq < 0); head.Seq < 0 {
		return nil // nobody has founded the shop yet
	}
	now, was := observe.Account{Gateway: is.Gateway, ID: is.ID, Mode: is.Mode}, observe.Account{}
	for st, err := range s.shopLog(ctx) {
		if err != nil {
			return err
		}
		if st.Type == observe.GatewayConnected {
			if was, err = observe.ReadAccount(st.Event); err != nil {
				return err
			}
			break
		}
	}
	command := observe.ConnectGateway{Shop: s.Store.Shop, Account: now, Was: was}
	meta := program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "billing"}, Source: journal.Origin{Channel: journal.ChannelBilling}}
	if err := s.Gate.Ask(gate.Charge|gate.Write, gate.GatewayUnknown, gate.GatewayChanged); err != nil && !same(was, now) {
		s.unknown.Store(true) // nothing is written into an old copy, or beside a wrong clock; what is in the way holds up charges too
		return nil
	}
	switch {
	case was == (observe.Account{}):
	case same(was, now):
		s.Gate.Clear(gate.GatewayChanged)
		if s.connected = true; s.remember(ctx) {
			s.Gate.Clear(gate.GatewayUnknown)
		}
		return nil
	case !s.Config.Accept.Gateway:
		s.Gate.Clear(gate.GatewayUnknown)
		s.Gate.Raise(gate.Reason{Code: gate.GatewayChanged, Holds: holds, Sentence: "The shop charges at " + named(was) + ", and this server has the keys of " + named(now) +
			". Give it the right keys, or, if the shop is to charge there from now on, start the server once with --accept-gateway and --because."})
		return nil
	default:
		if err := s.fresh(ctx, observe.GatewayConnected, s.Config.Accept.Operator); err != nil {
			return err
		}
		command.Operator, meta = s.Config.Accept.Operator, operated(s.Config.Accept.Operator)
	}
	if _, err = s.Program.Do(ctx, &program.Request{Meta: meta, Command: journal.Bind(command)}); err != nil {
		s.unknown.Store(true)
		s.Gate.Raise(gate.Reason{Code: gate.GatewayUnknown, Holds: holds, Sentence: "The payment gateway's account could not be recorded, so nothing is charged. It is tried again."})
		s.Config.Log.Error("the payment gateway's account", "error", err)
		return nil
	}
	s.Gate.Clear(gate.GatewayChanged)
	if s.connected = true; s.remember(ctx) {
		s.Gate.Clear(gate.GatewayUnknown)
	}
	return nil
}

// reconnect asks and compares once more.
func (s *Server) reconnect(ctx context.Context) {
	a, err := s.askGateway(ctx)
	if err := s.connect(ctx, a, err); err != nil && !gate.Held(err) && ctx.Err() == nil {
		s.Config.Log.Error("the payment gateway's account", "error", err)
	}
}

// same says whether two are one account. A key that may not ask for the account's name tells only the mode.
func same(a, b observe.Account) bool {
	return a.Gateway == b.Gateway && a.Mode == b.Mode && (a.ID == b.ID || a.ID == "" || b.ID == "")
}

// named names an account for whoever runs the server.
func named(a observe.Account) string {
	what := "the account " + a.ID
	if a.ID == "" {
		what = "an account"
	}
	if a.Gateway == "simulated" {
		return what + " of the simulated gateway"
	}
	return what + " of " + a.Gateway + " in " + a.Mode + " mode"
}

// reasonOf says in some words why the gateway was not asked.
func reasonOf(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "it did not answer"
	}
	return err.Error()
}
