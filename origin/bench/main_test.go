package bench

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"
)

// commands are what this test binary offers beside its tests.
var commands = map[string]func(args []string) (result any, err error){
	"origin":   benchOrigin,
	"serve":    benchServe,
	"audience": benchAudience,
	"signing":  benchSigning,
	"http3":    benchHTTP3,
	"blocking": benchBlocking,

	// Parts of those, as processes of their own.
	"stage": runStage,
	"fetch": runFetch,
}

// TestMain runs a command if the first argument names one, and the tests otherwise.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if command, ok := commands[os.Args[1]]; ok {
			result, err := command(os.Args[2:])
			if err == nil && result != nil {
				out := json.NewEncoder(os.Stdout)
				out.SetIndent("", "  ")
				err = out.Encode(result)
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

// benchOrigin measures the origin as a web server: everything but what needs an emulated network.
func benchOrigin([]string) (any, error) {
	var r struct {
		Serve    any `json:"serve"`
		Audience any `json:"audience"`
		Blocking any `json:"blocking"`
		Signing  any `json:"signing"`
	}
	var err error
	for _, part := range []struct {
		into    *any
		measure func([]string) (any, error)
	}{{&r.Serve, benchServe}, {&r.Audience, benchAudience}, {&r.Blocking, benchBlocking}, {&r.Signing, benchSigning}} {
		if *part.into, err = part.measure(nil); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// flags is a set for one command, whose help goes to standard error.
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
