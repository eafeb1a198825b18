package program

import "testing"

// An answer that was kept by a build that did not say what it shows may show personal values.
func TestKeptReplies(t *testing.T) {
	for name, tt := range map[string]struct {
		kept string
		want bool
	}{
		"plain":    {string(encodeReply(Reply{Status: 200, Body: []byte("x")})), false},
		"personal": {string(encodeReply(Reply{Status: 200, Body: []byte("x"), Personal: true})), true},
		"old":      {`{"status":200}` + "\nx", true},
	} {
		got, err := decodeReply([]byte(tt.kept))
		if err != nil || got.Personal != tt.want || got.Status != 200 || string(got.Body) != "x" {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}
