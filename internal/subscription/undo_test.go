package subscription

import (
	"testing"
	"time"

	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
)

// undo puts back what an event changed, unless something later touched the same: program's part, without its words.
type undo struct{ event id.ID }

func (u undo) Run(r journal.Reader, now time.Time) (journal.Decision, error) {
	e, later, err := r.Event(u.event)
	if err != nil {
		return journal.Decision{}, err
	}
	for _, l := range later {
		for _, c := range l.Changes {
			for _, mine := range e.Changes {
				if c.Root() == mine.Root() {
					return journal.Decision{}, fault.New(fault.Conflict, "changed_since", "A later change touched the same.")
				}
			}
		}
	}
	current, _, err := r.State(e.Target())
	if err != nil {
		return journal.Decision{}, err
	}
	restored, err := journal.Apply(current, fresh[Subscription](""), journal.Inverse(e.Changes))
	if err != nil {
		return journal.Decision{}, err
	}
	general, err := journal.Get[settings.General](r, journal.Settings, settings.PageGeneral)
	if err != nil {
		return journal.Decision{}, err
	}
	if err := Undo(e, now, current, restored, general); err != nil {
		return journal.Decision{}, err
	}
	t, _ := journal.Lookup(e.Type)
	return journal.Decision{Drafts: []journal.Draft{{Type: t.Undo, Before: current, After: restored, Corrects: e.ID}}, Result: current.Ref()}, nil
}

// lastOf is the undo of the last event of the subscription of a type.
func (s *shop) lastOf(typ string) undo {
	s.t.Helper()
	for i := len(s.Events) - 1; i >= 0; i-- {
		if e := s.Events[i]; string(e.Type) == typ && e.Target().ID == "sub_1" {
			return undo{e.ID}
		}
	}
	s.t.Fatalf("no %s", typ)
	return undo{}
}

// TestUndo undoes every action that can be undone, at once, and comes back to where it was.
func TestUndo(t *testing.T) {
	all := commands()
	for _, c := range []journal.Command{journal.Bind(Skip{ID: "sub_1", Date: dateP("2027-04-28")}), moveAll("2027-02-20"), every(civil.Day, 3)} {
		testUndo(t, Active, c)
	}
	for action, r := range rules {
		switch action {
		case ActionMerge, ActionSplit, ActionOrderNow, ActionUnskip:
			continue
		}
		for _, status := range r.from {
			// An entry of a subscription that has ended can only be about its notes; and what a failed payment was given
			// up for stays given up.
			if status == Failed && (action == ActionPause || action == ActionCancel) {
				continue
			}
			t.Run(string(status)+"/"+string(action), func(t *testing.T) { testUndo(t, status, all[action]) })
		}
	}
	t.Run("unskip", func(t *testing.T) { testUndo(t, Active, unskip("2027-03-28")) })
	t.Run("remove a discount", func(t *testing.T) { testUndo(t, Paused, journal.Bind(RemoveDiscount{ID: "sub_1", Code: "FIVER"})) })
}

func testUndo(t *testing.T, status Status, c journal.Command) {
	t.Helper()
	s := started(t, "2027-02-28")
	s.do(journal.Bind(AddItem{ID: "sub_1", Item: NewItem{ID: "item_0", VariantID: "var_3", Quantity: 1}}))
	s.do(skip(dateP("2027-03-28")))
	s.do(apply("FIVER"))
	s.in(status)
	before := s.sub("sub_1")
	_, events, err := s.try(c)
	if err != nil {
		t.Fatal(err)
	}
	s.do(undo{events[0].ID})
	if changes, err := journal.Diff(before, s.sub("sub_1")); err != nil || len(changes) > 0 {
		t.Errorf("not as before: %v %v", changes, err)
	}
}

func TestUndoRefused(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps func(*shop)
		typ   string
		want  string
	}{
		{"a renewal", func(s *shop) { s.bill("sub_1") }, "subscription.renewed", "not_undoable"},
		{"a skip whose day has passed", func(s *shop) {
			s.do(skip(nil))
			s.day = date("2027-02-01")
		}, "subscription.order_skipped", "undo_date_passed"},
		{"a skip that the next order has gone past", func(s *shop) {
			s.do(skip(dateP("2027-02-28")))
			s.do(skip(nil))
		}, "subscription.order_skipped", "changed_since"},
		{"a later skip that was passed by billing", func(s *shop) {
			s.do(skip(dateP("2027-02-28")))
			s.day = date("2027-01-31")
			s.bill("sub_1")
		}, "subscription.order_skipped", "undo_date_passed"},
		{"a pause whose order has passed", func(s *shop) {
			s.in(Paused)
			s.day = date("2027-02-01")
		}, "subscription.paused", "undo_date_passed"},
		{"a resume of a pause that is over", func(s *shop) {
			s.do(journal.Bind(Pause{ID: "sub_1", Until: dateP("2027-01-20")}))
			s.day = date("2027-01-20")
			s.do(journal.Bind(ResumeDue{ID: "sub_1"}))
		}, "subscription.resumed", "undo_date_passed"},
		{"a pause of a failed payment", func(s *shop) { s.in(Failed).in(Paused) }, "subscription.paused", "undo_payment_failed"},
		{"an item of a cancelled subscription", func(s *shop) {
			s.do(journal.Bind(ChangeItem{ID: "sub_1", ItemID: "item_1", Quantity: new(2)}))
			s.in(Cancelled)
		}, "subscription.item_quantity_changed", "status_cancelled"},
		{"an item that is the last one by now", func(s *shop) {
			s.do(journal.Bind(AddItem{ID: "sub_1", Item: NewItem{ID: "item_2", VariantID: "var_2", Quantity: 1}}))
			last := journal.Clone(s.sub("sub_1"))
			last.Items = last.Items[1:]
			s.States[last.Ref()] = last
		}, "subscription.item_added", "undo_last_item"},
		{"an erased subscription", func(s *shop) {
			s.in(Cancelled)
			gone := journal.Clone(s.sub("sub_1"))
			journal.Erase(gone)
			s.States[gone.Ref()] = gone
		}, "subscription.cancelled", "erased"},
		{"what does not fit any more", func(s *shop) {
			s.in(Paused)
			late := journal.Clone(s.sub("sub_1"))
			late.LastBillingDate = dateP("2027-01-31")
			s.States[late.Ref()] = late
		}, "subscription.paused", "undo_not_allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := started(t, "2027-01-31")
			tt.steps(s)
			first := s.lastOf(tt.typ)
			if tt.want == "changed_since" {
				for _, e := range s.Events {
					if string(e.Type) == tt.typ {
						first = undo{e.ID}
						break
					}
				}
			}
			equal(t, "refused", s.refused(first), []string{tt.want})
		})
	}
}
