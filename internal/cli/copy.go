package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"perennial/internal/journal"
	"perennial/internal/move"
	"perennial/internal/program"
	"perennial/internal/server"
)

type copyCommand struct {
	From string `help:"Where the shop is: a data folder, or the address of a PostgreSQL." required:"" placeholder:"DIR|URL"`
	To   string `help:"Where it goes: a data folder, or the address of a PostgreSQL." required:"" placeholder:"DIR|URL"`
	Keys string `help:"The keys folder, which both use; by default keys in the source's data folder." type:"path" env:"PERENNIAL_KEYS" placeholder:"DIR"`
}

// Run moves a shop. Stopped or interrupted, it is begun again by the same command.
func (c copyCommand) Run(w *world) (err error) {
	at := func(where string) server.Config {
		p := place{Keys: c.Keys}
		if server.IsURL(where) {
			p.Database = where
		} else {
			p.Data = where
		}
		if p.Keys == "" && !server.IsURL(c.From) {
			p.Keys = filepath.Join(c.From, "keys")
		}
		return p.config(w.log)
	}
	var bar *bar
	name := ""
	step := func(what string, done, total int64) {
		if what != name {
			if bar != nil {
				bar.end()
			}
			bar, name = newBar(w.err, what), what
		}
		bar.set(done, total, thousands(done)+" entries")
	}
	meta := program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "copy"}, Source: journal.Origin{Channel: journal.ChannelCLI}}
	r, err := server.Move(w.ctx, at(c.From), at(c.To), meta, move.Steps{
		Verifying: func(database string, done, total int64) { step("Verifying the "+database, done, total) },
		Copying:   func(done, total int64) { step("Copying", done, total) },
	})
	if bar != nil {
		bar.end()
	}
	if err != nil {
		if errors.Is(err, context.Canceled) {
			fmt.Fprintln(w.out, "Stopped. The same command goes on where this one ended; the shop is still served from where it was.")
		}
		return err
	}
	fmt.Fprintf(w.out, "The shop %s is in %s: %s entries, root %s, verified on both sides.\n", r.Shop, server.Redacted(c.To), thousands(r.Entries), r.Root)
	fmt.Fprintf(w.out, "The source is closed: its last entry says where the shop went. Serve it from the copy, with the same keys folder.\n")
	return nil
}
