package bench

import (
	"testing"

	"slipstream/origin/benchtest"
)

// commands are what this test binary offers beside its tests.
var commands = map[string]benchtest.Command{
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
func TestMain(m *testing.M) { benchtest.Main(m, commands) }

// The words of every measurement here.
type bar = benchtest.Bar

var flags, atMost, atLeast = benchtest.Flags, benchtest.AtMost, benchtest.AtLeast

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
