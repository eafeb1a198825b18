package ui

import (
	"net/url"
	"regexp"
	"testing"
	"time"

	"perennial/internal/fault"
)

// A page's forms are taken for a week; those of the build before, whose numbers say no time, are too.
func TestAFormOfLongAgo(t *testing.T) {
	now := time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC)
	page := string(Numbered([]byte(`<form method="post" action="/a"></form><form method="get"></form>`), now))
	all := regexp.MustCompile(`name="form_number" value="([^"]*)"`).FindAllStringSubmatch(page, -1)
	if len(all) != 1 {
		t.Fatal(page)
	}
	for _, tt := range []struct {
		number string
		at     time.Time
		code   string
	}{
		{all[0][1], now, ""},
		{all[0][1], now.Add(FormsLast), ""},
		{all[0][1], now.Add(FormsLast + time.Second), "form_too_old"},
		{"K47PRNJZNSPLP25JA2OPO6EQ7W", now.Add(400 * 24 * time.Hour), ""},
		{"zz-K47PRNJZNSPLP25JA2OPO6EQ7W", now, "form_too_old"},
		{"", now, "form_incomplete"},
		{"short", now, "form_incomplete"},
	} {
		got := ""
		if err := NeedsNumber(url.Values{Number: {tt.number}}, tt.at); err != nil {
			got = fault.As(err).Code
		}
		if got != tt.code {
			t.Errorf("%q at %s: got %q, want %q", tt.number, tt.at, got, tt.code)
		}
	}
}
