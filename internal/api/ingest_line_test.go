package api

import (
	"testing"
	"unicode/utf8"

	"perennial/internal/fault"
)

// A line from outside is taken or refused with words for people, whatever it is.
func FuzzParseLine(f *testing.F) {
	for _, s := range []string{`{"type":"external.x","source":"s"}`, `{"targets":["cus_0",{"kind":"order"}]}`, `{"details":{"a":[1,2.5e9]},"occurred_at":"2027-03-01T00:00:00Z"}`, `[`, "\xff", `{"a":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if _, err := parseLine(line); err != nil {
			e := fault.As(err)
			if e.Kind != fault.Refused || len(e.Fields) != 1 || !utf8.ValidString(reason(e)) {
				t.Errorf("%q is refused with %v", line, err)
			}
		}
	})
}
