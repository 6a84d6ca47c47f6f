package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a child of this measurement. It dies with us.
type process struct {
	cmd *exec.Cmd
	out bytes.Buffer
	err bytes.Buffer
}

func start(name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s cannot be started: %w", name, err)
	}
	return p, nil
}

// wait waits for a process that is about to end by itself. One that does not is asked what it hangs on, and killed.
func (p *process) wait(limit time.Duration) error {
	overdue := time.AfterFunc(limit, func() { _ = p.cmd.Process.Signal(syscall.SIGQUIT) })
	err := p.cmd.Wait()
	if !overdue.Stop() {
		return fmt.Errorf("it did not end within %v; its goroutines: %s", limit, p.err.String())
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, p.err.String())
	}
	return nil
}

// kill ends the process without a chance to say goodbye, and waits for its end.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

// usage is what a process has used.
type usage struct {
	cpuSeconds float64
	rssBytes   int64
	threads    int64
	sockets    int64
}

// used reads /proc; all is zero when the process is gone.
func used(pid int) usage {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}
	}
	// Behind the name, which is in brackets and may hold anything: state is field 3, utime 14, stime 15, threads 20, rss 24.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	number := func(field int) int64 {
		n, _ := strconv.ParseInt(fields[field-3], 10, 64)
		return n
	}
	const ticksPerSecond = 100 // USER_HZ of Linux on every architecture that Go runs on
	descriptors, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return usage{
		cpuSeconds: float64(number(14)+number(15)) / ticksPerSecond,
		rssBytes:   number(24) * int64(os.Getpagesize()),
		threads:    number(20),
		sockets:    int64(len(descriptors)),
	}
}

// datagrams is how many UDP packets this machine has sent since it started (RFC 4113: udpOutDatagrams, both versions of IP).
func datagrams() int64 {
	var sum int64
	if text, err := os.ReadFile("/proc/net/snmp"); err == nil {
		lines := strings.Split(string(text), "\n")
		for i := 1; i < len(lines); i++ {
			names, values := strings.Fields(lines[i-1]), strings.Fields(lines[i])
			if len(names) > 0 && len(names) == len(values) && names[0] == "Udp:" && values[0] == "Udp:" {
				if at := slices.Index(names, "OutDatagrams"); at > 0 && values[at] != "OutDatagrams" {
					n, _ := strconv.ParseInt(values[at], 10, 64)
					sum += n
				}
			}
		}
	}
	if text, err := os.ReadFile("/proc/net/snmp6"); err == nil {
		for line := range strings.Lines(string(text)) {
			if fields := strings.Fields(line); len(fields) == 2 && fields[0] == "Udp6OutDatagrams" {
				n, _ := strconv.ParseInt(fields[1], 10, 64)
				sum += n
			}
		}
	}
	return sum
}

// machine is what this machine's cores have done since it started, in seconds: work of any process, and nothing.
type machine struct{ busy, idle float64 }

func machineTimes() (m machine) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return m
	}
	first, _, _ := strings.Cut(string(stat), "\n")
	for i, field := range strings.Fields(first)[1:] { // user, nice, system, idle, iowait, irq, softirq, steal; see proc(5)
		n, _ := strconv.ParseFloat(field, 64)
		switch {
		case i == 3 || i == 4:
			m.idle += n / 100
		case i < 8:
			m.busy += n / 100
		}
	}
	return m
}

// idleShare tells how much of the machine was left over since then. Where it is near nothing, something else was measured.
func (m machine) idleShare() float64 {
	now := machineTimes()
	busy, idle := now.busy-m.busy, now.idle-m.idle
	if busy+idle == 0 {
		return 0
	}
	return idle / (busy + idle)
}
