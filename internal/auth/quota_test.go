package auth

import (
	"fmt"
	"testing"
	"time"
)

func TestQuota(t *testing.T) {
	q := &Quota{Burst: 3, Every: time.Minute}
	now := time.Date(2027, 1, 15, 12, 0, 0, 0, time.UTC)
	for n := range 3 {
		if d := q.Take("a", now); d != 0 {
			t.Errorf("the %dth waits %s", n+1, d)
		}
	}
	for range 5 { // asking too often makes nobody wait longer
		if d := q.Take("a", now); d != time.Minute {
			t.Errorf("one too many waits %s", d)
		}
	}
	if d := q.Take("b", now); d != 0 {
		t.Errorf("another key waits %s", d)
	}
	if d := q.Take("a", now.Add(time.Minute)); d != 0 {
		t.Errorf("a minute later it waits %s", d)
	}
	for n := range entriesKept + 10 {
		q.Take(fmt.Sprint(n), now.Add(2*time.Minute))
	}
	if n := len(q.by); n > entriesKept+1 {
		t.Errorf("%d keys are kept", n)
	}
}
