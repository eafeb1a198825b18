package cli

import (
	"fmt"

	"perennial/internal/server"
)

type migrateCommand struct {
	place
	DryRun bool `help:"Show what would be done, and do nothing."`
	Citus  bool `help:"Then spread the tables over a PostgreSQL cluster with Citus, by shop."`
}

// Run brings the schema up to date. With an address that may change the schema, serve does the same by itself.
func (c migrateCommand) Run(w *world) error {
	p, err := server.Migrate(w.ctx, c.config(w.log), c.DryRun, c.Citus)
	if err != nil {
		return err
	}
	if p.Empty() {
		fmt.Fprintf(w.out, "The schema is up to date: %d.\n", p.Knows)
		return nil
	}
	did := "Done:"
	if c.DryRun {
		did = "This would be done:"
	}
	fmt.Fprintf(w.out, "The database has schema %d, this program knows %d. %s\n", p.Has, p.Knows, did)
	for _, f := range p.Files {
		fmt.Fprintf(w.out, "  apply %s\n", f)
	}
	for _, t := range p.Mended {
		fmt.Fprintf(w.out, "  make the trigger %s anew: it is missing or was changed, and somebody should know why\n", t)
	}
	for _, t := range p.Extra {
		fmt.Fprintf(w.out, "  drop the trigger %s, which is not ours\n", t.Name)
	}
	for _, t := range p.Grants {
		fmt.Fprintf(w.out, "  set what the role perennial_app may do with %s\n", t)
	}
	return nil
}
