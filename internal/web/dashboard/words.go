package dashboard

import (
	"fmt"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/plain"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/team"
	"perennial/internal/web/ui"
)

// locale is how a shop writes times and money.
type locale struct {
	general *settings.General
	zone    *time.Location
}

// here gives the shop's zone, currency and locale, read once for a request.
func (c *call) here() locale {
	if c.words.general == nil {
		g, err := journal.Find[settings.General](c.reader(), journal.Settings, settings.PageGeneral)
		if err != nil || g == nil {
			g = &settings.General{TimeZone: "UTC", Currency: "USD", Locale: "en"}
		}
		c.words = locale{g, settings.Zone(g)}
	}
	return c.words
}

// reader reads the states as they are now.
func (c *call) reader() journal.Reader { return program.NewReader(c.ctx, c.Store, c.Store.Read) }

// today is the shop's day.
func (c *call) today() civil.Date { return settings.Today(c.here().general, c.Program.Now()) }

// cash writes an amount in the shop's locale.
func (c *call) cash(a money.Amount) string { return ui.Money(a, c.here().general.Locale) }

// personal is a personal value for whoever looks: masked without the permission, "erased" when it is gone.
func (c *call) personal(p journal.Personal[string]) string {
	switch {
	case p.Erased:
		return "erased"
	case p.Value != "" && !c.permitted(team.PersonalDataView):
		return plain.Mask
	}
	return p.Value
}

// every is a policy's rhythm in words: "every 2 weeks".
func every(p catalog.Policy) string {
	if p.IntervalCount == 1 {
		return "every " + string(p.Interval)
	}
	return fmt.Sprintf("every %d %ss", p.IntervalCount, p.Interval)
}

// dates is a date in full, or what stands for none.
func dates(d *civil.Date, none string) string {
	if d == nil {
		return none
	}
	return d.Long()
}
