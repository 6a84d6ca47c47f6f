package server

import (
	"fmt"
	"testing"

	"slipstream/origin/store"
)

func TestCMSDOfMedia(t *testing.T) {
	for _, c := range []struct {
		of   store.Description
		want string
	}{
		{store.Description{DurationMs: 2000, Size: 500_000, Codecs: "avc1.4d401e,mp4a.40.2", Next: "8.m4s"}, `ot=av,sf=h,st=l,d=2000,br=2000,nor="8.m4s"`},
		{store.Description{DurationMs: 500, Size: 10_000, Codecs: "avc1.4d401e"}, "ot=v,sf=h,st=l,d=500,br=160"},
		{store.Description{DurationMs: 1998, Size: 32_000, Codecs: "mp4a.40.2", Next: "8.0.m4s"}, `ot=a,sf=h,st=l,d=1998,br=128,nor="8.0.m4s"`},
		{store.Description{DurationMs: 2000, Size: 1000, Codecs: "wvtt"}, "sf=h,st=l,d=2000,br=4"},
		{store.Description{DurationMs: 2000, Size: 1000}, "sf=h,st=l,d=2000,br=4"},
		{store.Description{}, "sf=h,st=l"},
	} {
		if got := cmsdMedia(c.of); got != c.want {
			t.Errorf("%+v: %s, want %s", c.of, got, c.want)
		}
	}
}

func TestAnswersSayWhatTheyHold(t *testing.T) {
	s := newSite(t, nil)
	s.publishParts(first, 0, 4)
	s.publish(first)
	s.publishParts(first+1, 0, 2)
	segment := func(number int64) string { return fmt.Sprintf("/live/demo/360p/%d.m4s", number) }
	part := func(number int64, index int) string { return fmt.Sprintf("/live/demo/360p/%d.%d.m4s", number, index) }
	check := func(path, want string) {
		t.Helper()
		s.ask("GET", path).want(t, path, 200, "Cmsd-Static", want)
	}
	check("/live/demo/index.m3u8", "ot=m,sf=h,st=l")
	check(media360p, "ot=m,sf=h,st=l")
	check(segment(first), "ot=av,sf=h,st=l,d=2000,br=160")
	check(segment(first)+".leaves", "-") // no media
	check(part(first, 2), fmt.Sprintf(`ot=av,sf=h,st=l,d=500,br=160,nor="%d.3.m4s"`, first))
	check(part(first, 3), fmt.Sprintf(`ot=av,sf=h,st=l,d=500,br=160,nor="%d.0.m4s"`, first+1))
	check(part(first+1, 1), "ot=av,sf=h,st=l,d=500,br=160")
	s.publish(first + 1)
	check(segment(first), fmt.Sprintf(`ot=av,sf=h,st=l,d=2000,br=160,nor="%d.m4s"`, first+1))
	s.ask("GET", segment(first), "Range", "bytes=0-99").want(t, "a range", 206, "Cmsd-Static", fmt.Sprintf(`ot=av,sf=h,st=l,d=2000,br=160,nor="%d.m4s"`, first+1))
	s.ask("GET", segment(first+7)).want(t, "what is not there", 404, "Cmsd-Static", "-")
}
