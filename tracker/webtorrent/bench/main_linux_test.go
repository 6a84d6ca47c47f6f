package bench

import (
	"testing"

	"slipstream/origin/benchtest"
)

// commands are the programs that this test binary is.
var commands = map[string]benchtest.Command{"announce": compare, "load": generate}

// TestMain runs a program if the first argument names one, and the tests otherwise.
func TestMain(m *testing.M) { benchtest.Main(m, commands) }
