// Package fault is the one error type of the program. It has a kind, which one table maps to HTTP and one to exit codes,
// a sentence for people, and a private cause that no client sees: a face shows Code, Public and Fields, and only logs
// show Error().
package fault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Kind says what sort of failure it is. The zero Kind is Internal.
type Kind uint8

// The kinds.
const (
	Internal        Kind = iota // a defect or a broken machine
	Malformed                   // the request cannot be read
	Unauthenticated             // nobody is known
	Forbidden                   // somebody is known and may not
	NotFound                    // no such thing in this shop
	Conflict                    // not allowed in this state
	Gone                        // it was erased
	Stale                       // it was changed in the meantime
	TooLarge                    // the request has too many bytes
	Refused                     // fields that cannot be accepted
	TooMany                     // too many requests; try again later
	Unavailable                 // not now; try again
)

var statuses = [...]int{
	Internal: http.StatusInternalServerError, Malformed: http.StatusBadRequest, Unauthenticated: http.StatusUnauthorized,
	Forbidden: http.StatusForbidden, NotFound: http.StatusNotFound, Conflict: http.StatusConflict, Gone: http.StatusGone,
	Stale: http.StatusPreconditionFailed, TooLarge: http.StatusRequestEntityTooLarge, Refused: http.StatusUnprocessableEntity,
	TooMany: http.StatusTooManyRequests, Unavailable: http.StatusServiceUnavailable,
}

var exitCodes = [...]int{
	Internal: 2, Malformed: 2, Unauthenticated: 2, Forbidden: 2, NotFound: 2, Conflict: 1, Gone: 1, Stale: 1, TooLarge: 2, Refused: 1,
	TooMany: 2, Unavailable: 2,
}

// known is the kind itself, Internal when there is no such kind.
func (k Kind) known() Kind {
	if k > Unavailable {
		return Internal
	}
	return k
}

// HTTPStatus is the status of an answer, 400 to 503.
func (k Kind) HTTPStatus() int { return statuses[k.known()] }

// ExitCode is the exit code of a command: 1 when what was asked does not hold, 2 when it could not be run. It is never 0.
func (k Kind) ExitCode() int { return exitCodes[k.known()] }

// Field says what is wrong with one field of a request.
type Field struct {
	Pointer string // JSON pointer (RFC 6901)
	Reason
}

// Error is a failure.
type Error struct {
	Kind       Kind
	Code       string        // stable, snake_case, for programs
	Public     string        // a sentence for people, which may leave the program
	Args       Args          // what the sentence names, for those who say it in other words
	Fields     []Field       // what is wrong with each field; only of Refused
	RetryAfter time.Duration // when to try again, of TooMany and Unavailable; 0: the face says
	Cause      error         // private: for logs alone; may be nil
}

// Error is the whole failure with its private cause, for logs.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Code, e.Public)
	for _, f := range e.Fields {
		fmt.Fprintf(&b, " %s: %s", f.Pointer, f.Detail)
	}
	if e.Cause != nil {
		fmt.Fprintf(&b, " (%v)", e.Cause)
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New makes a failure without a cause. The format makes the public sentence.
func New(k Kind, code, format string, args ...any) *Error {
	return &Error{Kind: k, Code: code, Public: fmt.Sprintf(format, args...)}
}

// Wrap makes a failure of a private cause. The format makes the public sentence, so the cause is not among its arguments.
func Wrap(cause error, k Kind, code, format string, args ...any) *Error {
	return &Error{Kind: k, Code: code, Public: fmt.Sprintf(format, args...), Cause: cause}
}

// With fills the places of the public sentence that are named in braces, and keeps what fills them: pairs are names and values in turn.
func (e *Error) With(pairs ...any) *Error {
	args := argsOf(pairs)
	e.Public, e.Args = args.fill(e.Public), append(e.Args, args...)
	return e
}

const (
	internalCode     = "internal"
	internalSentence = "Something went wrong here."
)

// As gives any error as a failure: the outermost of its chain, whatever Trail put in front of it. Another error becomes
// Unavailable when a context ended it, else Internal, with a sentence that gives nothing away and the error as its cause.
// As(nil) is nil, of type *Error: do not return it as an error.
func As(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		if e == nil { // a defect, and an error whose methods would panic
			return Wrap(errors.New("fault: a nil *Error was given as an error"), Internal, internalCode, internalSentence)
		}
		return e
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Wrap(err, Unavailable, "cancelled", "The request was given up before it was done.")
	}
	return Wrap(err, Internal, internalCode, internalSentence)
}

// Fields gathers everything that is wrong with a request, so that all wrong fields are reported together. The zero Fields
// is ready to use.
type Fields struct{ list []Field }

// Add says what is wrong with the field at a pointer (see Pointer), as Because does.
func (f *Fields) Add(pointer, code, sentence string, pairs ...any) {
	f.Refuse(pointer, Because(code, sentence, pairs...))
}

// Refuse says why the value at a pointer is refused.
func (f *Fields) Refuse(pointer string, why *Reason) { f.list = append(f.list, Field{pointer, *why}) }

// Err gives all fields, in the order of Add, as one Refused failure with the code "fields_refused"; nil when there are
// none.
func (f *Fields) Err() error {
	if len(f.list) == 0 {
		return nil
	}
	e := New(Refused, "fields_refused", "Some fields cannot be accepted.")
	if len(f.list) == 1 {
		e.Public = "One field cannot be accepted."
	}
	e.Fields = f.list
	return e
}

// Pointer builds a JSON pointer (RFC 6901) from names and indexes: Pointer("items", 0, "a/b") is "/items/0/a~1b". No parts
// give "", the whole document.
func Pointer(parts ...any) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteByte('/')
		b.WriteString(escape.Replace(fmt.Sprint(p)))
	}
	return b.String()
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")

// Trail puts a call in front of an error, for use with defer, so that a log reads as the calls that led there:
//
//	func (s *Store) Load(key id.ID) (err error) {
//		defer fault.Trail(&err, "store.Load(%s)", key)
//
// A nil error stays nil, and As finds a failure behind any number of trails. The arguments are those of the deferral's
// moment.
func Trail(err *error, format string, args ...any) {
	if *err != nil {
		*err = fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), *err)
	}
}
