package api

import (
	"context"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
	"perennial/internal/program"
	"perennial/internal/team"
)

// deny refuses a request and records it. That the record fails does not let anybody in.
func (a *API) deny(ctx context.Context, c *call, r route) error {
	a.recordDenial(ctx, c, r)
	return forbidden(r.permission)
}

// recordDenial records that a request was refused for what its key may do.
func (a *API) recordDenial(ctx context.Context, c *call, r route) {
	if !a.denials.Note(string(c.key.ID), a.now()) {
		return
	}
	a.record(ctx, c.meta, team.RecordDenial{Refused: c.key.ID, Who: c.key.Ref(), Permission: r.permission, Path: r.method + " " + Base + r.path, Count: 1})
}

func (a *API) record(ctx context.Context, m program.Meta, d team.RecordDenial) {
	if _, err := a.Program.Do(ctx, &program.Request{Meta: m, Command: journal.Bind(d)}); err != nil {
		a.Log.Error("record a refusal", "request_id", m.Source.RequestID, "error", err)
	}
}

// FlushDenials makes one entry of each source's refusals that were only counted. Guessed keys have no entry of their own
// at all: anybody can send them, so a source has one entry a minute once it sent more than a person's mistakes.
func (a *API) FlushDenials(ctx context.Context) {
	now, from := a.now(), journal.Origin{Channel: journal.ChannelAPI}
	for key, n := range a.denials.Take(now) {
		a.record(ctx, program.Meta{Actor: journal.Actor{Kind: journal.ActorAPIKey, ID: key}, Source: from},
			team.RecordDenial{Refused: id.ID(key), Who: journal.Ref{Kind: journal.APIKey, ID: id.ID(key)}, Count: n})
	}
	for network, n := range a.guesses.Take(now) {
		session := a.newID(id.Session)
		from.IP = journal.Secluded(network)
		a.record(ctx, program.Meta{Actor: journal.Actor{Kind: journal.ActorAnonymous, ID: string(session)}, Source: from},
			team.RecordDenial{Refused: session, Path: "the API with an unknown key", Count: n})
	}
}

func checkComment(s string) error {
	var f fault.Fields
	if why := plain.MultiLine(s, 2000); why != nil {
		f.Refuse("/comment", why)
	}
	return f.Err()
}
