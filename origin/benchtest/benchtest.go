// Package benchtest makes a test binary a program of measurements, as the packages
// called bench want it: `go test -c` builds it, its first argument names a command,
// and what the command returns is printed as one JSON object. Without a command it
// runs the tests, which are short forms of the same measurements.
//
// A measurement is held to bars. One that is missed is printed as missed and is no
// error: the figures depend on the machine, and who reads them judges.
package benchtest

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"testing"
)

// A Command measures something, or is a part of a measurement that is a process of
// its own. It returns what is to be printed; nil is nothing.
type Command = func(args []string) (result any, err error)

// Main is for TestMain. It runs the command that the first argument names, or else
// the tests, and ends the process.
func Main(m *testing.M, commands map[string]Command) {
	if len(os.Args) > 1 {
		if command, ok := commands[os.Args[1]]; ok {
			os.Exit(run(os.Args[1], command, os.Args[2:], os.Stdout, os.Stderr))
		}
	}
	os.Exit(m.Run())
}

func run(name string, command Command, args []string, stdout, stderr io.Writer) (code int) {
	result, err := command(args)
	if err == nil && result != nil {
		out := json.NewEncoder(stdout)
		out.SetIndent("", "  ")
		err = out.Encode(result)
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

// Flags are those of one command. Its help goes to standard error, and flags that it
// does not have end the process.
func Flags(command string) *flag.FlagSet { return flag.NewFlagSet(command, flag.ExitOnError) }

// Bar is one demand and whether a run met it.
type Bar struct {
	Name     string  `json:"name"`
	Measured float64 `json:"measured"`
	Limit    float64 `json:"limit"`
	Pass     bool    `json:"pass"`
}

// AtMost demands no more than the limit.
func AtMost(name string, measured, limit float64) Bar {
	return Bar{name, measured, limit, measured <= limit}
}

// AtLeast demands no less than the limit.
func AtLeast(name string, measured, limit float64) Bar {
	return Bar{name, measured, limit, measured >= limit}
}
