package server

import (
	"context"

	"perennial/internal/fault"
	"perennial/internal/gate"
	"perennial/internal/journal"
	"perennial/internal/notify"
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
	if err != nil && fault.As(err).Code == "nothing_to_accept" {
		return i.acceptNotice(ctx, by, err)
	}
	if err != nil {
		return g, err
	}
	if err := i.leaveOut(ctx, &g); err != nil {
		return g, err
	}
	_, err = i.Program.Do(ctx, &program.Request{Meta: operated(by), Command: journal.Bind(observe.AcceptRestore{Shop: i.Store.Shop, Found: g.Found, Ours: g.Ours, Signed: g.Size,
		Root: g.Root.String(), Since: journal.At(g.Since), Operator: by})})
	if err != nil {
		return g, err
	}
	return g, i.Program.GiveUp(ctx)
}

// leaveOut leaves out the messages that may have been sent, while everything is still held up. The copy may have entries that are up to a
// minute younger than its newest checkpoint.
func (i *Instance) leaveOut(ctx context.Context, g *program.GivenUp) (err error) {
	if i.Config.Accept.Waiting {
		return nil
	}
	g.Unsent, err = notify.LeaveOut(ctx, i.Program, i.Store, g.Since.Add(checkpointEvery))
	return err
}

// acceptNotice goes on from a database of which only the gateway told that it is an older copy. No checkpoint is given up. Without such a
// notice it is refused as before.
func (i *Instance) acceptNotice(ctx context.Context, by observe.Operator, refused error) (g program.GivenUp, err error) {
	word, err := i.lastWord(ctx)
	switch {
	case err != nil:
		return g, err
	case word == nil || word.Type != observe.RestoreNoticed:
		return g, refused
	}
	n, err := observe.ReadNotice(word)
	if err != nil {
		return g, err
	}
	g = program.GivenUp{Found: gate.GatewayAhead, Ours: i.Program.Head() + 1, Since: n.Since.Time}
	if err := i.leaveOut(ctx, &g); err != nil {
		return g, err
	}
	_, err = i.Program.Do(ctx, &program.Request{Meta: operated(by), Command: journal.Bind(observe.AcceptRestore{Shop: i.Store.Shop, Found: g.Found, Ours: g.Ours, Since: n.Since, Operator: by})})
	return g, err
}
