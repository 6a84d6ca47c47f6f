package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a child of a measurement. It dies with us.
type process struct {
	cmd  *exec.Cmd
	in   io.Closer
	said *bufio.Reader
	err  bytes.Buffer
}

func start(name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...)}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in, p.said = in, bufio.NewReader(out)
	p.cmd.Stderr = &p.err
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s cannot be started: %w", name, err)
	}
	return p, nil
}

// says reads one JSON object of the child's.
func (p *process) says(into any) error {
	if err := json.NewDecoder(p.said).Decode(into); err != nil {
		p.end()
		return fmt.Errorf("%s said nothing of use (%w): %s", filepath.Base(p.cmd.Path), err, p.err.String())
	}
	return nil
}

// end closes the child's input, asks it to go, and in the end makes it.
func (p *process) end() {
	if p.cmd.ProcessState != nil {
		return
	}
	p.in.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	defer time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() }).Stop()
	_ = p.cmd.Wait()
}

// ticksPerSecond is USER_HZ of Linux on every architecture that Go runs on.
const ticksPerSecond = 100

// cpuSeconds is what a process and its children have used, those that still run included.
func cpuSeconds(pid int) (sum float64) {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	parents, used := map[int]int{}, map[int]float64{}
	for _, path := range all {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		// Behind the name, which is in brackets and may hold anything: state is field 3, parent 4, utime, stime and those of children that were waited for 14 to 17.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		id, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parents[id], _ = strconv.Atoi(fields[4-3])
		for _, field := range fields[14-3 : 17-3+1] {
			ticks, _ := strconv.ParseFloat(field, 64)
			used[id] += ticks / ticksPerSecond
		}
	}
	for id := range parents {
		for up := id; up > 1; up = parents[up] {
			if up == pid {
				sum += used[id]
				break
			}
		}
	}
	return sum
}

// machine is what this machine's cores have done since it started, in seconds.
type machine struct{ busy, idle float64 }

func machineTimes() (m machine) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return m
	}
	first, _, _ := strings.Cut(string(stat), "\n")
	for i, field := range strings.Fields(first)[1:] { // user, nice, system, idle, iowait, irq, softirq, steal; see proc(5)
		ticks, _ := strconv.ParseFloat(field, 64)
		switch {
		case i == 3 || i == 4:
			m.idle += ticks / ticksPerSecond
		case i < 8:
			m.busy += ticks / ticksPerSecond
		}
	}
	return m
}

// selfSeconds is what this process alone has used.
func selfSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// idleShare tells how much of the machine was left over since then. Where it is near nothing, latencies say little.
func (m machine) idleShare() float64 {
	now := machineTimes()
	busy, idle := now.busy-m.busy, now.idle-m.idle
	if busy+idle == 0 {
		return 0
	}
	return idle / (busy + idle)
}

// openFiles is how many a process has, connections included.
func openFiles(pid int) int {
	files, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(files)
}
