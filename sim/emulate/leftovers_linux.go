package emulate

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// An emulation has one directory for keys, logs and scripts, and holds a lock on a
// file in it while it lives; the kernel lets go of the lock however it dies. So a
// directory of this name whose lock can be had is a leftover. Namespaces and devices
// leave nothing (see namespace) and children are killed by the kernel; what may be
// left beside the directory is programs that others started through its scripts.
const (
	prefix   = "slipstream-emulate-"
	lockName = "lock"
)

// claimDir makes the directory and takes the lock.
func claimDir() (dir string, release func(), err error) {
	dir, err = os.MkdirTemp("", prefix)
	if err != nil {
		return "", nil, fmt.Errorf("a directory for the emulation cannot be made: %w", err)
	}
	lock, err := os.Create(filepath.Join(dir, lockName))
	if err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		os.RemoveAll(dir)
		return "", nil, fmt.Errorf("the emulation's directory cannot be locked: %w", err)
	}
	return dir, func() {
		os.RemoveAll(dir)
		lock.Close()
	}, nil
}

// removeLeftovers clears away what emulations left that were killed.
func removeLeftovers() error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		lock, err := os.Open(filepath.Join(dir, lockName))
		if err != nil {
			continue // being made, or not ours
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			killMarked(dir)
			os.RemoveAll(dir)
		}
		lock.Close()
	}
	return nil
}

// killMarked kills what was started by the emulation of this directory. A browser
// writes over the environment of its children, so who shares a namespace with
// somebody marked counts too.
func killMarked(dir string) {
	mark := []byte(marker + "=" + dir + "\x00")
	own, _ := netNamespace(os.Getpid())
	spaces := map[uint64]bool{}
	for _, pid := range processes() {
		environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || !bytes.Contains(append(environment, 0), mark) {
			continue
		}
		if inode, err := netNamespace(pid); err == nil && inode != own {
			spaces[inode] = true
		}
	}
	killWithin(spaces)
}

// killWithin kills every process of these network namespaces.
func killWithin(spaces map[uint64]bool) {
	for again := true; again; {
		again = false
		for _, pid := range processes() {
			inode, err := netNamespace(pid)
			if err != nil || !spaces[inode] || pid == os.Getpid() {
				continue
			}
			// Until none is left: one may have forked while we looked.
			again = unix.Kill(pid, unix.SIGKILL) == nil && !zombie(pid) || again
		}
	}
}

func processes() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func netNamespace(pid int) (inode uint64, err error) {
	var stat unix.Stat_t
	err = unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &stat)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		err = fmt.Errorf("the namespace of process %d is not shown: %w", pid, err)
	}
	return stat.Ino, err
}

// zombie: dead, and its parent has not looked yet. It has no namespaces any more
// on most kernels, but a race with its death may show one.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	at := bytes.LastIndexByte(stat, ')')
	return at >= 0 && at+2 < len(stat) && stat[at+2] == 'Z'
}
