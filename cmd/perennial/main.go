// Command perennial is a self-hosted subscription program.
package main

import (
	"os"

	"perennial/internal/cli"
)

func main() { os.Exit(cli.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
