//go:build linux

package bench

import (
	"syscall"
	"testing"

	"slipstream/origin/benchtest"
)

// commands are the measurements that this test binary offers beside its tests.
var commands = map[string]benchtest.Command{
	"crowd":    benchCrowd,
	"tls":      benchTLS,
	"idle":     benchIdle,
	"hold":     holdViewers,
	"tracker":  runTracker,
	"attack":   benchAttack,
	"attacker": runAttacker,
	"bare":     runBare,
}

// TestMain runs a command if the first argument names one, and the tests otherwise.
func TestMain(m *testing.M) { benchtest.Main(m, commands) }

// The words of every measurement here.
type bar = benchtest.Bar

var flags, atMost, atLeast = benchtest.Flags, benchtest.AtMost, benchtest.AtLeast

// allFiles lets this process have as many descriptors as it may.
func allFiles() (most uint64) {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) == nil && l.Cur < l.Max {
		l.Cur = l.Max
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l) //nolint:errcheck // then there are fewer
	}
	return l.Cur
}
