package cli

import (
	"cmp"
	"fmt"
	"os"
	"os/user"

	"perennial/internal/fault"
	"perennial/internal/observe"
	"perennial/internal/server"
)

// word is what whoever runs the server says when it goes on in spite of something. It is kept in the journal.
type word struct {
	Because string `help:"Why, in one line; it is kept in the journal." placeholder:"WHY"`
	By      string `help:"Who says so; by default the user of the operating system." placeholder:"WHO"`
}

func (w word) operator() observe.Operator {
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return observe.Operator{By: cmp.Or(w.By, name), Because: w.Because}
}

type acceptRestoreCommand struct {
	place
	word
	SendWaiting bool `help:"Send what this copy had still to send, too, though it may have been sent already."`
}

// Run goes on from a restored database. It is done once, so no flag of a service can say it again by mistake.
func (c acceptRestoreCommand) Run(w *world) error {
	cfg := c.config(w.log)
	cfg.Accept.Waiting = c.SendWaiting
	i, err := server.Open(w.ctx, cfg)
	if err != nil {
		return err
	}
	return closing(i, c.accept(w, i))
}

func (c acceptRestoreCommand) accept(w *world, i *server.Instance) error {
	if i.Program.Head() < 0 {
		return fault.New(fault.Conflict, "nothing_to_accept", "There is no shop in this database: there is nothing to accept.")
	}
	g, err := i.AcceptRestore(w.ctx, c.operator())
	if err != nil {
		return err
	}
	unsent := fmt.Sprintf("Messages that this copy had still to send may have been sent: %d are left out.", g.Unsent)
	if c.SendWaiting {
		unsent = "Messages that this copy had still to send are sent, though they may have been sent already."
	}
	given := ""
	if g.Size > 0 {
		given = fmt.Sprintf(" A checkpoint over %s entries is given up and kept in the keys folder;\n", thousands(g.Size))
	}
	_, err = fmt.Fprintf(w.out, "The shop goes on from this database: %s entries.%s"+
		"what was recorded after %s may be missing. An entry says so. Start the server.\n"+
		"%s\nMessages about orders that are made again may reach people a second time.\n",
		thousands(g.Ours), cmp.Or(given, " Only the gateway told that it is an older copy;\n"), g.Since.UTC().Format("2 January 2006, 15:04 UTC"), unsent)
	return err
}
