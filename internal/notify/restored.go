package notify

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"perennial/internal/id"
	"perennial/internal/program"
	"perennial/internal/store"
)

// upcomingCause begins the cause of a message about an order to come.
const upcomingCause = "upcoming "

// LeaveOut drops what a restored copy had still to send of causes before a time, and looks at no entry before it: all that may have been
// sent by the database that is lost. What people did while the copy was held up is sent. It gives how many messages are left out.
func LeaveOut(ctx context.Context, p *program.Program, s *store.Store, before time.Time) (left int64, err error) {
	var gone []store.Posted
	for after := id.ID(""); ; {
		waiting, forged, err := s.WaitingPosts(ctx, s.Read, after, page)
		if err != nil {
			return 0, err
		}
		for _, m := range waiting {
			if m.ID < id.First(id.Message, before) || strings.HasPrefix(m.Cause, upcomingCause) { // which is dated by its order
				gone = append(gone, m)
			}
		}
		for _, m := range append(waiting, forged...) {
			after = max(after, m.ID)
		}
		if len(waiting)+len(forged) < page {
			break
		}
	}
	for i := range gone {
		var what note
		if err := json.Unmarshal([]byte(gone[i].Body), &what); err != nil {
			return 0, err
		}
		what.Secret = ""
		gone[i].State, gone[i].Body = store.PostDropped, what.body()
	}
	f, how, err := s.Followed(ctx, s.Read)
	if err != nil {
		return 0, err
	}
	next, err := s.SeqAt(ctx, s.Read, before)
	if err != nil {
		return 0, store.Fault(err)
	}
	return int64(len(gone)), p.Upkeep(ctx, func(b *store.Batch) error {
		var errs []error
		for _, m := range gone {
			errs = append(errs, b.Repost(m))
		}
		if how == store.FollowingGenuine && f.Next < next {
			errs = append(errs, b.Follow(store.Following{Next: next, Since: next, SinceAt: f.SinceAt}))
		}
		return errors.Join(errs...)
	})
}
