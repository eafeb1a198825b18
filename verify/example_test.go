package verify_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"log"
	"os"

	"perennial/verify"
)

// file reads what an auditor has: in testdata are a receipt (the API's /events/{id}/receipt), the key that was kept (/log-key), a checkpoint
// (/checkpoint) and an exported journal, one entry a line.
func file(name string) []byte {
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		log.Fatal(err)
	}
	return b
}

// A receipt proves one entry, with nothing but the key that one got by a way of one's own.
func ExampleReceipt_Check() {
	receipt, err := verify.ParseReceipt(file("receipt.json"))
	if err != nil {
		log.Fatal(err)
	}
	event, err := receipt.Check(string(file("log-key.txt")))
	fmt.Println(event.ID, event.Seq, err)

	receipt.Event = bytes.Replace(receipt.Event, []byte(`"paused"`), []byte(`"active"`), 1)
	_, err = receipt.Check(string(file("log-key.txt")))
	fmt.Println(err != nil)
	// Output:
	// evt_0123abcd000000000000h 17 <nil>
	// true
}

// A whole journal is checked entry by entry, against every checkpoint that somebody kept.
func ExampleLog() {
	kept, err := verify.OpenCheckpoint(file("checkpoint.txt"), string(file("log-key.txt")))
	if err != nil {
		log.Fatal(err)
	}
	journal := verify.NewLog(kept.Shop)
	if err := journal.Checkpoint(file("checkpoint.txt"), string(file("log-key.txt"))); err != nil {
		log.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(file("journal.ndjson")))
	for lines.Scan() {
		if err := journal.Add(bytes.Clone(lines.Bytes()), nil); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(journal.Size(), journal.Root() == kept.Root, journal.End())
	// Output: 40 true <nil>
}

// What is wrong is said with its place.
func ExampleProblem() {
	journal := verify.NewLog("shop_0123abcd")
	lines := bytes.Split(file("journal.ndjson"), []byte("\n"))
	err := errors.Join(journal.Add(lines[0], nil), journal.Add(lines[2], nil)) // the second is missing
	if p, ok := errors.AsType[*verify.Problem](err); ok {
		fmt.Println(p.Seq, p.Field)
	}
	// Output: 1 seq
}
