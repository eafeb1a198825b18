package team

import (
	"errors"
	"time"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
)

// RecordDenial is the entry of refused requests: an observation of the session that was refused. A refused API key has
// no session, and the key's own row is a state that nobody changes by knocking: so its target is a session too, with
// the id of the key, and the key itself is a mention. Denials of one source in one minute are counted into one entry
// by whoever sends the command.
type RecordDenial struct {
	Refused    id.ID       // the session's id, or the API key's
	Who        journal.Ref // the team member, API key or customer behind it; the zero Ref: nobody who is known
	Permission Permission  // the one that was missing
	Path       string      // of the request, without its query
	Count      int         // refused requests, 1 or more
}

type denial struct {
	Permission Permission `json:"permission"`
	Path       string     `json:"path"`
	Count      int        `json:"count"`
}

const maxPathLength = 300

func (c RecordDenial) Load(journal.Reader) (World, error) { return World{}, nil }

// Decide refuses nothing that people can do. What cannot be shown of a path is kept escaped, and a long
// path is cut.
func (c RecordDenial) Decide(World, time.Time) (journal.Decision, error) {
	if c.Refused == "" || c.Count < 1 {
		return journal.Decision{}, errors.New("team: a denial without a session or a count")
	}
	target := journal.Ref{Kind: journal.Session, ID: c.Refused}
	var who []journal.Ref
	if c.Who.ID != "" {
		who = append(who, c.Who)
	}
	return journal.Decision{
		Drafts: []journal.Draft{{
			Type: journal.AccessDenied, Target: target, Mentions: who,
			Details: denial{c.Permission, typed(c.Path), c.Count},
		}},
		Result: target,
	}, nil
}

func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// typed is what somebody typed, made safe to keep: escaped, and cut when it is long.
func typed(s string) string { return shorten(plain.Escape(s), maxPathLength) }
