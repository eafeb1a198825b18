package cli

import (
	"context"
	"io"
	"net/http"
	"time"

	"perennial/internal/fault"
)

type readyCommand struct {
	Address string `help:"Where the server listens." default:"127.0.0.1:8080" placeholder:"ADDR"`
}

// Run asks /readyz, for health checks where there is no curl.
func (c readyCommand) Run(w *world) error {
	ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Address+"/readyz", nil)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "address", "The address %s cannot be asked.", c.Address)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "no_answer", "Nothing answers at %s.", c.Address)
	}
	defer res.Body.Close()
	if _, err := io.Copy(w.out, io.LimitReader(res.Body, 64<<10)); err != nil {
		return fault.Wrap(err, fault.Unavailable, "no_answer", "The answer of %s was cut.", c.Address)
	}
	if res.StatusCode != http.StatusOK {
		return failed(1)
	}
	return nil
}
