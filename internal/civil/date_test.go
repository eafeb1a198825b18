package civil_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones below, also on a machine without them

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"perennial/internal/civil"
)

func date(t testing.TB, s string) civil.Date {
	t.Helper()
	d, err := civil.Parse(s)
	if err != nil {
		t.Fatalf("Parse(%q): %v", s, err)
	}
	return d
}

func dates(t testing.TB, list string) []civil.Date {
	t.Helper()
	var ds []civil.Date
	for s := range strings.FieldsSeq(list) {
		ds = append(ds, date(t, s))
	}
	return ds
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := civil.Zone(name)
	if err != nil {
		t.Fatalf("Zone(%q): %v", name, err)
	}
	return loc
}

func anyDate(from, to string) *rapid.Generator[civil.Date] {
	return rapid.Custom(func(t *rapid.T) civil.Date {
		first, err1 := civil.Parse(from)
		last, err2 := civil.Parse(to)
		if err1 != nil || err2 != nil {
			t.Fatalf("bad range %s to %s", from, to)
		}
		return first.AddDays(rapid.IntRange(0, first.DaysUntil(last)).Draw(t, "days"))
	})
}

func TestParseRefuses(t *testing.T) {
	for _, s := range []string{
		"", "2027", "2027-3-3", "27-03-03", "2027-03-03 ", " 2027-03-03", "2027-03-03T00:00:00Z", "2027/03/03",
		"20270303", "+027-03-03", "2027--3-03", "2027-0a-03", "0000-01-01", "10000-01-01", "2027-00-10", "2027-13-10",
		"2027-01-00", "2027-01-32", "2027-04-31", "2027-02-29", "1900-02-29", "٢٠٢٧-03", "2027-03-0\x00",
	} {
		if got, err := civil.Parse(s); !errors.Is(err, civil.ErrDate) {
			t.Errorf("Parse(%q) = %v, %v; want ErrDate", s, got, err)
		}
	}
}

