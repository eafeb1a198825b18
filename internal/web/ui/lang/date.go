package lang

import (
	"fmt"
	"strconv"
	"time"

	"perennial/internal/civil"
)

// calendar is how a language writes days: the forms of CLDR's "long" dates, with the words of its calendar.
type calendar struct {
	months   [12]string
	weekdays [7]string // short, Sunday first
	date     func(day int, month string, year int) string
	weekday  string // between the weekday and the date
	clock    string // between the date and the time of day
}

var calendars = map[string]calendar{
	"en": {
		months:   [12]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
		weekdays: [7]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"},
		date:     func(d int, m string, y int) string { return fmt.Sprintf("%d %s %d", d, m, y) },
		weekday:  ", ", clock: ", ",
	},
	"de": {
		months:   [12]string{"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"},
		weekdays: [7]string{"So.", "Mo.", "Di.", "Mi.", "Do.", "Fr.", "Sa."},
		date:     func(d int, m string, y int) string { return fmt.Sprintf("%d. %s %d", d, m, y) },
		weekday:  ", ", clock: ", ",
	},
	"fr": {
		months:   [12]string{"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"},
		weekdays: [7]string{"dim.", "lun.", "mar.", "mer.", "jeu.", "ven.", "sam."},
		date: func(d int, m string, y int) string {
			if d == 1 {
				return fmt.Sprintf("1er %s %d", m, y)
			}
			return fmt.Sprintf("%d %s %d", d, m, y)
		},
		weekday: " ", clock: " à ",
	},
	"es": {
		months:   [12]string{"enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"},
		weekdays: [7]string{"dom", "lun", "mar", "mié", "jue", "vie", "sáb"},
		date:     func(d int, m string, y int) string { return fmt.Sprintf("%d de %s de %d", d, m, y) },
		weekday:  ", ", clock: ", ",
	},
}

// american says whether the reader writes the month first, and the time with a.m. and p.m.
func (p *Printer) american() bool { return p.Locale == "en-US" }

// Date writes a day in full: "10 March 2027", "10. März 2027". The zero Date is nothing.
func (p *Printer) Date(d civil.Date) string {
	if d.IsZero() {
		return ""
	}
	c := calendars[p.Language]
	month := c.months[d.Month-1]
	if p.american() {
		return month + " " + strconv.Itoa(d.Day) + ", " + strconv.Itoa(d.Year)
	}
	return c.date(d.Day, month, d.Year)
}

// Day writes a day in full with its weekday: "Wed, 10 March 2027".
func (p *Printer) Day(d civil.Date) string {
	if d.IsZero() {
		return ""
	}
	c := calendars[p.Language]
	return c.weekdays[d.Weekday()] + c.weekday + p.Date(d)
}

// Time writes a moment in the zone that it is in, to the minute.
func (p *Printer) Time(t time.Time) string {
	clock := t.Format("15:04")
	if p.american() {
		clock = t.Format("3:04 PM")
	}
	return p.Date(civil.Of(t, t.Location())) + calendars[p.Language].clock + clock
}
