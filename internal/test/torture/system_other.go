//go:build !linux

package torture

import (
	"errors"
	"syscall"
)

func endWithUs() *syscall.SysProcAttr { return nil }

func memoryDisk(string, int) (unmount func() error, err error) {
	return nil, errors.New("this is known of Linux only")
}
