package auth

import "time"

// Strangers bounds what people who have shown nothing yet can make the program write, whichever form of whichever face they send: rows of
// codes, forms and challenges, and the entries about them. The limits of signing in let some of it through each second; this one holds over
// days.
type Strangers struct{ each, all Quota }

const (
	strangerWrites  = 120 // of one network at once
	strangerEvery   = 20 * time.Second
	strangersWrites = 3_000 // of all of them at once
	strangersEvery  = time.Second / 2
)

// NewStrangers makes the bound, which nobody has used. One is for all faces.
func NewStrangers() *Strangers {
	return &Strangers{each: Quota{Burst: strangerWrites, Every: strangerEvery}, all: Quota{Burst: strangersWrites, Every: strangersEvery}}
}

// Admit counts a request that will be written about. refused, which is more than zero when it is one too many, is when to try again.
func (s *Strangers) Admit(network string, now time.Time) (refused time.Duration) {
	if refused = s.each.Take(network, now); refused > 0 {
		return refused
	}
	return s.all.Take("", now)
}
