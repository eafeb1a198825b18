package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep arrays and objects may nest; an event's are a handful of levels deep.
const maxDepth = 100

// CheckCanonical checks that b is one JSON value in the canonical form of RFC 8785 (JCS): no white space, the members of
// an object sorted by the UTF-16 code units of their names and each there once, numbers as ECMAScript writes a double,
// strings in valid UTF-8 with no escape but the necessary one. The error says at which byte it is not.
func CheckCanonical(b []byte) error {
	end, err := value(b, 0, maxDepth)
	if err != nil {
		return err
	}
	if end != len(b) {
		return fmt.Errorf("byte %d: more after the value", end)
	}
	return nil
}

// value checks the value at b[i:] and gives its end.
func value(b []byte, i, depth int) (end int, err error) {
	if i >= len(b) {
		return i, fmt.Errorf("byte %d: the end, where a value should be", i)
	}
	if depth == 0 {
		return i, fmt.Errorf("byte %d: nested too deep", i)
	}
	switch c := b[i]; {
	case c == '{':
		return object(b, i, depth)
	case c == '[':
		return array(b, i, depth)
	case c == '"':
		return text(b, i)
	case c == '-' || c >= '0' && c <= '9':
		return number(b, i)
	}
	for _, word := range []string{"true", "false", "null"} {
		if end := i + len(word); end <= len(b) && string(b[i:end]) == word {
			return end, nil
		}
	}
	return i, fmt.Errorf("byte %d: %q, where a value should be", i, b[i])
}

func object(b []byte, i, depth int) (int, error) {
	i++
	if i < len(b) && b[i] == '}' {
		return i + 1, nil
	}
	var last []byte
	for {
		at := i
		end, err := text(b, i)
		if err != nil {
			return end, err
		}
		name := b[i:end]
		if last != nil && !before(last, name) {
			return at, fmt.Errorf("byte %d: member %q is not in order after %q", at, name, last)
		}
		last = name
		if i, err = expect(b, end, ':'); err != nil {
			return i, err
		}
		if i, err = value(b, i, depth-1); err != nil {
			return i, err
		}
		if i < len(b) && b[i] == '}' {
			return i + 1, nil
		}
		if i, err = expect(b, i, ','); err != nil {
			return i, err
		}
	}
}

func array(b []byte, i, depth int) (int, error) {
	i++
	if i < len(b) && b[i] == ']' {
		return i + 1, nil
	}
	for {
		var err error
		if i, err = value(b, i, depth-1); err != nil {
			return i, err
		}
		if i < len(b) && b[i] == ']' {
			return i + 1, nil
		}
		if i, err = expect(b, i, ','); err != nil {
			return i, err
		}
	}
}

func expect(b []byte, i int, c byte) (int, error) {
	if i >= len(b) {
		return i, fmt.Errorf("byte %d: the end, where %q should be", i, c)
	}
	if b[i] != c {
		return i, fmt.Errorf("byte %d: %q, where %q should be", i, b[i], c)
	}
	return i + 1, nil
}

// text checks a string. RFC 8785, section 3.2.2.2: the short escapes where there is one, \u00xx in lower case for the
// other control characters, everything else as it is.
func text(b []byte, i int) (int, error) {
	i, err := expect(b, i, '"')
	if err != nil {
		return i, err
	}
	for i < len(b) {
		switch c := b[i]; {
		case c == '"':
			return i + 1, nil
		case c == '\\':
			n := escape(b[i:])
			if n == 0 {
				return i, fmt.Errorf("byte %d: not a canonical escape", i)
			}
			i += n
		case c < 0x20:
			return i, fmt.Errorf("byte %d: a bare control character", i)
		case c < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n == 1 {
				return i, fmt.Errorf("byte %d: invalid UTF-8", i)
			}
			i += n
		}
	}
	return i, fmt.Errorf("byte %d: the end, within a string", i)
}

// escape gives the length of the canonical escape that b begins with, 0 when it does not.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		c, err := strconv.ParseUint(string(b[2:6]), 16, 16)
		short := c == '\b' || c == '\f' || c == '\n' || c == '\r' || c == '\t'
		if err == nil && c < 0x20 && !short && fmt.Sprintf("%04x", c) == string(b[2:6]) {
			return 6
		}
	}
	return 0
}

// number checks a number. RFC 8785, section 3.2.2.3: what ECMAScript prints for the double, which encoding/json does too,
// but for minus zero.
func number(b []byte, i int) (int, error) {
	end := i
	for end < len(b) && (b[end] >= '0' && b[end] <= '9' || b[end] == '-' || b[end] == '+' || b[end] == '.' || b[end] == 'e') {
		end++
	}
	if digits := b[i:end]; b[i] != '-' && len(digits) <= 15 && (b[i] != '0' || len(digits) == 1) && bytes.IndexFunc(digits, notDigit) < 0 {
		return end, nil // a short whole number, which most are
	}
	f, err := strconv.ParseFloat(string(b[i:end]), 64)
	if err == nil && (f != 0 || !math.Signbit(f)) {
		if printed, err := json.Marshal(f); err == nil && string(printed) == string(b[i:end]) {
			return end, nil
		}
	}
	return i, fmt.Errorf("byte %d: %q is not a canonical number", i, b[i:end])
}

func notDigit(r rune) bool { return r < '0' || r > '9' }

// before tells whether one member name, as written, sorts before another by UTF-16 code units.
func before(a, b []byte) bool {
	if plain(a) && plain(b) {
		return bytes.Compare(a[1:len(a)-1], b[1:len(b)-1]) < 0
	}
	x, y := utf16.Encode([]rune(unquote(a))), utf16.Encode([]rune(unquote(b)))
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return x[i] < y[i]
		}
	}
	return len(x) < len(y)
}

// plain tells whether a string's content is ASCII and stands as it is.
func plain(raw []byte) bool {
	for _, c := range raw {
		if c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// What follows reads values that CheckCanonical has passed.

// unquote gives the content of a string.
func unquote(raw []byte) string {
	if plain(raw) {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		panic(err) // it was checked
	}
	return s
}

// members gives the members of an object.
func members(b []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for i := 1; i < len(b) && b[i] == '"'; i++ {
			end := skip(b, i)
			name := unquote(b[i:end])
			i = end + 1
			end = skip(b, i)
			if !yield(name, b[i:end]) {
				return
			}
			i = end
		}
	}
}

// elements gives the elements of an array.
func elements(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := 1; i < len(b) && b[i] != ']'; i++ {
			end := skip(b, i)
			if !yield(b[i:end]) {
				return
			}
			i = end
		}
	}
}

func skip(b []byte, i int) int {
	end, err := value(b, i, maxDepth)
	if err != nil {
		panic(err) // it was checked
	}
	return end
}
