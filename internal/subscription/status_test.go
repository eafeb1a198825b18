package subscription

import (
	"os"
	"slices"
	"strings"
	"testing"

	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
)

// commands is one valid call of every action.
func commands() map[Action]journal.Command {
	soon := dateP("2027-02-20")
	return map[Action]journal.Command{
		ActionPause:               journal.Bind(Pause{ID: "sub_1"}),
		ActionResume:              journal.Bind(Resume{ID: "sub_1"}),
		ActionSkip:                journal.Bind(Skip{ID: "sub_1"}),
		ActionUnskip:              journal.Bind(Unskip{ID: "sub_1", Date: date("2027-03-31")}),
		ActionReschedule:          journal.Bind(Reschedule{ID: "sub_1", Date: *soon}),
		ActionFrequency:           journal.Bind(ChangeFrequency{ID: "sub_1", Interval: civil.Week, IntervalCount: 2}),
		ActionCancel:              journal.Bind(Cancel{ID: "sub_1", Reason: "moving"}),
		ActionReactivate:          journal.Bind(Reactivate{ID: "sub_1"}),
		ActionAddItem:             journal.Bind(AddItem{ID: "sub_1", Item: NewItem{ID: "item_2", VariantID: "var_2", Quantity: 1}}),
		ActionChangeQuantity:      journal.Bind(ChangeItem{ID: "sub_1", ItemID: "item_1", Quantity: new(2)}),
		ActionChangePrice:         journal.Bind(ChangeItem{ID: "sub_1", ItemID: "item_1", UnitPrice: new(usd(900))}),
		ActionSwapItem:            journal.Bind(SwapItem{ID: "sub_1", ItemID: "item_1", VariantID: "var_2"}),
		ActionRemoveItem:          journal.Bind(RemoveItem{ID: "sub_1", ItemID: "item_0"}),
		ActionShippingAddress:     journal.Bind(ChangeShippingAddress{ID: "sub_1", AddressID: "addr_2"}),
		ActionPaymentMethod:       journal.Bind(ChangePaymentMethod{ID: "sub_1", PaymentMethodID: "pm_3"}),
		ActionBackupPaymentMethod: journal.Bind(ChangeBackupPaymentMethod{ID: "sub_1", PaymentMethodID: "pm_3"}),
		ActionDeliveryPrice:       journal.Bind(ChangeDeliveryPrice{ID: "sub_1", Price: usd(0)}),
		ActionDiscount:            journal.Bind(ApplyDiscount{ID: "sub_1", Code: "ten"}),
		ActionGift:                journal.Bind(GiftOrder{ID: "sub_1", Date: date("2027-02-28"), Address: recipient}),
		ActionNote:                journal.Bind(ChangeNote{ID: "sub_1", Note: "leave at the door"}),
		ActionAttributes:          journal.Bind(ChangeAttributes{ID: "sub_1", Attributes: map[string]string{"colour": "blue"}}),
		ActionMerge:               journal.Bind(Merge{ID: "sub_1", Into: "sub_2", ItemIDs: []id.ID{"item_a", "item_b"}}),
		ActionSplit:               journal.Bind(Split{ID: "sub_1", NewID: "sub_9", ItemIDs: []id.ID{"item_0"}}),
	}
}

// TestStatuses tries every action from every status, against the table of the API's contract.
func TestStatuses(t *testing.T) {
	allowed := map[Action][]Status{
		ActionPause: {Active, Failed}, ActionResume: {Paused}, ActionSkip: {Active}, ActionUnskip: {Active}, ActionReschedule: {Active},
		ActionFrequency: {Active, Paused}, ActionOrderNow: {Active}, ActionCancel: {Active, Paused, Failed}, ActionReactivate: {Cancelled},
		ActionAddItem: {Active, Paused}, ActionChangeQuantity: {Active, Paused}, ActionChangePrice: {Active, Paused}, ActionSwapItem: {Active, Paused},
		ActionRemoveItem: {Active, Paused}, ActionShippingAddress: {Active, Paused, Failed}, ActionPaymentMethod: {Active, Paused, Failed},
		ActionBackupPaymentMethod: {Active, Paused, Failed}, ActionDeliveryPrice: {Active, Paused}, ActionDiscount: {Active, Paused},
		ActionGift: {Active}, ActionNote: always, ActionAttributes: always, ActionMerge: {Active}, ActionSplit: {Active},
	}
	equal(t, "number of actions", len(rules), len(allowed))
	for _, status := range always {
		base := started(t, "2027-02-28")
		base.do(journal.Bind(Create{ID: "sub_2", CustomerID: "cus_1", Items: []NewItem{{ID: "item_x", VariantID: "var_1", Quantity: 1}}, BillingPolicy: &monthly}))
		base.do(journal.Bind(AddItem{ID: "sub_1", Item: NewItem{ID: "item_0", VariantID: "var_3", Quantity: 1}}))
		base.do(journal.Bind(Reschedule{ID: "sub_1", Date: date("2027-02-28"), NewRhythm: true}))
		base.do(journal.Bind(Skip{ID: "sub_1", Date: dateP("2027-03-28")}))
		base.in(status)
		all := commands()
		all[ActionUnskip] = journal.Bind(Unskip{ID: "sub_1", Date: date("2027-03-28")})
		all[ActionOrderNow] = drafts(func() ([]journal.Draft, error) {
			d, err := OrderedNow(base.sub("sub_1"), "ord_2")
			return []journal.Draft{d}, err
		})
		for action, command := range all {
			t.Run(string(status)+"/"+string(action), func(t *testing.T) {
				// Decided, but not applied: each action meets the same subscription.
				_, err := command.Run(base, base.now())
				if slices.Contains(allowed[action], status) {
					if err != nil {
						t.Errorf("refused: %v", err)
					}
					return
				}
				quiet := *base
				quiet.t = t
				equal(t, "code", quiet.refused(command), []string{"status_" + string(status)})
			})
		}
	}
}

// TestSubscriberActions sees to it that what settings call an action is one here.
func TestSubscriberActions(t *testing.T) {
	for _, name := range settings.PortalActions() {
		if _, ok := rules[Action(name)]; !ok {
			t.Errorf("the portal allows %q, which is no action", name)
		}
	}
}

// TestStatusTableDocumented compares the table of the documentation with the rules.
func TestStatusTableDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/billing-rules.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(doc), "## What may be done from which status\n")
	if !ok {
		t.Fatal("no such section")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	got := map[Action][]Status{}
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 2+1+len(always) || !strings.Contains(cells[1], "`") {
			continue
		}
		for name := range strings.SplitSeq(cells[1], ",") {
			action := Action(strings.Trim(name, " `"))
			got[action] = []Status{}
			for i, status := range always {
				if strings.TrimSpace(cells[2+i]) == "yes" {
					got[action] = append(got[action], status)
				}
			}
		}
	}
	want := map[Action][]Status{}
	for a, r := range rules {
		for _, status := range always {
			if slices.Contains(r.from, status) {
				want[a] = append(want[a], status)
			}
		}
	}
	equal(t, "table", got, want)
}
