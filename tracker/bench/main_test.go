//go:build linux

package bench

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"syscall"
	"testing"
)

// commands are the measurements that this test binary offers beside its tests.
var commands = map[string]func(args []string) (result any, err error){
	"crowd":    benchCrowd,
	"tls":      benchTLS,
	"idle":     benchIdle,
	"hold":     holdViewers,
	"tracker":  runTracker,
	"attack":   benchAttack,
	"attacker": runAttacker,
	"bare":     runBare,
}

// TestMain runs a measurement if the first argument names one, and the tests otherwise.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if measure, ok := commands[os.Args[1]]; ok {
			result, err := measure(os.Args[2:])
			if err == nil {
				err = json.NewEncoder(os.Stdout).Encode(result)
			}
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[1], err)
				os.Exit(1)
			}
			return
		}
	}
	os.Exit(m.Run())
}

// flags is a set for one measurement, whose help goes to standard error.
func flags(command string) *flag.FlagSet { return flag.NewFlagSet(command, flag.ExitOnError) }

// bar is one demand and whether a run met it.
type bar struct {
	Name     string  `json:"name"`
	Measured float64 `json:"measured"`
	Limit    float64 `json:"limit"`
	Pass     bool    `json:"pass"`
}

func atMost(name string, measured, limit float64) bar {
	return bar{name, measured, limit, measured <= limit}
}
func atLeast(name string, measured, limit float64) bar {
	return bar{name, measured, limit, measured >= limit}
}

// allFiles lets this process have as many descriptors as it may.
func allFiles() (most uint64) {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) == nil && l.Cur < l.Max {
		l.Cur = l.Max
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l) //nolint:errcheck // then there are fewer
	}
	return l.Cur
}
