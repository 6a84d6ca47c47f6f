package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

// commands are the programs that this test binary is.
var commands = map[string]func(args []string) (any, error){"announce": compare, "load": generate}

// TestMain runs a program if the first argument names one, and the tests otherwise.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if command, ok := commands[os.Args[1]]; ok {
			result, err := command(os.Args[2:])
			if err == nil {
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