func TestParseAccepts(t *testing.T) {
	for s, want := range map[string]civil.Date{
		"0001-01-01": {Year: 1, Month: time.January, Day: 1},
		"2000-02-29": {Year: 2000, Month: time.February, Day: 29},
		"2027-03-03": {Year: 2027, Month: time.March, Day: 3},
		"9999-12-31": {Year: 9999, Month: time.December, Day: 31},
	} {
		if got := date(t, s); got != want || got.String() != s {
			t.Errorf("Parse(%q) = %#v, String %q; want %#v", s, got, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"2027-03-03", "2028-02-29", "2027-02-29", "0000-00-00", "2027-3-3", "9999-12-31"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := civil.Parse(s)
		want, wantErr := time.Parse(time.DateOnly, s)
		if ok := wantErr == nil && want.Year() > 0; ok != (err == nil) {
			t.Fatalf("Parse(%q): error %v; time.Parse: %v, %v", s, err, want, wantErr)
		}
		if err == nil && (got.String() != s || got != civil.Of(want, time.UTC)) {
			t.Fatalf("Parse(%q) = %v; want it back", s, got)
		}
	})
}

func TestText(t *testing.T) {
	d := date(t, "2027-03-03")
	if got, want := d.Long(), "3 March 2027"; got != want {
		t.Errorf("Long = %q, want %q", got, want)
	}
	if got, want := d.LongWithoutYear(), "3 March"; got != want {
		t.Errorf("LongWithoutYear = %q, want %q", got, want)
	}
	var zero civil.Date
	if got := zero.String() + zero.Long() + zero.LongWithoutYear(); got != "" {
		t.Errorf("texts of the zero Date: %q, want none", got)
	}
}

func TestJSON(t *testing.T) {
	type document struct {
		Date  civil.Date            `json:"date"`
		Until *civil.Date           `json:"until"`
		None  civil.Date            `json:"none,omitzero"`
		Notes map[civil.Date]string `json:"notes"`
	}
	d := date(t, "2027-03-03")
	const text = `{"date":"2027-03-03","until":null,"notes":{"2027-03-03":"gift"}}`
	got, err := json.Marshal(document{Date: d, Notes: map[civil.Date]string{d: "gift"}})
	if err != nil || string(got) != text {
		t.Errorf("Marshal = %s, %v; want %s", got, err, text)
	}
	var back document
	if err := json.Unmarshal([]byte(text), &back); err != nil {
		t.Fatal(err)
	}
	if want := (document{Date: d, Notes: map[civil.Date]string{d: "gift"}}); !cmp.Equal(back, want) {
		t.Error(cmp.Diff(want, back))
	}
	for _, bad := range []civil.Date{{}, {Year: 2027, Month: time.February, Day: 30}, {Year: 12027, Month: 1, Day: 1}} {
		if got, err := json.Marshal(bad); !errors.Is(err, civil.ErrDate) {
			t.Errorf("Marshal(%#v) = %s, %v; want ErrDate", bad, got, err)
		}
	}
	if err := json.Unmarshal([]byte(`""`), &d); !errors.Is(err, civil.ErrDate) || d.IsZero() {
		t.Errorf(`Unmarshal("") = %v, left %v; want ErrDate and the date as it was`, err, d)
	}
}

func TestAddMonths(t *testing.T) {
	for _, c := range []struct {
		from string
		n    int
		want string
	}{
		{"2027-01-31", 1, "2027-02-28"},
		{"2028-01-31", 1, "2028-02-29"},
		{"2027-03-31", -1, "2027-02-28"},
		{"2028-02-29", 12, "2029-02-28"},
		{"2028-02-29", 48, "2032-02-29"},
		{"2096-02-29", 48, "2100-02-28"},
		{"2027-12-15", 1, "2028-01-15"},
		{"2027-01-15", -1, "2026-12-15"},
		{"2027-01-15", 0, "2027-01-15"},
		{"0001-01-31", -1, ""},
		{"9999-12-01", 1, ""},
		{"2027-01-15", 1 << 30, ""},
		{"2027-01-15", -1 << 30, ""},
	} {
		if got := date(t, c.from).AddMonths(c.n); got.String() != c.want {
			t.Errorf("%s.AddMonths(%d) = %q, want %q", c.from, c.n, got, c.want)
		}
	}
}

func TestDayArithmetic(t *testing.T) {
	first, last := date(t, "0001-01-01"), date(t, "9999-12-31")
	if got := first.AddDays(first.DaysUntil(last)); got != last {
		t.Errorf("from the first to the last day: %q", got)
	}
	for _, outside := range []civil.Date{
		first.AddDays(-1), last.AddDays(1), first.AddDays(1 << 40), last.AddDays(-1 << 40), civil.Date{}.AddDays(1),
	} {
		if !outside.IsZero() {
			t.Errorf("a day outside the calendar: %v", outside)
		}
	}
	if got, want := date(t, "2027-03-03").Weekday(), time.Wednesday; got != want {
		t.Errorf("Weekday = %v, want %v", got, want)
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyDate("0001-01-01", "9999-12-31").Draw(t, "a"), anyDate("0001-01-01", "9999-12-31").Draw(t, "b")
		if got := a.AddDays(a.DaysUntil(b)); got != b {
			t.Errorf("%v.AddDays(%d) = %v, want %v", a, a.DaysUntil(b), got, b)
		}
		if got, want := a.Before(b), a.DaysUntil(b) > 0; got != want {
			t.Errorf("%v.Before(%v) = %v", a, b, got)
		}
		if got, want := a.After(b), b.Before(a); got != want || a.Compare(b) != -b.Compare(a) {
			t.Errorf("%v.After(%v) = %v", a, b, got)
		}
		if got, want := a.Compare(b), strings.Compare(a.String(), b.String()); got != want {
			t.Errorf("%v.Compare(%v) = %d; its text says %d", a, b, got, want)
		}
	})
}

