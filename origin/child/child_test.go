package child_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"slipstream/origin/child"
)

// TestMain lets the test binary stand in for a parent that is killed: see
// TestAKilledParentTakesItsChildAlong.
func TestMain(m *testing.M) {
	if os.Getenv("CHILD_TEST_PARENT") != "" {
		p, err := child.Start(context.Background(), child.Config{Program: "sleep", Args: []string{"60"}})
		if err != nil {
			panic(err)
		}
		os.Stdout.WriteString(strconv.Itoa(p.Pid()) + "\n")
		select {}
	}
	goleak.VerifyTestMain(m)
}

// alive says whether a process exists. A zombie that nobody reaped yet counts as dead.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func waitDead(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d lives on", pid)
		}
	}
}

func TestAMissingProgramIsASentence(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, program := range []string{"ffmpeg", "ffprobe"} {
		_, err := child.Start(t.Context(), child.Config{Program: program})
		var missing *child.MissingError
		if !errors.As(err, &missing) || missing.Program != program {
			t.Fatalf("the error is %v", err)
		}
		if want := program + " was not found in PATH: install it, e.g. apt-get install ffmpeg"; err.Error() != want {
			t.Errorf("the error reads %q, want %q", err, want)
		}
	}
}

func TestHowAChildEnded(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{"exit 0", "sh ended by itself and said nothing"},
		{"exit 3", "sh ended with exit status 3 and said nothing"},
		{"echo one >&2; echo two >&2; exit 1", "sh ended with exit status 1; its last words: one | two"},
		{"kill -9 $$", "sh ended with signal: killed and said nothing"},
	} {
		p, err := child.Start(t.Context(), child.Config{Program: "sh", Args: []string{"-c", c.script}})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Wait().Error(); got != c.want {
			t.Errorf("%q: %q, want %q", c.script, got, c.want)
		}
	}
}

func TestOnlyTheEndOfStandardErrorIsKept(t *testing.T) {
	p, err := child.Start(t.Context(), child.Config{Program: "sh", Args: []string{"-c", "yes noise | head -n 100000 >&2; echo the reason >&2; exit 1"}})
	if err != nil {
		t.Fatal(err)
	}
	exit := p.Wait()
	if !strings.HasSuffix(exit.Tail, "the reason") || len(exit.Tail) > 4096 {
		t.Errorf("%d characters are kept, ending in %q", len(exit.Tail), exit.Tail[max(0, len(exit.Tail)-40):])
	}
}

func TestPipes(t *testing.T) {
	in, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	result, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer result.Close()
	p, err := child.Start(t.Context(), child.Config{Program: "sh", Args: []string{"-c", "tr a-z A-Z >&3"}, Stdin: in, Files: []*os.File{out}})
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
	out.Close()
	io.WriteString(feed, "shout")
	feed.Close()
	got, err := io.ReadAll(result)
	if err != nil || string(got) != "SHOUT" {
		t.Errorf("descriptor 3 gave %q, %v", got, err)
	}
	if exit := p.Wait(); exit.Err != nil {
		t.Error(exit)
	}
}

func TestOutput(t *testing.T) {
	got, err := child.Output(t.Context(), 5, "sh", "-c", "printf 123456789")
	if err != nil || string(got) != "12345" {
		t.Errorf("Output gave %q, %v", got, err)
	}
	if _, err := child.Output(t.Context(), 5, "sh", "-c", "echo broken >&2; exit 7"); err == nil || !strings.Contains(err.Error(), "status 7; its last words: broken") {
		t.Errorf("the error is %v", err)
	}
}

// The end of the context reaches the whole group, even a child that ignores SIGTERM and
// the child of that child.
func TestNothingOutlivesTheContext(t *testing.T) {
	for name, grace := range map[string]time.Duration{"killed at once": 0, "asked first": 50 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			out, in, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			p, err := child.Start(ctx, child.Config{
				Program: "sh", Args: []string{"-c", "trap '' TERM; sleep 60 & echo $! >&3; while :; do wait; done"},
				Files: []*os.File{in}, Grace: grace,
			})
			if err != nil {
				t.Fatal(err)
			}
			in.Close()
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			grandchild, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			<-p.Done()
			waitDead(t, p.Pid())
			waitDead(t, grandchild)
		})
	}
}

func TestAChildMayEndByItselfWithinItsGrace(t *testing.T) {
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p, err := child.Start(ctx, child.Config{
		Program: "sh", Args: []string{"-c", "trap 'echo tidy >&2; exit 0' TERM; echo ready >&3; while :; do sleep 0.01; done"},
		Files: []*os.File{in}, Grace: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	cancel()
	if exit := p.Wait(); exit.Err != nil || !strings.HasSuffix(exit.Tail, "tidy") {
		t.Errorf("it ended so: %v", exit)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("only Linux has a limit")
	}
	const greedy = "s=0123456789; i=0; while [ $i -lt 25 ]; do s=$s$s; i=$((i+1)); done" // 320 MiB
	p, err := child.Start(t.Context(), child.Config{Program: "sh", Args: []string{"-c", greedy}, Memory: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if exit := p.Wait(); exit.Err == nil {
		t.Errorf("it ended so: %v", exit)
	}
}

func TestKill(t *testing.T) {
	p, err := child.Start(t.Context(), child.Config{Program: "sleep", Args: []string{"60"}})
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
	p.Kill() // twice does no harm
	if exit := p.Wait(); exit.Err == nil {
		t.Error("a killed child reports no error")
	}
}

func TestAKilledParentTakesItsChildAlong(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("the parent-death signal is Linux's")
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "CHILD_TEST_PARENT=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if !alive(pid) {
		t.Fatal("the child did not even start")
	}
	parent.Process.Signal(syscall.SIGKILL)
	parent.Wait()
	waitDead(t, pid)
}

func TestBackoff(t *testing.T) {
	b := child.Backoff{Least: 100, Most: 500}
	for i, c := range []struct{ lasted, want time.Duration }{
		{0, 100}, {10, 200}, {10, 400}, {999, 500}, {1000, 500}, {1001, 100}, {0, 200},
	} {
		if got := b.Next(c.lasted); got != c.want {
			t.Errorf("step %d: after a run of %d the wait is %d, want %d", i, c.lasted, got, c.want)
		}
	}
}

func TestSleepEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if child.Sleep(ctx, time.Hour) {
		t.Error("an hour has passed")
	}
	if !child.Sleep(t.Context(), 0) {
		t.Error("no time did not pass")
	}
}

func TestTheProcessorTimeOfAChild(t *testing.T) {
	p, err := child.Start(t.Context(), child.Config{Program: "sh", Args: []string{"-c", "while :; do :; done"}})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); runtime.GOOS == "linux" && p.CPU() == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is busy and uses no processor time")
		}
	}
	running := p.CPU()
	p.Kill()
	p.Wait()
	if ended := p.CPU(); ended == 0 || ended < running {
		t.Errorf("after its end it has used %v, before it %v", ended, running)
	}
}
