// Package child runs helper programs, in practice ffmpeg, so that none outlives its use.
//
// A child gets its own process group, so that a Ctrl-C on the terminal reaches Slipstream
// alone and Slipstream decides in which order things end; when the context ends, the
// whole group is told to end, and killed if it does not. On Linux the kernel also kills
// the child if this process dies without a chance to tidy up (prctl(2), PR_SET_PDEATHSIG).
// The last lines of the child's standard error are kept, because they say why it ended.
//
// The programs are found in PATH; a missing one gives a MissingError, whose sentence says
// what to install.
package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// A MissingError says that a program is not installed.
type MissingError struct{ Program string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s was not found in PATH: install it, e.g. apt-get install %s", e.Program, packageOf(e.Program))
}

// An ExitError says how a child ended that was not asked to end.
type ExitError struct {
	Program string
	Err     error  // from os/exec; nil when it ended with exit code 0
	Tail    string // the end of its standard error, in one line
}

func (e *ExitError) Error() string {
	how := "ended by itself"
	if e.Err != nil {
		how = "ended with " + e.Err.Error()
	}
	if e.Tail == "" {
		return e.Program + " " + how + " and said nothing"
	}
	return e.Program + " " + how + "; its last words: " + e.Tail
}

// Unwrap gives the error of os/exec.
func (e *ExitError) Unwrap() error { return e.Err }

// Look finds a program in PATH. The error is a *MissingError.
func Look(program string) (path string, err error) {
	path, err = exec.LookPath(program)
	if err != nil {
		return "", &MissingError{Program: program}
	}
	return path, nil
}

// packageOf is the Debian package that holds a program.
func packageOf(program string) string {
	if program == "ffprobe" {
		return "ffmpeg"
	}
	return program
}

// A Config says what to run.
type Config struct {
	Program string // looked up in PATH, or a path
	Args    []string
	Stdin   *os.File   // nil: nothing to read; the caller closes its copy after Start
	Files   []*os.File // descriptors 3, 4 … of the child; the caller closes its copies after Start
	Stdout  io.Writer  // nil: dropped
	// Grace is how long the child may take to end by itself after SIGTERM once the
	// context is done; 0 kills at once.
	Grace time.Duration
	// Memory is how much the child may have, in bytes, for one that reads what strangers send; 0: no limit. Only on Linux.
	Memory uint64
}

// A Process is a child that was started.
type Process struct {
	program string
	cmd     *exec.Cmd
	tail    tail
	kill    chan struct{}
	done    chan struct{}
	exit    *ExitError // valid when done is closed
}

// Start runs a program until it ends, the context ends or Kill is called.
func Start(ctx context.Context, cfg Config) (*Process, error) {
	path, err := Look(cfg.Program)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &Process{program: cfg.Program, kill: make(chan struct{}, 1), done: make(chan struct{})}
	p.cmd = exec.Command(path, cfg.Args...)
	p.cmd.ExtraFiles = cfg.Files
	p.cmd.Stdout = cfg.Stdout
	p.cmd.Stderr = &p.tail
	p.cmd.WaitDelay = time.Second // for a grandchild that holds standard error open
	if cfg.Stdin != nil {
		p.cmd.Stdin = cfg.Stdin
	}
	isolate(p.cmd)
	started := make(chan error, 1)
	go p.live(started, cfg.Memory)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%s could not be started: %w", cfg.Program, err)
	}
	go p.guard(ctx, cfg.Grace)
	return p, nil
}

// live starts the child and waits for it on one locked thread: the kernel sends the
// parent-death signal when the thread that forked ends, not the process.
func (p *Process) live(started chan<- error, memory uint64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	if err != nil {
		started <- err
		return
	}
	if memory > 0 {
		if err := bound(p.cmd, memory); err != nil {
			kill(p.cmd)
			_ = p.cmd.Wait()
			started <- err
			return
		}
	}
	started <- nil
	err = p.cmd.Wait()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	p.exit = &ExitError{Program: p.program, Err: err, Tail: p.tail.String()}
	close(p.done)
}

// guard ends the child with the context or on Kill.
func (p *Process) guard(ctx context.Context, grace time.Duration) {
	select {
	case <-p.done:
		return
	case <-p.kill:
	case <-ctx.Done():
		if grace > 0 {
			terminate(p.cmd)
			timer := time.NewTimer(grace)
			defer timer.Stop()
			select {
			case <-p.done:
				return
			case <-p.kill:
			case <-timer.C:
			}
		}
	}
	kill(p.cmd)
}

// Kill ends the child and its group at once; Done tells when it has ended.
func (p *Process) Kill() {
	select {
	case p.kill <- struct{}{}:
	default:
	}
}

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for the end and says how it came: always an *ExitError, whose Err is nil for
// exit code 0.
func (p *Process) Wait() *ExitError {
	<-p.done
	return p.exit
}

// CPU is the processor time that the child has used. Of one that is running only Linux tells.
func (p *Process) CPU() time.Duration {
	select {
	case <-p.done:
		if state := p.cmd.ProcessState; state != nil {
			return state.UserTime() + state.SystemTime()
		}
		return 0
	default:
		return cpuOf(p.Pid())
	}
}

// Pid is the child's process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Output runs a program to its end and returns its standard output, of which at most
// limit bytes are kept.
func Output(ctx context.Context, limit int, program string, args ...string) ([]byte, error) {
	return OutputOf(ctx, limit, Config{Program: program, Args: args})
}

// OutputOf is Output with further settings; their Stdout is not used.
func OutputOf(ctx context.Context, limit int, cfg Config) ([]byte, error) {
	out := &capped{limit: limit}
	cfg.Stdout = out
	p, err := Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if exit := p.Wait(); exit.Err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, exit
	}
	return out.kept, nil
}

type capped struct {
	kept  []byte
	limit int
}

func (c *capped) Write(p []byte) (int, error) {
	c.kept = append(c.kept, p[:min(len(p), c.limit-len(c.kept))]...)
	return len(p), nil
}

// tail keeps the end of what is written. It is written by one goroutine of os/exec and
// read after that has ended.
type tail struct{ kept []byte }

const tailSize = 1024

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - tailSize; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

// String is the tail in one line, for a log.
func (t *tail) String() string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(string(t.kept), "?"), func(r rune) bool {
		return r < ' '
	}), " | ")
}
