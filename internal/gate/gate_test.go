package gate

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"perennial/internal/fault"
)

var noon = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

func TestAskGivesTheFirstReasonThatHoldsThePower(t *testing.T) {
	var log bytes.Buffer
	g := New(slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return noon })
	if err := g.Ask(All | Write); err != nil {
		t.Fatalf("a new gate: %v", err)
	}
	g.Raise(Reason{Code: GatewayFailing, Sentence: "No access.", Holds: Charge, Warning: true})
	g.Raise(Reason{Code: DatabaseBehind, Sentence: "An old copy.", Holds: All})
	g.Raise(Reason{Code: DatabaseBehind, Sentence: "An older copy.", Holds: All})
	for _, tt := range []struct {
		power Power
		but   []string
		want  string
	}{
		{Charge, nil, DatabaseBehind},
		{Charge, []string{DatabaseBehind}, GatewayFailing},
		{Charge, []string{DatabaseBehind, GatewayFailing}, ""},
		{Send, nil, DatabaseBehind},
		{Send, []string{DatabaseBehind}, ""},
		{Destroy, nil, DatabaseBehind},
		{Compare, nil, DatabaseBehind},
		{Report, nil, DatabaseBehind},
		{Write, nil, ""},
	} {
		err := g.Ask(tt.power, tt.but...)
		if tt.want == "" && err == nil {
			continue
		}
		if f := fault.As(err); f == nil || f.Code != tt.want || f.Kind != fault.Unavailable || !Held(err) {
			t.Errorf("power %d but %v: got %v, want %s", tt.power, tt.but, err, tt.want)
		}
	}
	got := g.Reasons()
	if len(got) != 2 || got[0].Code != DatabaseBehind || got[0].Sentence != "An older copy." || !got[0].Since.Equal(noon) || got[1].Code != GatewayFailing {
		t.Errorf("reasons: %+v", got)
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 2 {
		t.Errorf("it is said %d times:\n%s", n, &log)
	}
	g.Clear(DatabaseBehind)
	g.Clear(DatabaseBehind)
	if err := g.Ask(Send); err != nil {
		t.Errorf("cleared: %v", err)
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("it is said %d times that it goes on:\n%s", n, &log)
	}
}

func TestNoGateIsOpen(t *testing.T) {
	var g *Gate
	g.Raise(Reason{Code: DatabaseBehind, Holds: All})
	g.Clear(DatabaseBehind)
	if err := g.Ask(All); err != nil || g.Reasons() != nil {
		t.Error(err)
	}
}
