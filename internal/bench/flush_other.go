//go:build !linux

package bench

import "os"

// flush makes a file's content durable.
func flush(f *os.File) error { return f.Sync() }
