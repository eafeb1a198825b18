package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"perennial/internal/fault"
)

func TestKinds(t *testing.T) {
	tests := []struct {
		kind         fault.Kind
		status, exit int
	}{
		{fault.Internal, 500, 2},
		{fault.Malformed, 400, 2},
		{fault.Unauthenticated, 401, 2},
		{fault.Forbidden, 403, 2},
		{fault.NotFound, 404, 2},
		{fault.Conflict, 409, 1},
		{fault.Gone, 410, 1},
		{fault.Stale, 412, 1},
		{fault.TooLarge, 413, 2},
		{fault.Refused, 422, 1},
		{fault.TooMany, 429, 2},
		{fault.Unavailable, 503, 2},
		{fault.Unavailable + 1, 500, 2}, // no kind
		{255, 500, 2},
	}
	for i, tt := range tests {
		if i <= int(fault.Unavailable) && int(tt.kind) != i {
			t.Errorf("row %d is of kind %d: the table leaves a kind out", i, tt.kind)
		}
		if got := tt.kind.HTTPStatus(); got != tt.status {
			t.Errorf("HTTPStatus of %d: got %d, want %d", tt.kind, got, tt.status)
		}
		if got := tt.kind.ExitCode(); got != tt.exit {
			t.Errorf("ExitCode of %d: got %d, want %d", tt.kind, got, tt.exit)
		}
	}
}

func TestAs(t *testing.T) {
	secret := errors.New("pq: password of user perennial is hunter2")
	paused := fault.New(fault.Conflict, "status_paused", "The subscription is paused, so %s.", "it cannot be skipped")
	hidden := fault.Wrap(secret, fault.Unavailable, "database_away", "The database is away.")
	internal := &fault.Error{Kind: fault.Internal, Code: "internal", Public: "Something went wrong here."}
	cancelled := &fault.Error{Kind: fault.Unavailable, Code: "cancelled", Public: "The request was given up before it was done."}
	var none *fault.Error
	tests := []struct {
		name string
		err  error
		want *fault.Error // without its cause
	}{
		{"nil", nil, nil},
		{"a failure", paused, paused},
		{"behind trails", fmt.Errorf("program.Do: %w", fmt.Errorf("Decide: %w", paused)), paused},
		{"joined", errors.Join(io.EOF, paused), paused},
		{"the outermost", fault.Wrap(hidden, fault.NotFound, "unknown", "There is none."), &fault.Error{Kind: fault.NotFound, Code: "unknown", Public: "There is none."}},
		{"of a cancelled context, but said so", fault.Wrap(context.Canceled, fault.TooMany, "busy", "Too busy."), &fault.Error{Kind: fault.TooMany, Code: "busy", Public: "Too busy."}},
		{"another error", secret, internal},
		{"cancelled", fmt.Errorf("query: %w", context.Canceled), cancelled},
		{"too late", fmt.Errorf("query: %w", context.DeadlineExceeded), cancelled},
		{"a failure that is none", none, internal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := fault.As(tt.err)
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(fault.Error{}, "Cause")); diff != "" {
				t.Error(diff)
			}
			if tt.err == secret && got.Cause != secret {
				t.Errorf("cause: got %v, want %v", got.Cause, secret)
			}
			if tt.err != nil && got.Error() == "" { // and it does not panic
				t.Error("nothing for the log")
			}
		})
	}
}

func TestTheCauseIsForLogsAlone(t *testing.T) {
	secret := errors.New("hunter2")
	err := fault.Wrap(secret, fault.Refused, "fields_refused", "Some fields cannot be accepted.")
	err.Fields = []fault.Field{{"/email", *fault.Because("email_invalid", "This is not an e-mail address.")}}
	const want = "fields_refused: Some fields cannot be accepted. /email: This is not an e-mail address. (hunter2)"
	if got := err.Error(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if strings.Contains(err.Public, "hunter2") {
		t.Errorf("the public sentence is %q", err.Public)
	}
	if !errors.Is(err, secret) {
		t.Error("the cause cannot be found in the chain")
	}
	if got, want := fault.New(fault.NotFound, "unknown", "None of 100%%.").Error(), "unknown: None of 100%."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFields(t *testing.T) {
	var f fault.Fields
	if err := f.Err(); err != nil { // and not a typed nil
		t.Errorf("no fields: got %v", err)
	}
	f.Add("/email", "email_invalid", "This is not an e-mail address.")
	if got, want := fault.As(f.Err()).Public, "One field cannot be accepted."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	f.Add(fault.Pointer("items", 0, "quantity"), "too_many", "At most {most}.", "most", 99)
	want := &fault.Error{Kind: fault.Refused, Code: "fields_refused", Public: "Some fields cannot be accepted.",
		Fields: []fault.Field{{"/email", fault.Reason{Code: "email_invalid", Detail: "This is not an e-mail address."}},
			{"/items/0/quantity", fault.Reason{Code: "too_many", Detail: "At most 99.", Args: fault.Args{{Name: "most", Value: 99}}}}}}
	if diff := cmp.Diff(want, fault.As(f.Err())); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"most": "99"}, want.Fields[1].Args.Map()); diff != "" {
		t.Error(diff)
	}
}

// TestPointer has the examples of RFC 6901, section 5.
func TestPointer(t *testing.T) {
	tests := []struct {
		parts []any
		want  string
	}{
		{nil, ""},
		{[]any{"foo"}, "/foo"},
		{[]any{"foo", 0}, "/foo/0"},
		{[]any{""}, "/"},
		{[]any{"a/b"}, "/a~1b"},
		{[]any{"c%d"}, "/c%d"},
		{[]any{`k"l`}, `/k"l`},
		{[]any{" "}, "/ "},
		{[]any{"m~n"}, "/m~0n"},
		{[]any{"~1"}, "/~01"},
	}
	for _, tt := range tests {
		if got := fault.Pointer(tt.parts...); got != tt.want {
			t.Errorf("Pointer(%q): got %q, want %q", tt.parts, got, tt.want)
		}
	}
}

func TestTrail(t *testing.T) {
	inner := func(fail error) (err error) {
		defer fault.Trail(&err, "store.Load(%s)", "sub_1")
		return fail
	}
	outer := func(fail error) (err error) {
		defer fault.Trail(&err, "program.Do")
		return inner(fail)
	}
	if err := outer(nil); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	gone := &fault.Error{Kind: fault.Unavailable, Code: "busy", Public: "Later.", RetryAfter: time.Second}
	err := outer(gone)
	if got, want := err.Error(), "program.Do: store.Load(sub_1): busy: Later."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if fault.As(err) != gone {
		t.Errorf("As: got %v", fault.As(err))
	}
	if !errors.Is(outer(io.EOF), io.EOF) {
		t.Error("io.EOF cannot be found in the chain")
	}
}
