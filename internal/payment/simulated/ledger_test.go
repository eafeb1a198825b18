package simulated

import (
	"bytes"
	"encoding/json"
	"testing"
)

// A ledger that is read and written again is the same ledger.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"kind":"charge","at":"2026-03-01T12:00:00Z","key":"k","amount":{"amount":5,"currency":"USD"},"gateway_id":"ch","status":"action_required"}
{"kind":"confirmation","at":"2026-03-01T12:00:00Z","amount":{"amount":5,"currency":"USD"},"charge_id":"ch","status":"succeeded"}
{"kind":"refund","at":"2026-03-01T12:00:00Z","key":"r","amount":{"amount":5,"currency":"USD"},"charge_id":"ch","gateway_id":"re","status":"succeeded"}
{"kind":"ref`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, whole, err := decode(data)
		if err != nil {
			return
		}
		if whole > len(data) || bytes.ContainsRune(data[whole:], '\n') {
			t.Fatalf("decode read %d of %d bytes", whole, len(data))
		}
		var again bytes.Buffer
		for _, e := range l.entries {
			line, err := json.Marshal(e)
			if err != nil {
				t.Skip() // a year that RFC 3339 cannot write
			}
			again.Write(append(line, '\n'))
		}
		l2, _, err := decode(again.Bytes())
		if err != nil {
			t.Fatalf("decode of what was decoded: %v\n%s", err, again.Bytes())
		}
		if len(l2.entries) != len(l.entries) {
			t.Fatalf("got %d entries, want %d", len(l2.entries), len(l.entries))
		}
		for _, a := range l2.accounts {
			if a.refunded < 0 || a.refunded > a.charge.Amount.Minor {
				t.Fatalf("a charge of %s gave back %d", a.charge.Amount, a.refunded)
			}
		}
	})
}
