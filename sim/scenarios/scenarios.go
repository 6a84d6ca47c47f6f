// Package scenarios holds the experiments that come with the simulator. Each is
// a file that explains itself; `slipstream sim run NAME` runs it.
package scenarios

import (
	"embed"
	"strings"
)

// Files are the scenarios, NAME.yaml each.
//
//go:embed *.yaml
var Files embed.FS

// Names lists the scenarios in alphabetical order.
func Names() []string {
	entries, _ := Files.ReadDir(".") // an embedded directory can always be read
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	return names
}
