package journal

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"perennial/internal/civil"
	"perennial/internal/money"
)

// ware is a struct as states have them in lists.
type ware struct {
	Title   string            `json:"title"`
	Price   money.Amount      `json:"price"`
	At      Time              `json:"at"`
	Until   *Time             `json:"until"`
	Left    *int              `json:"left"`
	Day     *civil.Date       `json:"day"`
	Gift    bool              `json:"a_gift"`
	Note    string            `json:"note,omitzero"`
	Private Personal[string]  `json:"private"`
	Parts   []ware            `json:"parts"`
	Words   map[string]string `json:"words,omitzero"`
}

// What canonical writes by itself is what the encoder and RFC 8785 make of it.
func TestCanonicalShortcuts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		day := civil.Of(time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "day"), 0), time.UTC)
		for _, v := range []any{
			rapid.String().Draw(t, "text"), rapid.Bool().Draw(t, "flag"), rapid.Int64Range(1-1<<53, 1<<53-1).Draw(t, "number"),
			At(time.UnixMicro(rapid.Int64Range(0, 1<<52).Draw(t, "time"))), &day,
			Secluded(rapid.String().Draw(t, "personal")), Erased[string](), Secluded(map[string]string{rapid.String().Draw(t, "name"): "x"}),
			money.Of(rapid.Int64Range(1-1<<53, 1<<53-1).Draw(t, "amount"), rapid.String().Draw(t, "currency")), Box{Key: "net_2027-03", Hash: []byte(rapid.String().Draw(t, "hash"))},
			ware{Title: rapid.String().Draw(t, "title"), Price: money.Of(12, "EUR"), At: At(time.UnixMicro(rapid.Int64Range(0, 1<<40).Draw(t, "at"))), Left: new(3), Day: &day},
			[]ware{{}, {Parts: []ware{{Gift: true}}, Private: Erased[string](), Words: map[string]string{"b": "1", "a": "2"}}},
		} {
			got, err := canonical(reflect.ValueOf(v))
			if err != nil {
				t.Fatalf("%#v: %v", v, err)
			}
			want, err := general(v)
			if err != nil {
				t.Fatalf("%#v: %v", v, err)
			}
			if string(got) != string(want) {
				t.Errorf("%#v: got %s, want %s", v, got, want)
			}
		}
	})
}

// What they refuse is refused in the same way.
func TestCanonicalShortcutsRefuse(t *testing.T) {
	for _, v := range []any{&civil.Date{}, "\xff", Secluded("\xff"), money.Of(1<<62, "EUR"), money.Of(1, "\xff")} {
		if got, err := canonical(reflect.ValueOf(v)); err == nil {
			want, werr := general(v)
			if werr != nil || string(got) != string(want) {
				t.Errorf("%#v: got %s, want %s, %v", v, got, want, werr)
			}
		}
	}
}
