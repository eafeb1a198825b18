//go:build unix

package vault

import (
	"errors"
	"os"
	"syscall"
)

// flock waits for the exclusive lock of an open file.
func flock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		// A signal may interrupt the wait; Go's own preemption sends some.
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
