package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
)

func TestNoLawIsBroken(t *testing.T) {
	var out bytes.Buffer
	if err := Validate(context.Background(), ValidateConfig{Short: true, Out: &out}); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	for _, oracle := range []string{"CDN floor", "deadline", "delay", "fan-out", "election", "processors"} {
		if !strings.Contains(out.String(), "pass  "+oracle) {
			t.Errorf("nothing was held against %s:\n%s", oracle, out.String())
		}
	}
}

func TestAMissedBarIsAnError(t *testing.T) {
	c := Checks{Checks: []Check{atLeast("enough", 2, 1, ""), atMost("too much", 3, 1, "by far")}}
	if err := c.missed(); err == nil || !strings.Contains(err.Error(), "1 of 2 bars were missed") {
		t.Errorf("the error is %v", err)
	}
	var text, object bytes.Buffer
	if err := c.write(&text, false); err != nil || !strings.Contains(text.String(), "MISS  too much") || !strings.Contains(text.String(), "pass  enough") {
		t.Errorf("%v\n%s", err, text.String())
	}
	var read Checks
	if err := c.write(&object, true); err != nil || json.Unmarshal(object.Bytes(), &read) != nil || len(read.Checks) != 2 || read.Checks[1].Pass {
		t.Errorf("%v: %s", err, object.String())
	}
	c.Checks = c.Checks[:1]
	if err := c.missed(); err != nil {
		t.Errorf("all was reached, and the error is %v", err)
	}
}

func TestBarsThatDoNotExist(t *testing.T) {
	err := Bars(context.Background(), BarsConfig{Only: "gold", Out: &bytes.Buffer{}})
	if err == nil || !strings.Contains(err.Error(), "there are no bars called gold; there are rooms, hostile,") {
		t.Errorf("the error is %v", err)
	}
}

func TestSmallRoomsAreSimulated(t *testing.T) {
	var out bytes.Buffer
	_ = Bars(context.Background(), BarsConfig{Only: "rooms", Short: true, JSON: true, Out: &out}) // whether they are reached is for the engine's tests
	var c Checks
	if err := json.Unmarshal(out.Bytes(), &c); err != nil || len(c.Checks) != 12 || len(c.Runs) != 24 {
		t.Errorf("%v: %d checks of %d runs", err, len(c.Checks), len(c.Runs))
	}
	for i := range c.Checks[:5] {
		if !c.Checks[i].Pass {
			t.Errorf("a room of a few misses its bar: %+v", c.Checks[i])
		}
	}
}

func TestSpeedIsToldAsJSON(t *testing.T) {
	var out bytes.Buffer
	if err := Speed(context.Background(), SpeedConfig{ScenarioPath: "two", Out: &out}); err != nil {
		t.Fatal(err)
	}
	var s speed
	if err := json.Unmarshal(out.Bytes(), &s); err != nil || s.Viewers != 2 || s.ViewerSeconds < 110 || s.Hash == "" {
		t.Errorf("%v: %+v", err, s)
	}
}
