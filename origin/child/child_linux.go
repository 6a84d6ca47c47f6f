package child

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// isolate puts the child into a process group of its own, and has the kernel kill it if
// the thread that started it ends (prctl(2), PR_SET_PDEATHSIG).
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// The negative id addresses the group. An error means that it has already ended.
func terminate(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }

func kill(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// bound limits what the child may write to (setrlimit(2), RLIMIT_DATA). One that has ended already needs no limit.
func bound(cmd *exec.Cmd, bytes uint64) error {
	err := unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_DATA, &unix.Rlimit{Cur: bytes, Max: bytes}, nil)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("its memory cannot be limited: %w", err)
	}
	return nil
}

// cpuOf reads utime and stime (proc(5), /proc/[pid]/stat), which are in hundredths of a second whatever the kernel's clock; 0 if
// there is no such process.
func cpuOf(pid int) time.Duration {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // the name may have blanks and brackets
	const utime, stime = 14 - 3, 15 - 3
	if len(fields) <= stime {
		return 0
	}
	user, _ := strconv.ParseInt(string(fields[utime]), 10, 64)
	system, _ := strconv.ParseInt(string(fields[stime]), 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}
