package benchtest

import (
	"errors"
	"math"
	"os"
	"strings"
	"testing"
)

func TestACommandPrintsOneObjectOrOneSentence(t *testing.T) {
	for _, c := range []struct {
		name           string
		result         any
		err            error
		code           int
		stdout, stderr string
	}{
		{"a result", map[string]int{"joins": 3}, nil, 0, "{\n  \"joins\": 3\n}\n", ""},
		{"nothing to say", nil, nil, 0, "", ""},
		{"a failure", map[string]int{"joins": 3}, errors.New("the tracker does not start"), 1, "", "crowd: the tracker does not start\n"},
		{"no JSON", math.NaN(), nil, 1, "", "crowd: json: unsupported value: NaN\n"},
	} {
		var stdout, stderr strings.Builder
		code := run("crowd", func([]string) (any, error) { return c.result, c.err }, nil, &stdout, &stderr)
		if code != c.code || stdout.String() != c.stdout || stderr.String() != c.stderr {
			t.Errorf("%s: exit code %d, %q, %q", c.name, code, stdout.String(), stderr.String())
		}
	}
}

func TestABarIsMetAtItsLimit(t *testing.T) {
	for _, c := range []struct {
		bar  Bar
		pass bool
	}{
		{AtMost("stalls", 1, 1), true},
		{AtMost("stalls", 1.1, 1), false},
		{AtMost("stalls", math.NaN(), 1), false},
		{AtLeast("offload", 0.9, 0.9), true},
		{AtLeast("offload", 0.8, 0.9), false},
		{AtLeast("offload", math.NaN(), 0.9), false},
	} {
		if c.bar.Pass != c.pass {
			t.Errorf("%+v", c.bar)
		}
	}
}

func TestAProcessIsMeasured(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("this system has no /proc")
	}
	own, err := ReadStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if parent, threads := own.Number(4), own.Number(20); parent != int64(os.Getppid()) || threads < 1 {
		t.Errorf("parent %d, threads %d", parent, threads)
	}
	if missing := own.Number(1000); missing != 0 {
		t.Errorf("a field that there is not is %d", missing)
	}
	if _, err := ReadStat(1 << 30); err == nil {
		t.Error("nobody has a stat")
	}
	if share := (Machine{}).IdleShare(); share < 0 || share > 1 {
		t.Errorf("the machine was idle for %v of the time since it started", share)
	}
}
