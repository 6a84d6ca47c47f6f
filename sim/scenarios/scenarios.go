// Package scenarios holds the experiments that come with the simulator. Each is
// a file that explains itself; `slipstream sim run NAME` runs it.
package scenarios

import (
	"embed"
	"strings"
)

// Files are the scenarios, NAME.yaml each; those in bars are what the simulator is
// held to (`slipstream sim bars`).
//
//go:embed *.yaml bars/*.yaml
var Files embed.FS

// Names lists the scenarios outside of bars in alphabetical order.
func Names() []string {
	entries, _ := Files.ReadDir(".") // an embedded directory can always be read
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".yaml"); ok {
			names = append(names, name)
		}
	}
	return names
}
