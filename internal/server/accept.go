package server

import (
	"context"

	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/program"
)

// operated is who acts when whoever runs the server says that it goes on. The comment is what lists show of who and why.
func operated(by observe.Operator) program.Meta {
	return program.Meta{Comment: by.By + ": " + by.Because, Actor: journal.Actor{Kind: journal.ActorSystem, ID: "operator"}, Source: journal.Origin{Channel: journal.ChannelCLI}}
}

// AcceptRestore goes on from a database that is older than the last signed checkpoint, or another history: it makes an entry of it, and
// signs the database as it is. Stopped in between, it is done again, with another entry.
func (i *Instance) AcceptRestore(ctx context.Context, by observe.Operator) (program.GivenUp, error) {
	if err := by.Check(); err != nil {
		return program.GivenUp{}, err
	}
	g, err := i.Program.Lost(ctx)
	if err != nil {
		return g, err
	}
	_, err = i.Program.Do(ctx, &program.Request{Meta: operated(by), Command: journal.Bind(observe.AcceptRestore{Shop: i.Store.Shop, Found: g.Found, Ours: g.Ours, Signed: g.Size,
		Root: g.Root.String(), Since: journal.At(g.Since), Operator: by})})
	if err != nil {
		return g, err
	}
	return g, i.Program.GiveUp(ctx)
}