func TestDaysIn(t *testing.T) {
	for year := 1899; year <= 2101; year++ {
		for month := time.January; month <= time.December; month++ {
			want := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
			if got := civil.DaysIn(year, month); got != want {
				t.Errorf("DaysIn(%d, %v) = %d, want %d", year, month, got, want)
			}
		}
	}
	if got := civil.DaysIn(2027, 13) + civil.DaysIn(2027, 0); got != 0 {
		t.Errorf("months that do not exist have %d days", got)
	}
}

func TestStart(t *testing.T) {
	for _, c := range []struct{ zone, day, want, why string }{
		{"UTC", "2027-03-03", "2027-03-03T00:00:00Z", ""},
		{"Asia/Kathmandu", "2027-03-03", "2027-03-02T18:15:00Z", "an offset of 5:45"},
		{"Europe/Berlin", "2027-03-28", "2027-03-27T23:00:00Z", "a day of 23 hours"},
		{"Europe/Berlin", "2027-03-29", "2027-03-28T22:00:00Z", "the day after it"},
		{"America/Sao_Paulo", "2017-10-15", "2017-10-15T03:00:00Z", "no midnight: begins at 01:00"},
		{"America/Sao_Paulo", "2018-02-18", "2018-02-18T03:00:00Z", "at midnight the clocks go back to the day before"},
		{"Asia/Beirut", "2022-03-27", "2022-03-26T22:00:00Z", "no midnight"},
		{"America/Havana", "2021-11-07", "2021-11-07T04:00:00Z", "two midnights: the first"},
		{"America/St_Johns", "2010-11-07", "2010-11-07T02:30:00Z", "at 00:01 the clocks go back: the day begins twice"},
		{"Pacific/Apia", "2011-12-29", "2011-12-29T10:00:00Z", "the day before the one left out"},
		{"Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z", "left out: as the day after"},
		{"Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z", ""},
		{"Pacific/Kwajalein", "1993-08-21", "1993-08-21T12:00:00Z", "left out"},
		{"America/New_York", "2040-12-31", "2040-12-31T05:00:00Z", "day 366, beyond the zone's table"},
		{"Asia/Beirut", "2041-01-01", "2040-12-31T22:00:00Z", "the day after it"},
	} {
		start := date(t, c.day).Start(zone(t, c.zone))
		if got := start.UTC().Format(time.RFC3339Nano); got != c.want {
			t.Errorf("%s in %s (%s) starts at %s, want %s", c.day, c.zone, c.why, got, c.want)
		}
		if got := start.Location().String(); got != c.zone {
			t.Errorf("the start of %s has zone %s, want %s", c.day, got, c.zone)
		}
	}
	if got := (civil.Date{}).Start(time.UTC); !got.IsZero() {
		t.Errorf("the zero Date starts at %v", got)
	}
}

func TestAt(t *testing.T) {
	for _, c := range []struct {
		zone, day    string
		hour, minute int
		want         string
	}{
		{"Europe/Berlin", "2027-03-03", 9, 30, "2027-03-03T08:30:00Z"},
		{"Europe/Berlin", "2027-03-28", 9, 30, "2027-03-28T07:30:00Z"},
		{"Europe/Berlin", "2027-03-28", 2, 30, "2027-03-28T01:00:00Z"},       // left out: 03:00
		{"Europe/Berlin", "2027-10-31", 2, 30, "2027-10-31T00:30:00Z"},       // twice: the first
		{"America/St_Johns", "2010-11-07", 0, 30, "2010-11-07T04:00:00Z"},    // only the second time
		{"Pacific/Apia", "2011-12-30", 9, 0, "2011-12-30T10:00:00Z"},         // left out with its day
		{"Australia/Lord_Howe", "2027-10-03", 2, 15, "2027-10-02T15:30:00Z"}, // half an hour is left out
	} {
		got := date(t, c.day).At(c.hour, c.minute, zone(t, c.zone)).UTC().Format(time.RFC3339Nano)
		if got != c.want {
			t.Errorf("%02d:%02d on %s in %s is %s, want %s", c.hour, c.minute, c.day, c.zone, got, c.want)
		}
	}
}

