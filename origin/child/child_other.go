//go:build !linux

package child

import (
	"os"
	"os/exec"
	"time"
)

// Other systems have no parent-death signal: there, a child outlives a killed parent until
// its pipes break.
func isolate(*exec.Cmd) {}

func terminate(cmd *exec.Cmd) { _ = cmd.Process.Signal(os.Interrupt) }

func kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

func bound(*exec.Cmd, uint64) error { return nil }

func cpuOf(int) time.Duration { return 0 }
