package health

import (
	"strings"
	"testing"
)

func TestReasons(t *testing.T) {
	const now = int64(1_800_000_000_000)
	fresh := Rendition{Name: "360p", Head: 900_000_000, CreatedMs: now - 1900}
	with := func(change func(*Rendition)) Rendition {
		r := fresh
		change(&r)
		return r
	}
	old := with(func(r *Rendition) { r.CreatedMs = now - 5001 })
	holed := with(func(r *Rendition) { r.Missing = 1 })
	empty := Rendition{Name: "360p", Head: -1}
	both := Policy{StaleMs: 5000, Incomplete: true}
	for _, c := range []struct {
		name   string
		policy Policy
		is     Rendition
		want   string // the sentence's beginning; "": fit
	}{
		{"all is well", both, fresh, ""},
		{"just not stale", both, with(func(r *Rendition) { r.CreatedMs = now - 5000 }), ""},
		{"stale", both, old, `the newest segment of "360p" is 5 s old`},
		{"stale, and nobody minds", Policy{Incomplete: true}, old, ""},
		{"a hole", both, holed, `1 of the newest 8 segments of "360p" are missing`},
		{"a hole, and nobody minds", Policy{StaleMs: 5000}, holed, ""},
		{"slate", Policy{Slate: true}, with(func(r *Rendition) { r.Slate = 1 }), `1 of the newest 8 segments of "360p" show slate`},
		{"slate, and nobody minds", both, with(func(r *Rendition) { r.Slate = 8 }), ""},
		{"nothing yet", both, empty, `rendition "360p" has no segment yet`},
		{"nothing yet, and nobody minds", Policy{}, empty, `rendition "360p" has no segment yet`},
		{"stale and with a hole, and nobody minds", Policy{}, with(func(r *Rendition) { r.CreatedMs, r.Missing = 0, 8 }), ""},
	} {
		got := c.policy.Reasons([]Rendition{fresh, c.is}, now)
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], c.want)) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestEveryUnfitRenditionIsNamed(t *testing.T) {
	rs := []Rendition{{Name: "a", Head: -1}, {Name: "b", Head: 1, CreatedMs: 0}, {Name: "c", Head: 1, CreatedMs: 10_000, Missing: 8}}
	if got := (Policy{StaleMs: 5000, Incomplete: true}).Reasons(rs, 10_000); len(got) != 3 {
		t.Errorf("%q", got)
	}
}
