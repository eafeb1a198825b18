package kinds

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/message"
	"perennial/internal/settings"
	"perennial/internal/team"
)

// Undo puts back what one event changed, as a new event that names it, and with it what else its command changed because of it. It
// is a command like any other.
type Undo struct {
	Event id.ID
	Actor journal.Actor // who undoes it: an undo in the team gives nobody more than the actor could give by hand
}

// UndoWorld is what Undo needs: the event, what came after it on the same target, the target's state, and what the rest
// of the shop says.
type UndoWorld struct {
	Event        *journal.Event
	Later        []*journal.Event
	Current      journal.State
	General      *settings.General
	Reservations []journal.Reservation // names that move with the change
	Refusal      error                 // why the rest of the shop does not allow it; nil when it does
	Along        []UndoWorld           // entries of the same command that came of this one and are undone with it, oldest first
}

// along names the entries of a command that came of another one of it, and that mean nothing without it: who removes the default address
// has no default any more, and gets both back.
var along = map[journal.Name][]journal.Name{
	journal.AddressRemoved:              {journal.CustomerDefaultAddressChanged},
	journal.PaymentMethodRemoved:        {journal.PaymentMethodDefaultChanged, journal.PaymentMethodBackupSet},
	journal.PaymentMethodDefaultChanged: {journal.PaymentMethodBackupSet},
	// All subscriptions of a customer at once, undone with the one that was asked for. Any other of them is undone alone.
	journal.SubscriptionShippingAddressChanged: {journal.SubscriptionShippingAddressChanged},
	journal.SubscriptionPaymentMethodChanged:   {journal.SubscriptionPaymentMethodChanged},
}

func (c Undo) Load(r journal.Reader) (UndoWorld, error) {
	var w UndoWorld
	var err error
	if w.Event, w.Later, err = r.Event(c.Event); err != nil {
		return w, err
	}
	if w.Current, _, err = r.State(w.Event.Target()); err != nil {
		return w, err
	}
	if w.General, err = journal.Find[settings.General](r, journal.Settings, settings.PageGeneral); err != nil {
		return w, err
	}
	restored, _, err := without(w)
	if err != nil {
		return w, nil //nolint:nilerr // Decide meets it again, and refuses
	}
	w.Reservations, w.Refusal = c.restore(r, w, restored)
	return w, c.loadAlong(r, &w, restored)
}

// loadAlong loads what is undone along with an entry. Each is seen as it will be then, after those before it.
func (c Undo) loadAlong(r journal.Reader, w *UndoWorld, restored journal.State) error {
	after := overlay{r, map[journal.Ref]journal.State{restored.Ref(): restored}}
	types := along[w.Event.Type]
	if len(types) == 0 {
		return nil
	}
	steps := []int64{-1, 1}
	if slices.Contains(types, w.Event.Type) {
		steps = steps[1:]
	}
	for _, step := range steps {
		for seq := w.Event.Seq + step; seq >= 0; seq += step {
			e, later, err := r.Event(id.Event(w.Event.Shop, seq))
			if f := fault.As(err); f != nil && f.Kind == fault.NotFound {
				break
			}
			if err != nil {
				return err
			}
			if e.CommandID != w.Event.CommandID {
				break
			}
			if !slices.Contains(types, e.Type) {
				continue
			}
			one := UndoWorld{Event: e, Later: later, General: w.General}
			if one.Current, _, err = after.State(e.Target()); err != nil {
				return err
			}
			back, _, err := without(one)
			if err != nil {
				continue // somebody changed it since, and that stays
			}
			if one.Reservations, one.Refusal = c.restore(after, one, back); one.Refusal != nil {
				continue
			}
			after.states[back.Ref()] = back
			w.Along = append(w.Along, one)
		}
	}
	return nil
}

// overlay is a reader that sees some states as they will be.
type overlay struct {
	journal.Reader
	states map[journal.Ref]journal.State
}

func (o overlay) State(ref journal.Ref) (journal.State, bool, error) {
	if s, ok := o.states[ref]; ok {
		return s, true, nil
	}
	return o.Reader.State(ref)
}

// restore asks the rest of the shop, where a change touches more than its own row.
func (c Undo) restore(r journal.Reader, w UndoWorld, restored journal.State) ([]journal.Reservation, error) {
	if rule := Of(w.Current.Ref().Kind).Restore; rule != nil {
		return rule(r, w, c.Actor, restored)
	}
	return nil, nil
}

// Decide implements journal.Decider. It refuses with a code that says why: not_undoable, undone_already,
// changed_since, erased, or the rule's own.
func (c Undo) Decide(w UndoWorld, now time.Time) (journal.Decision, error) {
	restored, t, err := Restored(w, now)
	if err != nil {
		return journal.Decision{}, err
	}
	out := journal.Decision{Drafts: []journal.Draft{undoes(w, t, restored)}, Reservations: w.Reservations, Result: restored.Ref()}
	var stay []journal.Ref
	for _, one := range w.Along {
		ref := one.Event.Target()
		back, t, err := Restored(one, now)
		if err != nil || slices.Contains(stay, ref) { // what comes after it was seen on top of it
			stay = append(stay, ref)
			continue
		}
		d := undoes(one, t, back)
		d.CausedBy, d.CausedByDraft = "", 1
		out.Drafts, out.Reservations = append(out.Drafts, d), append(out.Reservations, one.Reservations...)
	}
	return out, nil
}

