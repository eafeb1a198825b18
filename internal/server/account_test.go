package server

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"perennial/internal/observe"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
	"perennial/internal/store"
)

// branded is a gateway of some account.
type branded struct {
	*simulated.Gateway
	account payment.Account
	silent  error
}

func (g branded) Account(context.Context) (payment.Account, error) { return g.account, g.silent }

// The shop remembers where it charges, and charges nowhere else.
func TestAnotherAccountOrMode(t *testing.T) {
	c, log := onEngine(t)
	i := open(t, c)
	found(t, i)
	dueToday(t, i)
	ours := payment.Account{Gateway: "stripe", ID: "acct_1", Mode: payment.LiveMode}
	ledger := simulated.New(time.Now, simulated.Options{})
	lives := func(is payment.Account, silent error, accept Accept) (readyz string) {
		t.Helper()
		c.Accept = accept
		if i == nil {
			i = open(t, c)
		}
		s, err := Start(t.Context(), i, branded{ledger, is, silent}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		billed(t, s)
		_, readyz, _ = get(t, "http://"+s.Addr+"/readyz")
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		i = nil
		return readyz
	}
	if got := lives(payment.Account{}, errors.New("no answer"), Accept{}); !strings.Contains(got, "gateway_unknown: ") || charges(ledger) != 0 {
		t.Errorf("a silent gateway: %d charges, %s", charges(ledger), got)
	}
	if got := lives(ours, nil, Accept{}); !strings.HasPrefix(got, "ready") || charges(ledger) != 1 {
		t.Fatalf("its own account: %d charges, %s\n%s", charges(ledger), got, log)
	}
	i = open(t, c)
	dueToday(t, i)
	for name, is := range map[string]payment.Account{
		"another account": {Gateway: "stripe", ID: "acct_2", Mode: payment.LiveMode},
		"the other mode":  {Gateway: "stripe", ID: "acct_1", Mode: payment.TestMode},
		"without a name":  {Gateway: "stripe", Mode: payment.TestMode},
		"another gateway": {Gateway: "simulated", ID: "acct_1", Mode: payment.LiveMode},
	} {
		if got := lives(is, nil, Accept{}); !strings.Contains(got, "gateway_changed: The shop charges at the account acct_1 of stripe in live mode") || charges(ledger) != 1 {
			t.Errorf("%s: %d charges, %s", name, charges(ledger), got)
		}
	}
	other := payment.Account{Gateway: "stripe", ID: "acct_2", Mode: payment.LiveMode}
	if got := lives(other, nil, Accept{Gateway: true, Operator: observe.Operator{By: "mara", Because: "a new company"}}); !strings.HasPrefix(got, "ready") || charges(ledger) != 2 {
		t.Errorf("accepted: %d charges, %s", charges(ledger), got)
	}
	if got := lives(payment.Account{Gateway: "stripe", Mode: payment.LiveMode}, nil, Accept{}); !strings.HasPrefix(got, "ready") {
		t.Errorf("a key that may not ask: %s", got)
	}
	i = open(t, c)
	var entries []string
	for st, err := range i.Store.Events(t.Context(), i.Store.Read, store.Closed, 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if st.Type == observe.GatewayConnected {
			a, err := observe.ReadAccount(st.Event)
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, a.ID+" "+observe.Because(st.Event))
		}
	}
	if got := strings.Join(entries, ", "); got != "acct_1 , acct_2 a new company" {
		t.Errorf("entries: %s", got)
	}
	if err := i.Close(t.Context()); err != nil {
		t.Error(err)
	}
	holds(t, c)
}
