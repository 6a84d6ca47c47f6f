package cdn

import (
	"slices"
	"strings"
	"testing"
)

func TestReadManifest(t *testing.T) {
	m, err := ReadManifest(`{"VERSION":1,"TTL":30,"RELOAD-URI":"steering.json?viewer=7","PATHWAY-PRIORITY":["b","a"],"PATHWAY-CLONES":[]}`)
	if err != nil || m.TTLMs != 30_000 || m.Reload != "steering.json?viewer=7" || !slices.Equal(m.Priority, []string{"b", "a"}) {
		t.Errorf("it reads %+v, %v", m, err)
	}
	for text, wantMs := range map[string]int64{
		`{"VERSION":1,"TTL":0,"PATHWAY-PRIORITY":["a"]}`:      MinTTLMs,
		`{"VERSION":1,"TTL":-1e300,"PATHWAY-PRIORITY":["a"]}`: MinTTLMs,
		`{"VERSION":1,"TTL":1e300,"PATHWAY-PRIORITY":["a"]}`:  MaxTTLMs,
	} {
		if m, err := ReadManifest(text); err != nil || m.TTLMs != wantMs {
			t.Errorf("%s is read as %+v, %v", text, m, err)
		}
	}
	for _, text := range []string{"", "[]", "{}", `{"VERSION":2,"TTL":30,"PATHWAY-PRIORITY":["a"]}`, `{"VERSION":1,"TTL":30,"PATHWAY-PRIORITY":[]}`,
		`{"VERSION":1,"TTL":30,"PATHWAY-PRIORITY":["a",5]}`, strings.Repeat(" ", MaxManifestBytes) + `{"VERSION":1,"PATHWAY-PRIORITY":["a"]}`} {
		if m, err := ReadManifest(text); err == nil {
			t.Errorf("%.80q is read as %+v", text, m)
		}
	}
}

func FuzzReadManifest(f *testing.F) {
	f.Add(`{"VERSION":1,"TTL":30,"RELOAD-URI":"x","PATHWAY-PRIORITY":["b","a"]}`)
	f.Add(`{"VERSION":1,"TTL":1e308,"PATHWAY-PRIORITY":["a"]}`)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ReadManifest(text)
		if err != nil {
			return
		}
		if m.TTLMs < MinTTLMs || m.TTLMs > MaxTTLMs || len(m.Priority) == 0 {
			t.Errorf("%q is read as %+v", text, m)
		}
		c := New([]string{"a", "b"}, 0)
		c.Prefer(m.Priority)
		if first, second := c.Next(0), c.Next(1<<c.Next(0)); first == None || second == None || first == second {
			t.Errorf("%q leads to %d and %d", text, first, second)
		}
	})
}
