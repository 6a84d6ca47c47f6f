package announce

import (
	"reflect"
	"testing"
)

func TestWhatIsWrittenQuicklyIsWhatTheTagsSay(t *testing.T) {
	valid, _ := readVectors(t)
	seen := map[string]bool{}
	for _, v := range valid {
		m, err := Decode(v.bytes())
		if err != nil {
			t.Fatal(err)
		}
		quick := appendQuickly(m)
		if quick == nil {
			continue
		}
		seen[reflect.TypeOf(m).Name()] = true
		if want, err := marshal(m); err != nil || string(quick) != string(want) {
			t.Errorf("%s: wrote\n%s\nwant\n%s", v.Name, quick, want)
		}
	}
	if len(seen) != 4 {
		t.Errorf("there are vectors for %v only", seen)
	}
}

func BenchmarkEncode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Encode(Neighbour{ID: 0x5eed5eed5eed5eed, Offer: true}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	report := []byte(`{"type":"report","ready":true,"noUpload":false,"neighbours":10,"renditions":["720p"],"uplinkBps":5000000,` +
		`"httpBytes":1000000,"p2pBytes":9000000,"uploadedBytes":8000000,"stalls":0,"stallMs":0,"latencyMs":6000,"rescues":3,"dropped":[]}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(report); err != nil {
			b.Fatal(err)
		}
	}
}
