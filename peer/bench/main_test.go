package bench

import (
	"testing"

	"slipstream/origin/benchtest"
)

// commands are the measurements that this test binary offers beside its tests.
var commands = map[string]benchtest.Command{
	"viewers":  benchViewers,
	"profile":  profileViewers,
	"hostile":  benchHostile,
	"loss":     benchLoss,
	"transfer": benchTransfer,
	"cluster":  benchCluster,
	"nats":     serveNATS,
	"await":    await,
}

// TestMain runs a command if the first argument names one, and the tests otherwise.
func TestMain(m *testing.M) { benchtest.Main(m, commands) }

// The words of every measurement here.
type bar = benchtest.Bar

var flags, atMost, atLeast = benchtest.Flags, benchtest.AtMost, benchtest.AtLeast
