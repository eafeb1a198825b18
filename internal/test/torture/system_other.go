//go:build !linux

package torture

import "syscall"

func endWithUs() *syscall.SysProcAttr { return nil }
