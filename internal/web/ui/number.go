package ui

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"perennial/internal/fault"
)

// Number is the field that gives every form that is sent a number of its own. A form that is sent twice, by a double click, a reload or the
// way back, is known by it: what it did is not done again (SentKey, program.DoOnce).
const Number = "form_number"

// shortest is how long a number is at least, so that nobody meets another's.
const shortest = 20

// FormsLast is how long a page may be open before its forms are sent: what a form did is known for a day longer (store.FormsKept).
const FormsLast = 7 * 24 * time.Hour

// Numbered gives a page whose forms that are sent have a number, which says when the page was made. Pages are made of templates, which quote
// every attribute.
func Numbered(page []byte, now time.Time) []byte {
	var out bytes.Buffer
	field := fmt.Appendf(nil, `<input type="hidden" name="%s" value="%x-%s">`, Number, now.Unix(), rand.Text())
	for {
		at := bytes.Index(page, []byte("<form "))
		if at < 0 {
			break
		}
		end := at + tagEnd(page[at:])
		out.Write(page[:end])
		if bytes.Contains(page[at:end], []byte(` method="post"`)) {
			out.Write(field)
		}
		page = page[end:]
	}
	out.Write(page)
	return out.Bytes()
}

// tagEnd is where a tag is over: after the first > that is in no value.
func tagEnd(tag []byte) int {
	quoted := false
	for i, c := range tag {
		switch {
		case c == '"':
			quoted = !quoted
		case c == '>' && !quoted:
			return i + 1
		}
	}
	return len(tag)
}

// NeedsNumber refuses a form that came without its number, and one whose page was open for so long that nobody knows any more whether it was
// sent before. A page of the build before says no time.
func NeedsNumber(form url.Values, now time.Time) error {
	number := form.Get(Number)
	if len(number) < shortest {
		return fault.New(fault.Malformed, "form_incomplete", "This form is not complete. Open its page again and send it from there.")
	}
	if at, _, ok := strings.Cut(number, "-"); ok {
		made, err := strconv.ParseInt(at, 16, 64)
		if err != nil || now.Sub(time.Unix(made, 0)) > FormsLast {
			return fault.New(fault.Conflict, "form_too_old", "This page was open for more than 7 days. Open it again and send the form from there.")
		}
	}
	return nil
}

// SentKey is what a form that was sent is known by: its number, where it was sent, and what it says. step counts what the form asks for, from 1.
func SentKey(face, path string, form url.Values, step int) [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%s %q %d", face, path, step)
	for _, name := range slices.Sorted(maps.Keys(form)) {
		fmt.Fprintf(h, " %q %q", name, form[name])
	}
	return [sha256.Size]byte(h.Sum(nil))
}
