package client

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMessages(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []message
	}{
		{"one", "id: 1\nevent: a\ndata: x\n\n", []message{{id: "1", event: "a", data: "x"}}},
		{"lines", "data: x\ndata:y\ndata:  z\nid: 2\n\n", []message{{id: "2", data: "x\ny\n z"}}},
		{"carriage returns", "id: 1\r\ndata: x\r\n\r\n", []message{{id: "1", data: "x"}}},
		{"comments and what nobody knows", ": ping\n\nfoo: 1\nid: 1\n\n", []message{{id: "1"}}},
		{"a wait", "retry: 2000\n\nretry: soon\n\n", []message{{retry: 2e9}}},
		{"not finished", "id: 1\ndata: x\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []message
			err := messages(strings.NewReader(tt.text), func() {}, func(m message) error { got = append(got, m); return nil })
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("it ended with %v", err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(message{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzMessages(f *testing.F) {
	f.Add("id: 1\nevent: a\ndata: x\n\nretry: 5\r\n\r\n: x\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		err := messages(strings.NewReader(text), func() {}, func(m message) error {
			if strings.ContainsAny(m.id+m.event, "\n") {
				t.Errorf("a name of two lines: %+v", m)
			}
			return nil
		})
		if err == nil {
			t.Error("a stream ended without an error")
		}
	})
}
