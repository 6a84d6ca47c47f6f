package child

import (
	"os/exec"
	"syscall"
)

// isolate puts the child into a process group of its own, and has the kernel kill it if
// the thread that started it ends (prctl(2), PR_SET_PDEATHSIG).
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// The negative id addresses the group. An error means that it has already ended.
func terminate(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }

func kill(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
