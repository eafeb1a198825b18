package torture

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"perennial/internal/cli"
)

// What a server of a scenario is told by its environment.
const (
	argsVariable  = "PERENNIAL_TORTURE_ARGS"  // be the program, with these arguments
	clockVariable = "PERENNIAL_TORTURE_CLOCK" // a file that says how far the clock is off
	powerVariable = "PERENNIAL_TORTURE_POWER" // what is not flushed is remembered in this folder, see power.go
	syncVariable  = "PERENNIAL_TORTURE_SYNC"  // the embedded database's synchronous
)

// Program lets a binary be the program too, so that a real process can be killed: when the environment says so it serves
// and does not return. It is the same command line that cmd/perennial runs, on ground that can be shaken.
func Program() {
	args := os.Getenv(argsVariable)
	if args == "" {
		return
	}
	clock := time.Now
	if path := os.Getenv(clockVariable); path != "" {
		clock = func() time.Time { return time.Now().Add(offset(path)) }
	}
	if err := shake(os.Getenv(powerVariable), os.Getenv(syncVariable)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(CouldNot)
	}
	os.Exit(cli.RunAt(clock, strings.Split(args, "\n"), os.Stdin, os.Stdout, os.Stderr))
}

// offset is how far the clock is off. The file is replaced as a whole, so that it is never half written.
func offset(path string) time.Duration {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	d, perr := time.ParseDuration(string(b))
	if err != nil || perr != nil {
		panic(fmt.Sprintf("torture: the clock's offset: %v, %v", err, perr))
	}
	return d
}
