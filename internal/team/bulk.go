package team

import (
	"slices"
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// BulkMode is what a bulk change does to each person's permissions.
type BulkMode string

// The modes, a closed list.
const (
	BulkDefaults BulkMode = "defaults" // back to the team's defaults
	BulkSet      BulkMode = "set"      // these and no others
	BulkAdd      BulkMode = "add"      // these besides what each has
	BulkRemove   BulkMode = "remove"   // what each has without these
)

const maxBulk = 500

// ChangeManyPermissions changes the permissions of several Members at once, all or nothing: one entry of the operation,
// and one for each person whom it changes. Each change is held to the rules of ChangePermissions.
type ChangeManyPermissions struct {
	Operation   id.ID
	Members     []id.ID
	Mode        BulkMode
	Permissions []Permission // none for BulkDefaults
	Actor       journal.Actor
}

// BulkWorld is what the rule of a bulk change may see.
type BulkWorld struct {
	World
	Members []*TeamMember
}

type bulkDetails struct {
	Mode        BulkMode     `json:"mode"`
	Permissions []Permission `json:"permissions,omitempty"`
	Changed     int          `json:"changed"`
}

func (c ChangeManyPermissions) Load(r journal.Reader) (w BulkWorld, err error) {
	for _, key := range slices.Compact(slices.Sorted(slices.Values(c.Members))) {
		m, err := journal.Get[TeamMember](r, journal.TeamMember, key)
		if err != nil {
			return w, err
		}
		w.Members = append(w.Members, m)
	}
	return w, w.loadActor(r, c.Actor)
}

// Decide refuses wrong fields and whatever ChangePermissions refuses for one of the people. Nobody changed is no entry.
func (c ChangeManyPermissions) Decide(w BulkWorld, now time.Time) (journal.Decision, error) {
	var f fault.Fields
	if len(w.Members) == 0 || len(w.Members) > maxBulk {
		f.Add("/members", "choose_some", "Choose at least one person, and at most {most}.", "most", maxBulk)
	}
	named := granted(&f, "/permissions", c.Permissions)
	switch c.Mode {
	case BulkDefaults, BulkSet, BulkAdd, BulkRemove:
	default:
		f.Add("/mode", "choose_one", "Choose what to do with the permissions.")
	}
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	op := journal.Ref{Kind: journal.Operation, ID: c.Operation}
	d := journal.Decision{Result: op, Drafts: []journal.Draft{{Type: journal.TeamPermissionsBulkUpdated, Target: op}}}
	for _, m := range w.Members {
		one := w.World
		one.Member = m
		change := ChangePermissions{ID: m.ID, Actor: c.Actor}
		if c.Mode != BulkDefaults {
			has := promised(m, w.Defaults)
			next := c.Mode.of(has, NewSet(named)).List()
			if m.Role == Member && slices.Equal(next, has.List()) {
				continue // whoever follows the team's defaults goes on doing so
			}
			change.Permissions = &next
		}
		changed, err := change.Decide(one, now)
		if err != nil {
			return journal.Decision{}, err
		}
		for _, draft := range changed.Drafts {
			draft.CausedByDraft = 1
			d.Drafts = append(d.Drafts, draft)
			d.Drafts[0].Mentions = append(d.Drafts[0].Mentions, m.Ref())
		}
	}
	if len(d.Drafts) == 1 {
		return journal.Decision{Result: op}, nil
	}
	d.Drafts[0].Details = bulkDetails{c.Mode, named, len(d.Drafts) - 1}
	return d, nil
}

func (m BulkMode) of(has, named Set) Set {
	switch m {
	case BulkAdd:
		return NewSet(append(has.List(), named.sorted...))
	case BulkRemove:
		return has.Without(named)
	}
	return named
}