func undoes(w UndoWorld, t journal.Type, restored journal.State) journal.Draft {
	return journal.Draft{
		Type:     t.Undo,
		Before:   w.Current,
		After:    restored,
		Mentions: slices.Clone(w.Event.Targets[1:]),
		Corrects: w.Event.ID,
		CausedBy: w.Event.ID,
		Details:  detailsFor(string(t.Undo), w.Event),
	}
}

// detailsFor carries over the details that the undoing type has too, such as the date of a skipped order.
func detailsFor(undo string, e *journal.Event) any {
	t, _ := journal.Lookup(journal.Name(undo))
	var kept []journal.Detail
	for _, d := range e.Details {
		if slices.Contains(t.Details, d.Name) {
			kept = append(kept, d)
		}
	}
	if kept == nil {
		return nil
	}
	return kept
}

// Restored gives the state that an undo would come to, or the reason why there is none.
func Restored(w UndoWorld, now time.Time) (journal.State, journal.Type, error) {
	restored, t, err := without(w)
	if err != nil {
		return nil, t, err
	}
	if rule := Of(restored.Ref().Kind).Undo; rule != nil {
		err = rule(w.Event, now, w.Current, restored, w.General)
	}
	if err == nil {
		err = w.Refusal
	}
	return restored, t, err
}

// UndoneBy is the entry that undid it already; empty: none did.
func (w UndoWorld) UndoneBy() id.ID {
	for _, l := range w.Later {
		if w.Event != nil && l.Corrects == w.Event.ID {
			return l.ID
		}
	}
	return ""
}

// without gives the target's state without what the event changed. It refuses what no rule needs to be asked about.
func without(w UndoWorld) (journal.State, journal.Type, error) {
	e := w.Event
	t, ok := journal.Lookup(e.Type)
	switch {
	case !ok || !t.Undoable():
		why := t.NoUndo
		if why == "" {
			why = "This records what happened; it changed nothing that could be put back."
		}
		return nil, t, fault.New(fault.Conflict, "not_undoable", "%s", why)
	case w.Current == nil || e.TargetVersion == 1 && !builtIn(w.Current):
		return nil, t, fault.New(fault.Conflict, "not_undoable", "There is nothing before this to go back to.")
	}
	if w.UndoneBy() != "" {
		return nil, t, fault.New(fault.Conflict, "undone_already", "This was undone already.")
	}
	changes := e.Changes
	if e.TargetVersion == 1 { // of what was there before it was changed: its name, and what is so anyway, stay
		changes = slices.DeleteFunc(slices.Clone(changes), func(c journal.Change) bool { return c.Field == "name" || string(c.After) == "false" })
	}
	for _, c := range changes {
		if string(c.Before) == journal.ErasedJSON || string(c.After) == journal.ErasedJSON {
			return nil, t, fault.New(fault.Conflict, "erased", "The value before was erased.")
		}
		for _, l := range w.Later {
			for _, lc := range l.Changes {
				if overlap(c.Field, lc.Field) {
					return nil, t, fault.New(fault.Conflict, "changed_since", "A later change touched the same: %s (%s).",
						strings.ReplaceAll(lc.Root(), "_", " "), journal.Summary(l))
				}
			}
		}
	}
	restored, err := journal.Apply(w.Current, func() journal.State { ref := w.Current.Ref(); return Of(ref.Kind).Fresh(ref.ID) },
		journal.Inverse(changes))
	if err != nil {
		return nil, t, fmt.Errorf("kinds: undo %s: %w", e.ID, err)
	}
	return restored, t, nil
}

// builtIn says whether a thing is there before its first entry: a message is as the program has it until the store changes it.
func builtIn(s journal.State) bool {
	_, ok := s.(*message.Template)
	return ok
}

// overlap says whether two fields are the same or one is inside the other.
func overlap(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+".") || strings.HasPrefix(b, a+".")
}

// UndoTypes are the types of the events that an undo can make.
func UndoTypes() []journal.Name {
	var out []journal.Name
	for _, t := range journal.Types() {
		if t.Undoable() && !slices.Contains(out, t.Undo) {
			out = append(out, t.Undo)
		}
	}
	return out
}

// UndoPermissions are what it takes to undo an event: first the one for changing what it is about.
func UndoPermissions(e *journal.Event) []team.Permission {
	t, _ := journal.Lookup(e.Type)
	p := Editing(e.Target())
	if t.Log == journal.ActivityLog && p != team.ActivityLogEdit {
		return []team.Permission{p, team.ActivityLogEdit}
	}
	return []team.Permission{p}
}

// Editing is the permission for changing a thing by hand. Of what nobody changes by hand it is that of the activity log, and the undo is
// refused for its own reason then.
func Editing(ref journal.Ref) team.Permission {
	if edit := Of(ref.Kind).Edit; edit != nil {
		return edit(ref.ID)
	}
	return team.ActivityLogEdit
}
