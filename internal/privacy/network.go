package privacy

import (
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
)

// ExpireNetwork erases a month's IP addresses and user agents, when the log settings keep them no longer. Whoever runs it destroys
// the month's key in the same transaction.
type ExpireNetwork struct {
	Shop  id.ID
	Month string // "2027-03", UTC
}

// NetworkWorld is the settings that say how long they are kept.
type NetworkWorld struct {
	General *settings.General
	Log     *settings.Log
}

type networkDetails struct {
	Month string `json:"month"`
}

func (ExpireNetwork) Load(r journal.Reader) (w NetworkWorld, err error) {
	if w.General, err = journal.Find[settings.General](r, journal.Settings, settings.PageGeneral); err != nil {
		return w, err
	}
	w.Log, err = journal.Find[settings.Log](r, journal.Settings, settings.PageLog)
	if w.Log == nil && err == nil {
		w.Log = settings.Default(settings.PageLog, w.General).(*settings.Log)
	}
	return w, err
}

// Decide refuses a month that is still kept (Conflict, still_kept).
func (c ExpireNetwork) Decide(w NetworkWorld, now time.Time) (journal.Decision, error) {
	if !w.Log.NetworkDataExpired(c.Month, now) {
		return journal.Decision{}, fault.New(fault.Conflict, "still_kept", "IP addresses and user agents of %s are still kept.", c.Month)
	}
	ref := journal.Ref{Kind: journal.Shop, ID: c.Shop}
	return journal.Decision{
		Drafts: []journal.Draft{{Type: journal.NetworkDataExpired, Target: ref, Details: networkDetails{c.Month}}},
		Result: ref,
	}, nil
}
