package torture

import "syscall"

// endWithUs ends a process with this one, however this one ends.
func endWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
