package engine_test

import (
	"testing"
	"time"

	"perennial/internal/journal"
	"perennial/internal/privacy"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
)

func TestRetain(t *testing.T) {
	w := begin(t)
	from := journal.Origin{Channel: journal.ChannelAPI, IP: journal.Secluded("203.0.113.7"), UserAgent: journal.Secluded("curl/8")}
	save := func(months int) *program.Outcome {
		t.Helper()
		out, err := w.Program.Do(t.Context(), &program.Request{Meta: program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "test"}, Source: from},
			Command: journal.Bind(settings.Update{Document: &settings.Log{NetworkRetentionMonths: months}})})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	first := save(2).Events[0]
	months := func() []string {
		t.Helper()
		m, err := w.Store.Keys.NetworkMonths(t.Context(), w.Store.Read)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	ip := func() journal.Personal[string] {
		t.Helper()
		st, err := w.Store.Event(t.Context(), w.Store.Read, store.Opened, first.Seq)
		if err != nil {
			t.Fatal(err)
		}
		return st.Source.IP
	}
	run := func() (made int64) {
		t.Helper()
		before := w.Program.Head()
		if err := w.engine.Retain(t.Context()); err != nil {
			t.Fatal(err)
		}
		return w.Program.Head() - before
	}
	if n := run(); n != 0 || len(months()) != 1 || ip().Value != "203.0.113.7" {
		t.Errorf("while it is kept: %d entries, months %v, %+v", n, months(), ip())
	}
	month := months()[0]
	if _, err := w.Program.Do(t.Context(), &program.Request{Meta: program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "test"}, Source: from},
		Command: journal.Bind(privacy.ExpireNetwork{Shop: w.Store.Shop, Month: month})}); err == nil {
		t.Error("a month that is kept was erased")
	}
	began, err := time.Parse("2006-01", month)
	if err != nil {
		t.Fatal(err)
	}
	w.clock.set(began.AddDate(0, 3, 0).Add(-time.Second)) // the month ended nearly two months ago
	if n := run(); n != 0 {
		t.Errorf("a second too early: %d entries", n)
	}
	w.clock.set(began.AddDate(0, 3, 0))
	if n := run(); n != 1 || len(months()) != 0 || !ip().Erased {
		t.Errorf("when it is kept no longer: %d entries, months %v, %+v", n, months(), ip())
	}
	if n := run(); n != 0 {
		t.Errorf("once more: %d entries", n)
	}
	save(3) // of another month, with a key of its own
	if m := months(); len(m) != 1 || m[0] == month {
		t.Errorf("months afterwards: %v", m)
	}
}
