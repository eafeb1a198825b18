package journal

import (
	"fmt"
	"time"
)

// Time is an instant as the journal and the API write it: RFC 3339 in UTC with exactly six fractional digits. Nullable
// times are *Time.
type Time struct{ time.Time }

// At makes a Time of t, truncated to microseconds.
func At(t time.Time) Time { return Time{Truncate(t)} }

// AtPtr is At as a pointer, for a nullable field.
func AtPtr(t time.Time) *Time { return new(At(t)) }

// MarshalJSON writes the only form.
func (t Time) MarshalJSON() ([]byte, error) {
	return t.UTC().AppendFormat(nil, `"`+TimeLayout+`"`), nil
}

// UnmarshalJSON reads the only form.
func (t *Time) UnmarshalJSON(b []byte) error {
	v, err := time.Parse(`"`+TimeLayout+`"`, string(b))
	if err != nil {
		return fmt.Errorf("not a time of the form %s: %w", TimeLayout, err)
	}
	*t = Time{v}
	return nil
}
