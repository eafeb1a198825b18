package api

import (
	"context"
	"sync"
	"time"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
	"perennial/internal/program"
	"perennial/internal/team"
)

// denialsBeforeCounting is how many refusals of one key in a minute are an event each; those after it are counted into
// one, so that nobody fills the disk with them.
const denialsBeforeCounting = 10

// denials counts refusals by key and minute.
type denials struct {
	mu sync.Mutex
	by map[string]*denial // guarded by mu
}

type denial struct {
	minute  time.Time
	count   int
	pending int // refusals that are counted and not yet an event
}

func (d *denials) init() { d.by = map[string]*denial{} }

// note counts one refusal. It says how many it stands for when an event is due now, 0 when it is only counted.
func (d *denials) note(key string, now time.Time) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	minute := now.Truncate(time.Minute)
	n := d.by[key]
	if n == nil {
		n = &denial{minute: minute}
		d.by[key] = n
	}
	if !n.minute.Equal(minute) {
		stands := n.pending + 1
		*n = denial{minute: minute, count: 1}
		return stands
	}
	if n.count++; n.count <= denialsBeforeCounting {
		return 1
	}
	n.pending++
	return 0
}

// deny refuses a request and records it. That the record fails does not let anybody in.
func (a *API) deny(ctx context.Context, c *call, r route) error {
	a.recordDenial(ctx, c, r)
	return forbidden(r.permission)
}

// recordDenial records that a request was refused for what its key may do.
func (a *API) recordDenial(ctx context.Context, c *call, r route) {
	if n := a.denials.note(string(c.key.ID), a.now()); n > 0 {
		_, err := a.Program.Do(ctx, &program.Request{Meta: c.meta, Command: journal.Bind(team.RecordDenial{
			Refused: c.key.ID, Who: c.key.Ref(), Permission: r.permission, Path: plain.Escape(r.method + " " + Base + r.path), Count: n,
		})})
		if err != nil {
			a.Log.Error("record a refusal", "request_id", c.requestID, "error", err)
		}
	}
}

// FlushDenials records what is still only counted.
func (a *API) FlushDenials(ctx context.Context) {
	a.denials.mu.Lock()
	left := map[string]int{}
	for k, n := range a.denials.by {
		if n.pending > 0 {
			left[k] = n.pending
			n.pending = 0
		}
	}
	a.denials.mu.Unlock()
	for k, n := range left {
		key := journal.Actor{Kind: journal.ActorAPIKey, ID: k}
		_, err := a.Program.Do(ctx, &program.Request{Meta: program.Meta{Actor: key, Source: journal.Origin{Channel: journal.ChannelAPI}}, Command: journal.Bind(team.RecordDenial{
			Refused: id.ID(k), Who: journal.Ref{Kind: journal.APIKey, ID: id.ID(k)}, Count: n})})
		if err != nil {
			a.Log.Error("record refusals", "error", err)
		}
	}
}

func checkComment(s string) error {
	if reason := plain.MultiLine(s, 2000); reason != "" {
		return refused("/comment", "%s", reason)
	}
	return nil
}
