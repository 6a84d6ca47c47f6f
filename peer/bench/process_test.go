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

	"slipstream/origin/benchtest"
)

// process is a child of this measurement. It dies with us.
type process struct {
	cmd *exec.Cmd
	out bytes.Buffer
	err bytes.Buffer
}

func start(name string, args ...string) (*process, error) { return startIn(0, name, args...) }

// startApart gives it a network of its own.
func startApart(name string, args ...string) (*process, error) {
	return startIn(syscall.CLONE_NEWNET, name, args...)
}

func startIn(namespaces uintptr, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: namespaces}
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
	stat, err := benchtest.ReadStat(pid)
	if err != nil {
		return usage{}
	}
	descriptors, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return usage{
		cpuSeconds: stat.CPUSeconds(),
		rssBytes:   stat.Number(24) * int64(os.Getpagesize()),
		threads:    stat.Number(20),
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
