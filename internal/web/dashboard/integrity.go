package dashboard

import (
	"context"
	"fmt"

	"perennial/internal/audit"
	"perennial/internal/find"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/program"
	"perennial/internal/store"
	"perennial/internal/team"
	"perennial/internal/web/ui"
)

func (d *Dashboard) registerIntegrity() {
	d.on(route{pattern: "GET /integrity", permission: team.EventsView}, (*call).integrityPage)
	d.on(route{pattern: "POST /integrity/verify", permission: team.EventsView, events: []journal.Name{journal.LogVerified}}, (*call).verifyNow)
}

// verification is a check of the whole journal under way. What it came to is its entry.
type verification struct {
	running     bool
	done, total int64
	problems    []string // of the last one of this process; its entry has only the first
}

type integrityView struct {
	Entries    string
	Checkpoint *store.Checkpoint
	Behind     int64 // entries since the checkpoint
	V          verification
	Last       *lastVerification
}

// lastVerification is the newest entry of a check.
type lastVerification struct {
	observe.Verification
	When, By string
	Entry    ui.Link
	Since    int64 // entries made after it
	Problems []string
}

func (c *call) integrityPage() (answer, error) {
	v := integrityView{Entries: ui.Grouped(c.Program.Head() + 1)}
	c.verifyMu.Lock()
	v.V = c.verified
	c.verifyMu.Unlock()
	list, err := c.Store.Checkpoints(c.ctx, c.Store.Read, -1, 1)
	if err != nil {
		return answer{}, store.Fault(err)
	}
	if len(list) > 0 {
		v.Checkpoint, v.Behind = &list[0], c.Program.Head()+1-list[0].Size
	}
	if v.Last, err = c.lastVerification(v.V.problems); err != nil {
		return answer{}, err
	}
	return answer{title: "Integrity", head: ui.Head{Lead: "Whether every change has its entry, and every entry is as it was written."}, body: integrityBody(v)}, nil
}

func (c *call) lastVerification(problems []string) (*lastVerification, error) {
	found, err := take(c.Finder.Events(c.ctx, store.Opened, find.Filter{Types: []journal.Name{journal.LogVerified}}, -1), 1)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	shown, err := c.views().Render(found)
	if err != nil {
		return nil, err
	}
	e := shown[0]
	v := &lastVerification{When: e.RecordedAt.In(c.here().zone).Format(ui.DateTime), By: who(e), Entry: ui.Link{Href: "/events/" + string(e.ID), Text: "See the entry"}, Since: c.Program.Head() - e.Seq}
	for _, d := range []struct {
		name string
		into any
	}{{"result", &v.Result}, {"entries", &v.Entries}, {"changes", &v.Changes}, {"differences", &v.Differences}, {"root", &v.Root}, {"problem", &v.Problem}} {
		if value := found[0].Detail(d.name); value != nil {
			if err := decode(value, d.into); err != nil {
				return nil, err
			}
		}
	}
	if v.Problems = problems; v.Result == observe.Differs && len(problems) == 0 {
		v.Problems = []string{placeWords(v.Problem) + " is not what the entries say"}
	}
	return v, nil
}

func placeWords(p observe.Problem) string {
	words := fmt.Sprintf("%s, field %s", p.ID, p.Field)
	if p.Seq >= 0 {
		words = "entry #" + ui.Grouped(p.Seq) + ", " + words
	}
	return words
}

// verifyNow begins a check of the whole journal, unless one runs. Its entry is made when it is over, in the name of who began it.
func (c *call) verifyNow() (answer, error) {
	c.verifyMu.Lock()
	defer c.verifyMu.Unlock()
	if c.verified.running {
		return goTo("/integrity"), nil
	}
	if err := c.first(); err != nil {
		return answer{}, err
	}
	d, meta := c.Dashboard, c.meta
	d.verified = verification{running: true}
	d.work.Go(func() {
		ctx, cancel := context.WithCancel(context.WithoutCancel(c.r.Context()))
		defer cancel()
		stop := context.AfterFunc(d.ending, cancel)
		defer stop()
		check := d.Check
		if check == nil {
			check = func(ctx context.Context, progress audit.Progress) (*audit.Report, error) {
				return audit.Verify(ctx, d.Store, progress)
			}
		}
		report, err := check(ctx, func(done, total int64) {
			d.verifyMu.Lock()
			defer d.verifyMu.Unlock()
			d.verified.done, d.verified.total = done, total
		})
		if err != nil && ctx.Err() == nil {
			d.Log.Error("verify", "error", err)
		}
		problems := d.recordVerification(context.WithoutCancel(ctx), meta, report)
		d.verifyMu.Lock()
		defer d.verifyMu.Unlock()
		d.verified = verification{problems: problems}
	})
	return goTo("/integrity"), nil
}

// recordVerification makes the entry of a check that is over; no report: it could not be finished. It gives the problems in words.
func (d *Dashboard) recordVerification(ctx context.Context, m program.Meta, report *audit.Report) (problems []string) {
	entry := observe.Verification{Result: observe.Unfinished}
	if report != nil {
		entry = report.Entry()
		for _, p := range report.Problems {
			problems = append(problems, p.String())
		}
		if !report.Holds() {
			d.Log.Warn("the journal and the database do not agree", "differences", report.Differences, "problems", problems)
		}
	}
	if _, err := d.Program.Do(ctx, &program.Request{Meta: m, Command: journal.Bind(entry)}); err != nil {
		d.Log.Error("record a verification", "error", err)
	}
	return problems
}
