package bench

import (
	"os"
	"syscall"
)

// flush makes a file's content durable as SQLite does.
func flush(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
