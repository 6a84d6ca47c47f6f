package cdn

import (
	"encoding/json"
	"os"
	"testing"
)

// TestStories replays what player/test/choice.test.ts replays too. A step is an operation, its arguments, and for next and probe the answer.
func TestStories(t *testing.T) {
	text, err := os.ReadFile("testdata/choice.json")
	if err != nil {
		t.Fatal(err)
	}
	var stories []struct {
		Name   string
		Names  []string
		Spread int64
		Steps  [][]any
	}
	if err := json.Unmarshal(text, &stories); err != nil {
		t.Fatal(err)
	}
	for _, story := range stories {
		t.Run(story.Name, func(t *testing.T) {
			c := New(story.Names, story.Spread)
			for i, step := range story.Steps {
				number := func(at int) int64 { return int64(step[at].(float64)) }
				answer := func(got int) {
					if int64(got) != number(2) {
						t.Fatalf("step %d, %v: it says %d", i, step, got)
					}
				}
				switch step[0] {
				case "next":
					answer(c.Next(uint(number(1))))
				case "probe":
					answer(c.Probe(number(1)))
				case "failed":
					c.Failed(number(1), int(number(2)))
				case "worked":
					c.Worked(number(1), int(number(2)))
				case "prefer":
					var names []string
					for _, name := range step[1:] {
						names = append(names, name.(string))
					}
					c.Prefer(names)
				default:
					t.Fatalf("step %d is %v", i, step)
				}
			}
		})
	}
}

func TestPenaltiesAreBounded(t *testing.T) {
	c := New([]string{"a", "b"}, 999)
	nowMs := int64(1_000_000)
	for range 100 {
		c.Failed(nowMs, 0)
		nowMs = c.cdns[0].untilMs
	}
	if last := nowMs - c.cdns[0].sinceMs; last != PenaltyMs<<doublings+PenaltyMs<<doublings*999/2000 {
		t.Errorf("after a hundred failures the penalty is %d ms", last)
	}
}

func TestMoreThanMaxAreLeftOut(t *testing.T) {
	c := New(make([]string, 100), 0)
	if c.Count() != Max {
		t.Errorf("%d CDNs", c.Count())
	}
}
