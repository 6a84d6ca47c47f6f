package scenario

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	"slipstream/sim/world"
)

// readTrace reads a file of recorded visits, one a line: when it began and how long
// it lasted, in seconds, with commas between, and "crash" if it ended without a word.
// An empty length or 0 means to the end. Lines that begin with # are comments.
//
//	# join, stay
//	0.0, 312.5
//	1.2, 40, crash
//	3.7,
func readTrace(name string, open func(string) ([]byte, error), cfg *world.Config) error {
	if open == nil {
		return fmt.Errorf("viewers.trace: there is no file %s here", name)
	}
	text, err := open(name)
	if err != nil {
		return fmt.Errorf("viewers.trace cannot be read: %w", err)
	}
	n := 0
	for line := range bytes.Lines(text) {
		n++
		entry := strings.TrimSpace(string(line))
		if entry == "" || entry[0] == '#' {
			continue
		}
		visit, ok := parseVisit(strings.Split(entry, ","))
		if !ok {
			return fmt.Errorf("viewers.trace: line %d of %s is not “join, stay” or “join, stay, crash” in seconds", n, name)
		}
		cfg.Arrival.Visits = append(cfg.Arrival.Visits, visit)
	}
	if len(cfg.Arrival.Visits) == 0 {
		return fmt.Errorf("viewers.trace: %s holds no visits", name)
	}
	cfg.Viewers = len(cfg.Arrival.Visits)
	return nil
}

func parseVisit(columns []string) (v world.Visit, ok bool) {
	if len(columns) < 1 || len(columns) > 3 {
		return v, false
	}
	for i := range columns {
		columns[i] = strings.TrimSpace(columns[i])
	}
	if v.JoinMs, ok = parseSeconds(columns[0]); !ok {
		return v, false
	}
	if len(columns) > 1 && columns[1] != "" {
		if v.StayMs, ok = parseSeconds(columns[1]); !ok {
			return v, false
		}
	}
	v.Crash = len(columns) == 3
	return v, !v.Crash || columns[2] == "crash"
}

func parseSeconds(text string) (ms int64, ok bool) {
	s, err := strconv.ParseFloat(text, 64)
	return int64(math.Round(s * 1000)), err == nil && s >= 0 && s <= 86_400
}
