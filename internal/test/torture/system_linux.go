package torture

import (
	"fmt"
	"os"
	"syscall"
)

// endWithUs ends a process with this one, however this one ends.
func endWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// memoryDisk mounts a small disk on a folder. Only root may.
func memoryDisk(path string, bytes int) (unmount func() error, err error) {
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", bytes)); err != nil {
		return nil, os.NewSyscallError("mount", err)
	}
	return func() error { return os.NewSyscallError("unmount", syscall.Unmount(path, syscall.MNT_DETACH)) }, nil
}
