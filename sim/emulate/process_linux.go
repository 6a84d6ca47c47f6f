package emulate

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// program is what to run in a host.
type program struct {
	name   string // of the log
	path   string
	args   []string
	stdout io.Writer // nil: to the log
}

// process runs in the namespace of a host and in a process group of its own. It does
// not outlive the emulator: the kernel kills it when the thread that started it ends
// (prctl(2), PR_SET_PDEATHSIG), and that thread waits for it.
type process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // how it ended; read after done
}

// marker is in the environment of everything that an emulation runs, with its
// directory as the value; see leftovers.
const marker = "SLIPSTREAM_EMULATION"

func (n *namespace) start(dir string, what program) (*process, error) {
	p := &process{name: what.name, log: filepath.Join(dir, what.name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the log of %s cannot be written: %w", what.name, err)
	}
	p.cmd = exec.Command(what.path, what.args...)
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), marker+"="+dir)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if what.stdout != nil {
		p.cmd.Stdout = what.stdout
	}
	p.cmd.WaitDelay = time.Second // for a grandchild that holds its output open
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		err := inThread(func() error {
			defer log.Close()
			if err := n.enter(); err != nil {
				started <- err
				return err
			}
			takeYourTime()
			err := p.cmd.Start()
			started <- err
			if err != nil {
				return err
			}
			return p.cmd.Wait()
		})
		if errors.Is(err, exec.ErrWaitDelay) {
			err = nil
		}
		p.err = err
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%s could not be started: %w", what.name, err)
	}
	return p, nil
}

// signal tells the whole group; one that has ended does not mind.
func (p *process) signal(s syscall.Signal) {
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, s)
	}
}

// ended tells without waiting.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// endAll asks the processes to end, and after a grace makes them.
func endAll(all []*process, grace time.Duration) {
	for _, p := range all {
		p.signal(syscall.SIGINT)
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	for _, p := range all {
		select {
		case <-p.done:
		case <-timer.C:
			for _, p := range all {
				p.signal(syscall.SIGKILL)
			}
			<-p.done
		}
	}
}

// failure says in a sentence how a process ended that was not asked to.
func (p *process) failure() error {
	how := "exit code 0"
	if p.err != nil {
		how = p.err.Error()
	}
	return fmt.Errorf("%s ended by itself with %s; its last words: %s", p.name, how, lastLine(p.log))
}

func lastLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return last
	}
	return "none"
}
