package dashboard

import (
	"net/http"
	"strconv"

	"perennial/internal/fault"
	"perennial/internal/journal"
	"perennial/internal/store"
	"perennial/internal/web/ui"
)

// staleView is both versions of what two people changed at once.
type staleView struct {
	Theirs  []ui.Change // what was changed since the form was opened
	Yours   []ui.Change // what the form would change now
	Refused string      // why it would not; empty: it would
}

// refuseStale shows a form again that came too late, under both versions. The form is for what stands there now, so to send it once more is to
// mean it.
func (c *call) refuseStale(a answer, ref journal.Ref, seen string, cmd journal.Command) (answer, error) {
	version, err := strconv.ParseInt(seen, 10, 64)
	if err != nil {
		version = 0
	}
	now, err := c.load(c.ctx, ref.Kind, ref.ID)
	if err != nil {
		return answer{}, err
	}
	then, err := c.Store.StateAt(c.ctx, c.Store.Read, ref, func(e *journal.Event) bool { return e.TargetVersion <= version })
	if err != nil {
		return answer{}, store.Fault(err)
	}
	var v staleView
	if v.Theirs, err = c.difference(then.State, now.State); err != nil {
		return answer{}, err
	}
	d, err := cmd.Run(c.reader(), c.Program.Now())
	switch f := fault.As(err); {
	case err != nil && (f.Kind == fault.Internal || f.Kind == fault.Unavailable):
		return answer{}, err
	case err != nil:
		v.Refused = f.Public
	}
	after := now.State
	for _, draft := range d.Drafts {
		if draft.After != nil && draft.After.Ref() == ref {
			after = draft.After
		}
	}
	if v.Yours, err = c.difference(now.State, after); err != nil {
		return answer{}, err
	}
	a.status, a.body = http.StatusPreconditionFailed, staleBody(v, a.body)
	return a, nil
}
