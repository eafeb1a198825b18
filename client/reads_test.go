package client_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"perennial/client"
	"perennial/internal/payment/simulated"
)

// Every operation that reads and needs no id answers what its type has a place for, and nothing else.
func TestEveryRead(t *testing.T) {
	s := openShop(t)
	c := s.client()
	must(t, life(t, c))
	var body []byte
	c.HTTP = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		defer res.Body.Close()
		if body, err = io.ReadAll(res.Body); err != nil {
			return nil, err
		}
		res.Body = io.NopCloser(bytes.NewReader(body))
		return res, nil
	})}
	v := reflect.ValueOf(c)
	read := 0
	for i := range v.NumMethod() {
		name, m := v.Type().Method(i).Name, v.Method(i)
		if !strings.HasPrefix(name, "Get") && !strings.HasSuffix(name, "Page") && name != "ListEventTypes" {
			continue
		}
		args := []reflect.Value{reflect.ValueOf(t.Context())}
		for j := 1; j < m.Type().NumIn(); j++ {
			in := reflect.Zero(m.Type().In(j))
			if in.Kind() == reflect.Struct {
				in = dated(in)
			}
			args = append(args, in)
		}
		out := m.Call(args)
		if err, failed := out[1].Interface().(error); failed {
			if strings.Contains(err.Error(), `"" is no `) { // of one thing, which life looks at
				continue
			}
			t.Errorf("%s: %v", name, err)
			continue
		}
		read++
		if out[0].Kind() == reflect.Pointer {
			strict(t, name, out[0], body)
		}
	}
	if read < 37 {
		t.Errorf("only %d operations were read", read)
	}
}

// dated gives required days a value.
func dated(in reflect.Value) reflect.Value {
	out := reflect.New(in.Type()).Elem()
	for i := range out.NumField() {
		if strings.HasSuffix(in.Type().Field(i).Tag.Get("query"), ",required") {
			switch f := out.Field(i); f.Kind() {
			case reflect.String:
				f.SetString(map[string]string{"Figure": "mrr.paused"}[in.Type().Field(i).Name])
				if f.String() == "" {
					f.SetString("2027-01-01")
				}
			case reflect.Int64:
				f.SetInt(1)
			}
		}
	}
	return out
}

// strict decodes an answer once more and takes no member that the type does not have.
func strict(t *testing.T, name string, of reflect.Value, body []byte) {
	t.Helper()
	into := reflect.New(of.Type().Elem())
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into.Interface()); err == nil {
		return
	}
	one := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "Data", Type: of.Type().Elem(), Tag: `json:"data"`}}))
	d = json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(one.Interface()); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// life makes one of most things, and does to them what is done.
func life(t *testing.T, c *client.Client) error {
	t.Helper()
	ctx := t.Context()
	var failed error
	note := func(err error) {
		if failed == nil {
			failed = err
		}
	}
	product, err := c.CreateProduct(ctx, client.CreateProductInput{Title: "Tea"})
	if err != nil {
		return err
	}
	variant, err := c.CreateProductVariant(ctx, product.Data.ID, client.CreateProductVariantInput{Title: "1 kg", Price: client.Money{Amount: 1200, Currency: "EUR"}})
	if err != nil {
		return err
	}
	group, err := c.CreateSellingPlanGroup(ctx, client.CreateSellingPlanGroupInput{Name: "Tea", ProductIDs: []string{product.Data.ID}})
	if err != nil {
		return err
	}
	plan, err := c.CreateSellingPlan(ctx, group.Data.ID, client.CreateSellingPlanInput{Name: "Monthly", BillingPolicy: client.PolicyInput{Interval: "month", IntervalCount: 1}})
	if err != nil {
		return err
	}
	person, err := c.CreateCustomer(ctx, client.CreateCustomerInput{Email: "jo@mail.example"})
	if err != nil {
		return err
	}
	id := person.Data.ID
	address, err := c.CreateCustomerAddress(ctx, id, client.CreateCustomerAddressInput{Line1: new("1 High Street"), City: new("Leeds"), Country: new("GB")})
	if err != nil {
		return err
	}
	card, err := c.CreateCustomerPaymentMethod(ctx, id, client.CreateCustomerPaymentMethodInput{Gateway: "simulated", GatewayReference: new(simulated.OK)})
	if err != nil {
		return err
	}
	sub, err := c.CreateSubscription(ctx, client.CreateSubscriptionInput{CustomerID: id, Items: []client.NewItemInput{{VariantID: variant.Data.ID, Quantity: 2}},
		SellingPlanID: &plan.Data.ID, ShippingAddressID: &address.Data.ID, PaymentMethodID: &card.Data.ID, Attributes: map[string]string{"erased": "yes"}})
	if err != nil {
		return err
	}
	of := sub.Data.ID
	next := *sub.Data.NextBillingDate
	skipped, err := c.SkipSubscriptionOrder(ctx, of, client.SkipSubscriptionOrderInput{Date: &next, Comment: "Away."})
	if err != nil {
		return err
	}
	_, err = c.UndoEvent(ctx, skipped.Events[0].ID, client.UndoEventInput{})
	note(err)
	_, err = c.SetSubscriptionNote(ctx, of, client.SetSubscriptionNoteInput{Note: "Ring twice."}, client.IfMatch(skipped.Data.Version+1))
	note(err)
	_, err = c.UpdateProductVariant(ctx, product.Data.ID, variant.Data.ID, client.UpdateProductVariantInput{Inventory: client.Set[int64](5)})
	note(err)
	made, err := c.CreateDiscount(ctx, client.CreateDiscountInput{Code: "TEN", Kind: "percentage", Value: 10})
	note(err)
	_, err = c.ApplySubscriptionDiscount(ctx, of, client.ApplySubscriptionDiscountInput{Code: "TEN"})
	note(err)
	_, err = c.DeleteSubscriptionDiscount(ctx, of, "TEN", client.DeleteSubscriptionDiscountParams{Comment: "A mistake."})
	note(err)
	back, err := c.GetSubscription(ctx, of, client.GetSubscriptionParams{AtSeq: &sub.Events[0].Seq})
	if note(err); err == nil && back.Version != sub.Data.Version {
		t.Errorf("at its beginning it has version %d", back.Version)
	}
	now, err := c.GetSubscription(ctx, of, client.GetSubscriptionParams{At: time.Now().UTC().Format(time.RFC3339Nano)})
	if note(err); err == nil && (now.Note.Value != "Ring twice." || now.Attributes.Value["erased"] != "yes") {
		t.Errorf("now it is %+v", now)
	}
	coming, err := c.ListUpcomingOrders(ctx, of, client.ListUpcomingOrdersParams{Count: 3})
	if note(err); err == nil && len(coming) != 3 {
		t.Errorf("%d orders to come", len(coming))
	}
	_, err = c.GetEvent(ctx, made.Events[0].ID)
	note(err)
	_, err = c.ListEventCauses(ctx, made.Events[0].ID)
	note(err)
	receipt, err := c.GetEventReceipt(ctx, made.Events[0].ID)
	if note(err); err == nil && receipt.Seq != made.Events[0].Seq {
		t.Errorf("the receipt is of %d", receipt.Seq)
	}
	general, err := c.GetGeneralSettings(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(t.Output(), general.Currency)
	file, err := c.DownloadSubscriptionLog(ctx, of, client.ListSubscriptionLogParams{Order: "asc"}, client.CSV)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(file)
	note(err)
	note(file.Close())
	if lines := strings.Count(string(b), "\n"); lines < 5 {
		t.Errorf("the log has %d lines:\n%s", lines, b)
	}
	return failed
}
