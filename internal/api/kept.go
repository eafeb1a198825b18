package api

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"perennial/internal/fault"
	"perennial/internal/journal"
	"perennial/internal/program"
)

// errKept is what refusing decides.
var errKept = fault.New(fault.Conflict, "kept", "The request was refused before it was decided.")

// refusing is the command of a request that was refused before there was one: for its fields.
type refusing struct{}

// Run refuses, so that the answer is kept like any other refusal.
func (refusing) Run(journal.Reader, time.Time) (journal.Decision, error) {
	return journal.Decision{}, errKept
}

// kept holds back a refusal that has to be kept with an Idempotency-Key and that program does not know of: the first
// answer is given again also when it says that the fields are wrong.
type kept struct {
	http.ResponseWriter
	c      *call
	status int // of the answer that is held back; 0: none is
	body   bytes.Buffer
}

// WriteHeader holds back a 409 or 422 unless program had the request.
func (k *kept) WriteHeader(status int) {
	if !k.c.decided && (status == http.StatusConflict || status == http.StatusUnprocessableEntity) {
		k.status = status
		return
	}
	k.ResponseWriter.WriteHeader(status)
}

func (k *kept) Write(b []byte) (int, error) {
	if k.status != 0 {
		return k.body.Write(b)
	}
	return k.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (k *kept) Unwrap() http.ResponseWriter { return k.ResponseWriter }

// settle keeps the answer that was held back and gives it, or the first one when there was one.
func (a *API) settle(ctx context.Context, k *kept) {
	if k.status == 0 {
		return
	}
	out, err := a.Program.Do(ctx, &program.Request{Meta: k.c.meta, Command: refusing{}, Idempotency: k.c.idempotency(a.Store.Shop),
		Again:   func(rd journal.Reader, first program.Reply) error { return a.allowedAgain(rd, k.c, route{}, first) },
		Refusal: func(error) program.Reply { return program.Reply{Status: k.status, Body: k.body.Bytes()} }})
	if err != nil && !errors.Is(err, errKept) {
		writeProblem(k.ResponseWriter, err, k.c.requestID)
		return
	}
	h := k.Header()
	status, body := k.status, k.body.Bytes()
	if err == nil {
		status, body = out.Reply.Status, out.Reply.Body
		if status < http.StatusBadRequest {
			h.Set("Content-Type", "application/json")
		}
		for name, v := range map[string]string{"ETag": out.Reply.ETag, "Location": out.Reply.Location} {
			if v != "" {
				h.Set(name, v)
			}
		}
	}
	k.ResponseWriter.WriteHeader(status)
	_, _ = k.ResponseWriter.Write(body) // a client that went away
}