// TestStartIsFirst looks at the clock around the start of a day, in zones with odd changes.
func TestStartIsFirst(t *testing.T) {
	zones := []string{
		"UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "America/Havana", "America/St_Johns", "Asia/Beirut",
		"Asia/Gaza", "Africa/Cairo", "America/Asuncion", "Pacific/Apia", "Pacific/Kwajalein", "Asia/Manila", "America/Juneau",
		"Africa/Monrovia", "Antarctica/Troll", "Australia/Lord_Howe",
	}
	rapid.Check(t, func(t *rapid.T) {
		loc, err := civil.Zone(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		d := anyDate("1840-01-01", "2060-12-31").Draw(t, "date")
		start := d.Start(loc)
		if shown := civil.Of(start, loc); shown.Before(d) || shown.After(d.AddDays(1)) {
			t.Fatalf("%v starts at %v, which is %v", d, start, shown)
		}
		for before := start.Add(-1); start.Sub(before) < 48*time.Hour; before = before.Add(-17 * time.Minute) {
			if shown := civil.Of(before, loc); !shown.Before(d) {
				t.Fatalf("%v starts at %v, but %v is %v", d, start, before, shown)
			}
		}
	})
}

// TestStartBeyondTheTables looks at every day around the end of a leap year that no table of changes reaches.
func TestStartBeyondTheTables(t *testing.T) {
	for _, name := range []string{"America/New_York", "Europe/Berlin", "Asia/Gaza", "Australia/Lord_Howe", "Europe/Dublin"} {
		loc := zone(t, name)
		for d := date(t, "2096-12-27"); d.Year < 2097 || d.Day < 5; d = d.AddDays(1) {
			want := time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, loc) // no change of clocks is near
			if got := d.Start(loc); !got.Equal(want) {
				t.Errorf("%v in %s starts at %v, want %v", d, name, got, want)
			}
		}
	}
}

func TestTodayIsOfTheZone(t *testing.T) {
	now := time.Date(2027, time.March, 3, 23, 30, 0, 0, time.UTC)
	for name, want := range map[string]string{
		"UTC": "2027-03-03", "Asia/Tokyo": "2027-03-04", "Pacific/Kiritimati": "2027-03-04", "Pacific/Pago_Pago": "2027-03-03",
	} {
		if got := civil.Today(now, zone(t, name)); got.String() != want {
			t.Errorf("today in %s is %v, want %s", name, got, want)
		}
	}
	if got := civil.Of(time.Date(10000, time.January, 1, 0, 0, 0, 0, time.UTC), time.UTC); !got.IsZero() {
		t.Errorf("a day of the year 10000: %v", got)
	}
}

func TestZoneRefuses(t *testing.T) {
	for _, name := range []string{
		"", "Local", "local", "localtime", "posixrules", "Europe", "Europe/Nowhere", "/etc/localtime", "../etc/passwd", "./UTC",
		"Europe/../UTC", "Europe//Berlin", "Europe/Berlin/", `Europe\Berlin`, "zone.tab", "posix/UTC", "right/UTC", "UTC\n",
		"A" + strings.Repeat("a", 100),
	} {
		if got, err := civil.Zone(name); !errors.Is(err, civil.ErrZone) || got != nil {
			t.Errorf("Zone(%q) = %v, %v; want ErrZone", name, got, err)
		}
	}
	for _, name := range []string{"UTC", "Etc/GMT+5", "America/Port-au-Prince", "America/Argentina/Buenos_Aires"} {
		if got := zone(t, name).String(); got != name {
			t.Errorf("Zone(%q) is %s", name, got)
		}
	}
}
