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
	"syscall"
	"time"

	"slipstream/origin/benchtest"
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

// cpuSeconds is what a process and its children have used, those that still run included.
func cpuSeconds(pid int) (sum float64) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	parents, used := map[int]int{}, map[int]float64{}
	for _, path := range all {
		id, _ := strconv.Atoi(filepath.Base(path))
		stat, err := benchtest.ReadStat(id)
		if err != nil {
			continue // it has just ended
		}
		parents[id] = int(stat.Number(4))
		used[id] = stat.CPUSeconds() + stat.Seconds(16) + stat.Seconds(17)
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

// selfSeconds is what this process alone has used.
func selfSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// openFiles is how many a process has, connections included.
func openFiles(pid int) int {
	files, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(files)
}
