package sim

import (
	"encoding/json"
	"fmt"
	"io"

	"slipstream/sim/report"
)

// Check is one number that is held against another.
type Check struct {
	Name     string  `json:"name"`
	Measured float64 `json:"measured"`
	Bar      float64 `json:"bar"`
	AtLeast  bool    `json:"atLeast"` // measured ≥ bar is wanted; otherwise measured ≤ bar
	Pass     bool    `json:"pass"`
	Note     string  `json:"note,omitempty"`
}

func atLeast(name string, measured, bar float64, note string) Check {
	return Check{name, measured, bar, true, measured >= bar, note}
}

func atMost(name string, measured, bar float64, note string) Check {
	return Check{name, measured, bar, false, measured <= bar, note}
}

// Checks is a table of them, with the runs that they are about.
type Checks struct {
	Checks []Check          `json:"checks"`
	Runs   []*report.Report `json:"runs,omitempty"`
	WallMs int64            `json:"wallMs"`
}

// missed is an error that counts what was not reached, nil if all was.
func (c *Checks) missed() error {
	n := 0
	for i := range c.Checks {
		if !c.Checks[i].Pass {
			n++
		}
	}
	if n > 0 {
		return fmt.Errorf("%d of %d bars were missed; the table names them", n, len(c.Checks))
	}
	return nil
}

// write writes the table, as one JSON object if asked to.
func (c *Checks) write(out io.Writer, asJSON bool) error {
	var err error
	if asJSON {
		err = json.NewEncoder(out).Encode(c)
	} else {
		err = c.writeText(out)
	}
	if err != nil {
		return fmt.Errorf("the table cannot be written: %w", err)
	}
	return nil
}

func (c *Checks) writeText(out io.Writer) error {
	for i := range c.Checks {
		check := &c.Checks[i]
		relation, verdict := "≤", "MISS"
		if check.AtLeast {
			relation = "≥"
		}
		if check.Pass {
			verdict = "pass"
		}
		if _, err := fmt.Fprintf(out, "%s  %-78s %10.4f %s %10.4f  %s\n", verdict, check.Name, check.Measured, relation, check.Bar, check.Note); err != nil {
			return err
		}
	}
	return nil
}
