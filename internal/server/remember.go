package server

import (
	"context"
	"errors"
	"fmt"

	"perennial/internal/db"
	"perennial/internal/gate"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/payment"
	"perennial/internal/program"
)

// remember asks the gateway, once, what it charged for the shop since the last entry. What the database knows nothing of says that it is
// an older copy, also when the keys folder is as old. It is false while the gateway does not answer: nothing is charged until then. The
// caller holds connecting.
func (s *Server) remember(ctx context.Context) (answered bool) {
	if s.remembered || s.Program.Head() < 0 {
		return true
	}
	if !s.Program.Continued() { // the keys folder tells already, or cannot tell yet: it is asked once that is over
		s.unknown.Store(true)
		return true
	}
	err := s.recollect(ctx)
	if s.unknown.Store(err != nil); err != nil {
		s.Gate.Raise(gate.Reason{Code: gate.GatewayUnknown, Holds: gate.Charge | gate.Compare | gate.Report,
			Sentence: "The payment gateway does not say what it charged since the last entry, so nothing is charged: " + reasonOf(err) + ". " + permission(err) + "It is asked again."})
	}
	return err == nil
}

// permission says what a key lacks that the gateway knows and that may not read what it charged.
func permission(err error) string {
	if o, ok := errors.AsType[*payment.Ours](err); !ok || o.Code != payment.CodeKeyInvalid {
		return ""
	}
	return "A restricted key has to be allowed to read payment intents and refunds. "
}

func (s *Server) recollect(ctx context.Context) error {
	since := s.began.Add(-gate.Tolerance)
	word, err := s.lastWord(ctx)
	if err != nil {
		return err
	}
	if word != nil {
		if word.Type == observe.RestoreNoticed {
			n, err := observe.ReadNotice(word)
			if err == nil {
				s.behind(n)
			}
			return err
		}
		if word.RecordedAt.After(since) {
			since = word.RecordedAt // what was lost before is accepted
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 4*askWithin)
	defer cancel()
	n, first, err := s.engine.Unknown(ctx, since)
	if err != nil {
		return err
	}
	if n == 0 {
		s.remembered = true
		s.noticed.Store(false)
		s.Gate.Clear(gate.GatewayAhead)
		return nil
	}
	c := observe.NoticeRestore{Shop: s.Store.Shop, Since: journal.At(s.began), Charges: n, First: first.GatewayID}
	meta := program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "billing"}, Source: journal.Origin{Channel: journal.ChannelBilling}}
	if _, err := s.Program.Do(ctx, &program.Request{Meta: meta, Command: journal.Bind(c)}); err != nil {
		return err
	}
	s.behind(c)
	return nil
}

// behind holds everything up.
func (s *Server) behind(c observe.NoticeRestore) {
	s.noticed.Store(true)
	s.Gate.Raise(gate.Reason{Code: gate.GatewayAhead, Holds: gate.All | gate.Plan, Sentence: fmt.Sprintf("The payment gateway charged for this shop after the last entry of the database, of %s, and the database knows nothing "+
		"of it (%d, the first is %s): it was restored from an older copy, and so was the keys folder. Put the newer ones back, or go on from these with perennial accept-restore. "+
		"Until then nothing is charged, sent or erased, and no subscription can be changed.", c.Since.UTC().Format("2 January 2006, 15:04 UTC"), c.Charges, c.First)})
}

// lastWord gives the newest entry that says that the database is an older copy, or that the shop goes on from one; nil for none.
func (i *Instance) lastWord(ctx context.Context) (*journal.Event, error) {
	for st, err := range i.shopLog(ctx) {
		if err != nil {
			return nil, db.Fault(err)
		}
		if st.Type == observe.RestoreNoticed || st.Type == observe.RestoreAccepted {
			return st.Event, nil
		}
	}
	return nil, nil
}
