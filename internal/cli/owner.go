package cli

import (
	"bufio"
	"fmt"
	"strings"

	"perennial/internal/auth"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/server"
	"perennial/internal/team"
)

type ownerCommand struct {
	Create ownerCreateCommand `cmd:"" help:"Make the first owner. The password is read from the input, so that it is in no list of processes."`
}

type ownerCreateCommand struct {
	place
	Email string `help:"The owner's e-mail address." required:"" placeholder:"ADDRESS"`
	Name  string `help:"The owner's name." placeholder:"NAME"`
}

// Run makes the owner of a shop that exists and has none.
func (c ownerCreateCommand) Run(w *world) error {
	i, err := server.Open(w.ctx, c.config(w.log))
	if err != nil {
		return err
	}
	return closing(i, c.create(w, i))
}

func (c ownerCreateCommand) create(w *world, i *server.Instance) error {
	if i.Program.Head() < 0 {
		return fault.New(fault.Conflict, "no_shop", "There is no shop yet: start perennial serve once, and then make its owner.")
	}
	fmt.Fprintf(w.err, "Password for %s: ", c.Email)
	line, err := bufio.NewReader(w.in).ReadString('\n')
	password := strings.TrimRight(line, "\r\n")
	if password == "" && err != nil {
		return fault.Wrap(err, fault.Refused, "password", "Give the password as one line of the input.")
	}
	if why := team.WeakPassword(password, c.Email); why != nil {
		return fault.New(fault.Refused, "password", "%s", why)
	}
	_, err = i.Program.Do(w.ctx, &program.Request{Meta: founder(), Command: journal.Bind(team.FoundTeam{ID: i.IDs.New(id.TeamMember), Email: c.Email, Name: c.Name,
		PasswordHash: auth.HashPassword(password)})})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w.out, "%s owns the shop now and can sign in.\n", c.Email)
	return err
}
