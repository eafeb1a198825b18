package verify

import (
	"bytes"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestCheckCanonical(t *testing.T) {
	for _, good := range []string{
		`null`, `true`, `false`, `0`, `-1`, `12345`, `123456789012345`, `9007199254740992`, `0.1`, `-0.5`, `1e+21`, `1e-7`, `333333333.3333333`, `4.5`, `0.002`, `1e-27`,
		`""`, `"€$\u000f\nA'B\"\\\\\"/"`, `"\b\f\n\r\t\u0000\u001f"`, "\"\u007f\u0080\u2028\U0001f600\"",
		`[]`, `{}`, `[1,"a",[],{}]`, `{"":1,"a":2,"aa":3,"b":4}`, `{"A":1,"_":2,"a":3}`,
		// RFC 8785, section 3.2.3: sorted by UTF-16 code units, so U+1F600 is before U+FB33.
		"{\"\\r\":1,\"1\":2,\"\u0080\":3,\"ö\":4,\"€\":5,\"😀\":6,\"\ufb33\":7}",
	} {
		if err := CheckCanonical([]byte(good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, tc := range []struct{ bad, want string }{
		{``, "byte 0: the end, where a value should be"},
		{` 1`, `byte 0: ' ', where a value should be`},
		{`1 `, "byte 1: more after the value"},
		{`nul`, `byte 0: 'n', where a value should be`},
		{`NaN`, `byte 0: 'N', where a value should be`},
		{`-`, `byte 0: "-" is not a canonical number`},
		{`-0`, `byte 0: "-0" is not a canonical number`},
		{`01`, `byte 0: "01" is not a canonical number`},
		{`1.0`, `byte 0: "1.0" is not a canonical number`},
		{`1e3`, `byte 0: "1e3" is not a canonical number`},
		{`1E400`, "byte 1: more after the value"},
		{`1e400`, `byte 0: "1e400" is not a canonical number`},
		{`9007199254740993`, `byte 0: "9007199254740993" is not a canonical number`},
		{`[1, 2]`, `byte 3: ' ', where a value should be`},
		{`[1 ,2]`, `byte 2: ' ', where ',' should be`},
		{`[1,]`, `byte 3: ']', where a value should be`},
		{`[1`, "byte 2: the end, where ',' should be"},
		{`{"a":1,}`, `byte 7: '}', where '"' should be`},
		{`{"a" :1}`, `byte 4: ' ', where ':' should be`},
		{`{"a":1,"a":1}`, `byte 7: member "\"a\"" is not in order after "\"a\""`},
		{`{"b":1,"a":1}`, `byte 7: member "\"a\"" is not in order after "\"b\""`},
		{"{\"\ufb33\":1,\"😀\":2}", "is not in order after"},
		{`{"a":1,"` + `\u0001":1}`, "is not in order after"},
		{`"a`, "byte 2: the end, within a string"},
		{"\"\n\"", "byte 1: a bare control character"},
		{"\"\xff\"", "byte 1: invalid UTF-8"},
		{"\"\xed\xa0\x80\"", "byte 1: invalid UTF-8"}, // a surrogate
		{`"\/"`, "byte 1: not a canonical escape"},
		{`"\u0041"`, "byte 1: not a canonical escape"},
		{`"\u000A"`, "byte 1: not a canonical escape"},
		{`"\u001F"`, "byte 1: not a canonical escape"},
		{`"\u000a"`, "byte 1: not a canonical escape"},
		{`"\u+00f"`, "byte 1: not a canonical escape"},
		{`"\u00"`, "byte 1: not a canonical escape"},
		{`"\`, "byte 1: not a canonical escape"},
		{`"\ud83d\ude00"`, "byte 1: not a canonical escape"},
		{strings.Repeat("[", 200), "byte 100: nested too deep"},
	} {
		if err := CheckCanonical([]byte(tc.bad)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.bad, err, tc.want)
		}
	}
}

// What is canonical is what another implementation leaves as it is.
func FuzzCheckCanonical(f *testing.F) {
	for _, e := range entries(4) {
		f.Add(e.body())
	}
	for _, s := range []string{`{"a":[1,-0.5,1e+21,"€\u001f"],"b":{}}`, "{\"😀\":1,\"\ufb33\":2}", `-0`, `1e400`, `9007199254740993`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got := CheckCanonical(b)
		v := jsontext.Value(bytes.Clone(b))
		err := v.Canonicalize()
		want := err == nil && bytes.Equal(v, b)
		if (got == nil) != want && !(want && strings.Contains(got.Error(), "nested too deep")) {
			t.Errorf("%q: %v; canonicalized it is %q, %v", b, got, v, err)
		}
		if got == nil && b[0] == '{' {
			for name, raw := range members(b) {
				if err := CheckCanonical(raw); err != nil {
					t.Errorf("%q: member %q is %q: %v", b, name, raw, err)
				}
			}
		}
	})
}
