package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"perennial/client"
)

func Example() {
	ctx := context.Background()
	shop := connect() // client.New("https://shop.example/api/v1", key)

	tea, err := shop.CreateProduct(ctx, client.CreateProductInput{Title: "Green tea"})
	if err != nil {
		log.Fatal(err)
	}
	bag, err := shop.CreateProductVariant(ctx, tea.Data.ID, client.CreateProductVariantInput{Title: "1 kg", Price: client.Money{Amount: 2450, Currency: "EUR"}})
	if err != nil {
		log.Fatal(err)
	}
	jo, err := shop.CreateCustomer(ctx, client.CreateCustomerInput{Email: "jo@mail.example"})
	if err != nil {
		log.Fatal(err)
	}
	made, err := shop.CreateSubscription(ctx, client.CreateSubscriptionInput{
		CustomerID:    jo.Data.ID,
		Items:         []client.NewItemInput{{VariantID: bag.Data.ID, Quantity: 2}},
		BillingPolicy: &client.PolicyInput{Interval: "month", IntervalCount: 1},
	})
	if err != nil {
		log.Fatal(err)
	}
	until := client.NewDate(time.Now().Year()+1, time.March, 1)
	paused, err := shop.PauseSubscription(ctx, made.Data.ID, client.PauseSubscriptionInput{Until: &until, Comment: "On holiday."})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(paused.Data.Status == client.SubscriptionStatusPaused, *paused.Data.PausedUntil == until)
	fmt.Println(paused.Events[0].Type)
	// Output:
	// true true
	// subscription.paused
}

// A list asks for one page after the other.
func ExampleClient_ListCustomers() {
	ctx := context.Background()
	shop := connect()
	for _, name := range []string{"ann", "bea", "cem"} {
		if _, err := shop.CreateCustomer(ctx, client.CreateCustomerInput{Email: name + "@list.example", Tags: []string{"listed"}}); err != nil {
			log.Fatal(err)
		}
	}
	for customer, err := range shop.ListCustomers(ctx, client.ListCustomersParams{Tag: "listed", Limit: 2}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(customer.Email)
	}
	// Unordered output:
	// ann@list.example
	// bea@list.example
	// cem@list.example
}

// What is refused says why: by a code for programs, in a sentence for people, and for each field where it is.
func ExampleProblem() {
	_, err := connect().CreateCustomer(context.Background(), client.CreateCustomerInput{Email: "nobody"})
	if p, ok := errors.AsType[*client.Problem](err); ok {
		fmt.Println(p.Status, p.Code)
		for _, f := range p.Errors {
			fmt.Println(f.Pointer, f.Code)
		}
	}
	// Output:
	// 422 fields_refused
	// /email email_invalid
}

// A change that was decided on what one saw is refused when somebody else was faster.
func ExampleIfMatch() {
	ctx := context.Background()
	shop := connect()
	seen, err := shop.CreateCustomer(ctx, client.CreateCustomerInput{Email: "kim@match.example"})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := shop.UpdateCustomer(ctx, seen.Data.ID, client.UpdateCustomerInput{FirstName: new("Kim")}); err != nil {
		log.Fatal(err)
	}
	_, err = shop.UpdateCustomer(ctx, seen.Data.ID, client.UpdateCustomerInput{FirstName: new("Kimberly")}, client.IfMatch(seen.Data.Version))
	if p, ok := errors.AsType[*client.Problem](err); ok {
		fmt.Println(p.Status, p.Code)
	}
	// Output: 412 stale_version
}

// A stream goes on where it was after every outage. Kept over a restart of the program, the seq of the last event is where it begins again.
func ExampleClient_StreamEvents() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	shop := connect()
	lee, err := shop.CreateCustomer(ctx, client.CreateCustomerInput{Email: "lee@stream.example"})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := shop.UpdateCustomer(ctx, lee.Data.ID, client.UpdateCustomerInput{LastName: new("Lee")}); err != nil {
		log.Fatal(err)
	}
	stream := shop.StreamEvents(client.StreamEventsParams{Target: []string{lee.Data.ID}}).After(lee.Events[0].Seq)
	for event, err := range stream.Events(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.Type)
		break
	}
	// Output: customer.profile_updated
}
