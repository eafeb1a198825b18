// Package cli is the command line. One struct is the flags, the environment (PERENNIAL_…) and the configuration file.
package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/server"
)

// commands are the whole command line.
type commands struct {
	Config    kong.ConfigFlag `help:"A JSON file with the flags by name, such as public_url for --public-url." placeholder:"FILE"`
	LogLevel  string          `help:"From which level on something is logged: debug, info, warn, error." default:"info" enum:"debug,info,warn,error" env:"PERENNIAL_LOG_LEVEL" placeholder:"LEVEL"`
	LogFormat string          `help:"How the log is written: text, json, or auto, which is text on a terminal." default:"auto" enum:"auto,text,json" env:"PERENNIAL_LOG_FORMAT" placeholder:"FORM"`

	Demo    demoCommand          `cmd:"" help:"Start a shop with a year of history, to look around in."`
	Serve   serveCommand         `cmd:"" help:"Run a shop."`
	Ready   readyCommand         `cmd:"" help:"Ask a running server whether it is ready."`
	Verify  verifyCommand        `cmd:"" help:"Prove that the database is what its journal says, or check a receipt."`
	Log     logCommand           `cmd:"" help:"Show a log in the terminal."`
	Export  exportCommand        `cmd:"" help:"Write the journal out, with everything an auditor needs."`
	Owner   ownerCommand         `cmd:"" help:"Make the first owner of a shop without a browser."`
	Reindex reindexCommand       `cmd:"" help:"Rebuild the index from the journal."`
	Backup  backupCommand        `cmd:"" help:"Copy the embedded database, also beside a running server, and verify the copy."`
	Restore restoreCommand       `cmd:"" help:"Put a backup into a data folder that has no database, and verify it."`
	Accept  acceptRestoreCommand `cmd:"" name:"accept-restore" help:"Go on from a restored database that is older than what was signed."`
	Copy    copyCommand          `cmd:"" help:"Move a shop to another database, of the same engine or the other one."`
	Migrate migrateCommand       `cmd:"" help:"Bring the schema of a database up to date, or show what that would do."`
	Bench   benchCommands        `cmd:"" help:"Measure this program on this machine."`
	Version versionCommand       `cmd:"" help:"Print the version."`
}

// place says where a shop is; every command that opens one takes it.
type place struct {
	Data     string `help:"The data folder." default:"perennial-data" type:"path" env:"PERENNIAL_DATA" placeholder:"DIR"`
	Database string `help:"The database: the address of a PostgreSQL (postgres://…); by default perennial.db in the data folder." env:"PERENNIAL_DATABASE" placeholder:"URL"`
	Keys     string `help:"The keys folder; by default keys in the data folder." type:"path" env:"PERENNIAL_KEYS" placeholder:"DIR"`

	DatabaseFile string `help:"A file with the address of the PostgreSQL, which holds a password, in place of the address itself." env:"PERENNIAL_DATABASE_FILE" placeholder:"FILE"`
}

// AfterApply reads what is in a file of its own.
func (p *place) AfterApply() error { return secretOf(&p.Database, p.DatabaseFile) }

func (p place) config(log *slog.Logger) server.Config {
	return server.Config{Data: p.Data, Database: p.Database, Keys: p.Keys, Log: log, Version: version()}
}

// world is what commands use of the outside.
type world struct {
	ctx   context.Context
	clock func() time.Time
	real  bool // the clock is the machine's
	in    io.Reader
	out   io.Writer
	err   io.Writer
	log   *slog.Logger
}

// failed is an outcome with an exit code whose words were printed already.
type failed int

func (f failed) Error() string { return fmt.Sprintf("exit code %d", int(f)) }

// Run parses the arguments and runs the command. It returns the exit code: 0 it holds, 1 it does not, 2 it could not be
// done.
func Run(args []string, in io.Reader, out, errOut io.Writer) int {
	return run(time.Now, true, args, in, out, errOut)
}

// RunAt is Run with another clock for a server.
func RunAt(clock func() time.Time, args []string, in io.Reader, out, errOut io.Writer) int {
	return run(clock, false, args, in, out, errOut)
}

func run(clock func() time.Time, real bool, args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if os.Getenv("GOGC") == "" {
		tuneGarbage()
	}
	var c commands
	code := -1
	parser, err := kong.New(&c, kong.Name("perennial"), kong.Description("A self-hosted subscription program that can prove every change."),
		kong.Configuration(readConfiguration), kong.Writers(out, errOut), kong.Exit(func(n int) { code = n }), kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fmt.Fprintln(errOut, err)
		return 2
	}
	k, err := parser.Parse(args)
	if code >= 0 {
		return code // help was asked for
	}
	if err != nil {
		fmt.Fprintf(errOut, "perennial: %v\n", err)
		return 2
	}
	w := &world{ctx: ctx, clock: clock, real: real, in: in, out: out, err: errOut, log: c.logger(errOut)}
	err = k.Run(w)
	if err == nil {
		return 0
	}
	if n, ok := errors.AsType[failed](err); ok {
		return int(n)
	}
	f := fault.As(err)
	if f.Code == "internal" {
		fmt.Fprintf(errOut, "perennial: %v\n", err)
	} else {
		fmt.Fprintf(errOut, "perennial: %s\n", f.Public)
		for _, field := range f.Fields {
			fmt.Fprintf(errOut, "  %s: %s\n", field.Pointer, field.Detail)
		}
	}
	return f.Kind.ExitCode()
}

// logger writes to standard error, as the flags say.
func (c *commands) logger(w io.Writer) *slog.Logger {
	var o slog.HandlerOptions
	level := slog.LevelInfo
	if err := level.UnmarshalText([]byte(c.LogLevel)); err == nil { // the parser knows the levels
		o.Level = level
	}
	if c.LogFormat == "text" || c.LogFormat == "auto" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, &o))
	}
	return slog.New(slog.NewJSONHandler(w, &o))
}

func version() string {
	b, ok := debug.ReadBuildInfo()
	if !ok || b.Main.Version == "" || b.Main.Version == "(devel)" {
		return "0.1-dev"
	}
	return b.Main.Version
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(w *world) error {
	zones, origin := civil.ZoneData()
	_, err := fmt.Fprintf(w.out, "perennial %s\ntime zones %s, %s\n", version(), cmp.Or(zones, "of no version"), origin)
	return err
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
