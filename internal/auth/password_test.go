package auth_test

import (
	"testing"

	"perennial/internal/auth"
)

func TestPassword(t *testing.T) {
	h := auth.HashPassword("correct horse")
	if !auth.CheckPassword("correct horse", h) {
		t.Error("the right password was refused")
	}
	for _, c := range []struct{ password, hash string }{
		{"wrong horse", h}, {"correct horse", ""}, {"correct horse", h[:len(h)-4]}, {"correct horse", "$argon2id$v=19$m=0,t=0,p=0$$"}, {"", h},
	} {
		if auth.CheckPassword(c.password, c.hash) {
			t.Errorf("%q was accepted for %q", c.password, c.hash)
		}
	}
	if h == auth.HashPassword("correct horse") {
		t.Error("two hashes of one password are the same")
	}
}
