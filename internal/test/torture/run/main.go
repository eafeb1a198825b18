// Command run is the crash suite as a program: make torture.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"perennial/internal/test/torture"
)

func main() {
	torture.Program()
	o := torture.Options{Log: os.Stdout}
	flag.Uint64Var(&o.Seed, "seed", uint64(time.Now().UnixNano()), "what chance decides, to repeat a run as far as time allows")
	flag.BoolVar(&o.Short, "short", false, "the form of go test")
	flag.StringVar(&o.Only, "only", "", "only the scenarios whose name contains this")
	flag.StringVar(&o.Program, "program", "", "the perennial to test")
	flag.StringVar(&o.Dir, "dir", "", "keep the data in this folder")
	file := flag.String("json", "", "write the figures to this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Printf("seed %d\n", o.Seed)
	r := torture.Run(ctx, o)
	fmt.Print("\n", r)
	code := r.ExitCode()
	if *file != "" {
		b, err := json.MarshalIndent(r, "", "  ")
		if err == nil {
			err = os.WriteFile(*file, b, 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, torture.CouldNot)
		}
	}
	os.Exit(code)
}
