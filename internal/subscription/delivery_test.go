package subscription

import (
	"testing"

	"perennial/internal/catalog"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
)

func TestShippingAddressForAll(t *testing.T) {
	s := started(t, "2027-01-31")
	for _, c := range []struct{ key, customer string }{{"sub_2", "cus_1"}, {"sub_3", "cus_1"}, {"sub_4", "cus_2"}} {
		s.do(journal.Bind(Create{ID: id.ID(c.key), CustomerID: id.ID(c.customer), Items: []NewItem{{ID: "item_1", VariantID: "var_1", Quantity: 1}}, BillingPolicy: &monthly}))
	}
	s.do(journal.Bind(Cancel{ID: "sub_3"}))
	_, events, err := s.try(journal.Bind(ChangeShippingAddress{ID: "sub_1", AddressID: "addr_2", AllSubscriptions: true}))
	if err != nil {
		t.Fatal(err)
	}
	var targets []id.ID
	for _, e := range events {
		targets = append(targets, e.Target().ID)
		equal(t, "mentions", e.Targets[1:], []journal.Ref{{Kind: journal.Customer, ID: "cus_1"}, {Kind: journal.Address, ID: "addr_2"}})
	}
	equal(t, "open subscriptions of the customer", targets, []id.ID{"sub_1", "sub_2"})
	equal(t, "again is nothing", s.do(journal.Bind(ChangeShippingAddress{ID: "sub_1", AddressID: "addr_2", AllSubscriptions: true})), nil)
	equal(t, "alone", s.do(journal.Bind(ChangeShippingAddress{ID: "sub_1", AddressID: "addr_1"})), []string{"subscription.shipping_address_changed"})
}

func TestPaymentMethodForAll(t *testing.T) {
	s := started(t, "2027-01-31")
	for _, c := range []struct{ key, customer string }{{"sub_2", "cus_1"}, {"sub_3", "cus_1"}, {"sub_4", "cus_2"}} {
		s.do(journal.Bind(Create{ID: id.ID(c.key), CustomerID: id.ID(c.customer), Items: []NewItem{{ID: "item_1", VariantID: "var_1", Quantity: 1}}, BillingPolicy: &monthly}))
	}
	s.do(journal.Bind(Cancel{ID: "sub_3"}))
	_, events, err := s.try(journal.Bind(ChangePaymentMethod{ID: "sub_1", PaymentMethodID: "pm_3", AllSubscriptions: true}))
	if err != nil {
		t.Fatal(err)
	}
	var targets []id.ID
	for _, e := range events {
		targets = append(targets, e.Target().ID)
		equal(t, "mentions", e.Targets[1:], []journal.Ref{{Kind: journal.Customer, ID: "cus_1"}, {Kind: journal.PaymentMethod, ID: "pm_3"}})
	}
	equal(t, "open subscriptions of the customer", targets, []id.ID{"sub_1", "sub_2"})
	equal(t, "again is nothing", s.do(journal.Bind(ChangePaymentMethod{ID: "sub_1", PaymentMethodID: "pm_3", AllSubscriptions: true})), nil)
}

func TestDeliveryAndPayment(t *testing.T) {
	s := started(t, "2027-01-31")
	equal(t, "the customer's default is none of its own", s.sub("sub_1").PaymentMethodID, id.ID(""))
	equal(t, "a backup that is the default", s.refused(journal.Bind(ChangeBackupPaymentMethod{ID: "sub_1", PaymentMethodID: "pm_1"})), []string{"/payment_method_id"})
	equal(t, "method", s.do(journal.Bind(ChangePaymentMethod{ID: "sub_1", PaymentMethodID: "pm_3"})), []string{"subscription.payment_method_changed"})
	equal(t, "backup", s.do(journal.Bind(ChangeBackupPaymentMethod{ID: "sub_1", PaymentMethodID: "pm_1"})), []string{"subscription.backup_payment_method_changed"})
	equal(t, "no backup", s.do(journal.Bind(ChangeBackupPaymentMethod{ID: "sub_1"})), []string{"subscription.backup_payment_method_changed"})
	equal(t, "the default again", s.do(journal.Bind(ChangePaymentMethod{ID: "sub_1"})), []string{"subscription.payment_method_changed"})
	equal(t, "method", s.do(journal.Bind(ChangePaymentMethod{ID: "sub_1", PaymentMethodID: "pm_3"})), []string{"subscription.payment_method_changed"})
	equal(t, "price", s.do(journal.Bind(ChangeDeliveryPrice{ID: "sub_1", Price: usd(0)})), []string{"subscription.delivery_price_changed"})
	for _, tt := range []struct {
		name    string
		command journal.Command
		want    []string
	}{
		{"unknown address", journal.Bind(ChangeShippingAddress{ID: "sub_1", AddressID: "addr_none"}), []string{"/address_id"}},
		{"somebody else's address", journal.Bind(ChangeShippingAddress{ID: "sub_1", AddressID: "addr_other"}), []string{"/address_id"}},
		{"removed address", journal.Bind(ChangeShippingAddress{ID: "sub_1", AddressID: "addr_old"}), []string{"/address_id"}},
		{"country without delivery", journal.Bind(ChangeShippingAddress{ID: "sub_1", AddressID: "addr_fr"}), []string{"/address_id"}},
		{"somebody else's method", journal.Bind(ChangePaymentMethod{ID: "sub_1", PaymentMethodID: "pm_other"}), []string{"/payment_method_id"}},
		{"removed method", journal.Bind(ChangePaymentMethod{ID: "sub_1", PaymentMethodID: "pm_old"}), []string{"/payment_method_id"}},
		{"backup that is no backup", journal.Bind(ChangeBackupPaymentMethod{ID: "sub_1", PaymentMethodID: "pm_3"}), []string{"/payment_method_id"}},
		{"price", journal.Bind(ChangeDeliveryPrice{ID: "sub_1", Price: money.Of(catalog.MaxPrice+1, "EUR")}), []string{"/delivery_price/currency", "/delivery_price/amount"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			quiet := *s
			quiet.t = t
			equal(t, "refused", quiet.refused(tt.command), tt.want)
		})
	}
}
