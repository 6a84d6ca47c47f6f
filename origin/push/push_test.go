package push

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"slipstream/origin/ingest"
	"slipstream/origin/logtest"
	"slipstream/origin/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf is a source with one rendition.
type shelf struct {
	mu       sync.Mutex
	segments map[int64][]byte
	newest   int64
	begun    int64 // -1: nothing is being filled
	parts    []string
	slate    bool
	told     int64 // of discontinuities
	changed  chan struct{}
}

func newShelf(numbers ...int64) *shelf {
	s := &shelf{segments: make(map[int64][]byte), newest: -1, begun: -1, changed: make(chan struct{})}
	for _, n := range numbers {
		s.add(n)
	}
	return s
}

func (s *shelf) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	close(s.changed)
	s.changed = make(chan struct{})
}

func text(number int64) string { return fmt.Sprintf("<%d>", number) }

func (s *shelf) add(number int64) {
	s.change(func() {
		s.segments[number], s.newest = []byte(text(number)), number
		s.begun, s.parts = -1, nil
	})
}

func (s *shelf) addPart(number int64, part string) {
	s.change(func() {
		if s.begun != number {
			s.begun, s.parts = number, nil
		}
		s.parts = append(s.parts, part)
	})
}

func (s *shelf) Renditions() []string { return []string{"360p"} }

func (s *shelf) Made(string) bool { return true }

func (s *shelf) CountOn(discontinuities int64) { s.change(func() { s.told = discontinuities }) }

func (s *shelf) Edge(string) (store.Edge, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return store.Edge{Number: s.newest, Begun: s.begun, Parts: len(s.parts), Changed: s.changed}, true
}

func (s *shelf) After(_ string, number int64) (store.Pending, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := max(0, number+1); n <= s.newest; n++ {
		if data := s.segments[n]; data != nil {
			return store.Pending{Number: n, Init: []byte("init"), Data: data, Discontinuities: 3, Slate: s.slate}, true
		}
	}
	if s.begun > number {
		return store.Pending{Number: s.begun, Init: []byte("init"), Discontinuities: 3}, true
	}
	return store.Pending{}, false
}

func (s *shelf) Segment(_ string, number int64) (store.Object, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := s.segments[number]
	return store.Object{Data: data}, data != nil
}

func (s *shelf) Part(_ string, number int64, index int) (store.Object, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun != number || index >= len(s.parts) {
		return store.Object{}, false
	}
	return store.Object{Data: []byte(s.parts[index])}, true
}

// target is a packager: answer says what becomes of a request.
type target struct {
	t      *testing.T
	url    string
	got    chan string // "<name> <body>" of each request that was read to its end
	answer func(number string, w http.ResponseWriter)
}

func newTarget(t *testing.T, answer func(number string, w http.ResponseWriter)) *target {
	x := &target{t: t, got: make(chan string, 100), answer: answer}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			x.got <- path.Base(r.URL.Path) + " cut off"
			return
		}
		if r.Method != "PUT" || path.Dir(r.URL.Path) != "/ingest/key/360p" || r.Header.Get(ingest.PublisherHeader) == "" || r.Header.Get(ingest.DiscontinuitiesHeader) != "3" ||
			r.Header.Get(ingest.RenditionsHeader) != "360p" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		if x.answer != nil {
			x.answer(strings.TrimSuffix(path.Base(r.URL.Path), ".m4s"), w)
		}
		slate := ""
		if r.Header.Get(ingest.SlateHeader)+r.Trailer.Get(ingest.SlateHeader) != "" {
			slate = " slate"
		}
		x.got <- path.Base(r.URL.Path) + " " + string(body) + slate
	}))
	t.Cleanup(site.Close)
	x.url = site.URL + "/ingest/key"
	return x
}

func (x *target) next() string {
	x.t.Helper()
	select {
	case got := <-x.got:
		return got
	case <-time.After(10 * time.Second):
		x.t.Fatal("nothing was pushed for ten seconds")
		return ""
	}
}

func (x *target) gets(want ...string) {
	x.t.Helper()
	for _, w := range want {
		if got := x.next(); got != w {
			x.t.Fatalf("%q was pushed, want %q", got, w)
		}
	}
}

// pushing runs until the test ends.
func pushing(t *testing.T, s *shelf, log *logtest.Buffer, targets ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		done <- Run(ctx, Config{Source: s, Targets: targets, Logger: slog.New(slog.NewTextHandler(log, nil))})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestATargetThatHangsHoldsUpNobody(t *testing.T) {
	hold := make(chan struct{})
	hanging := newTarget(t, func(string, http.ResponseWriter) { <-hold })
	quick := newTarget(t, nil)
	s := newShelf(5, 6)
	var log logtest.Buffer
	pushing(t, s, &log, hanging.url, quick.url)
	quick.gets("5.m4s init<5>", "6.m4s init<6>")
	for n := int64(7); n < 40; n++ {
		s.add(n)
		quick.gets(fmt.Sprintf("%d.m4s init<%d>", n, n))
	}
	close(hold) // and what it has missed comes
	for n := int64(5); n < 40; n++ {
		hanging.gets(fmt.Sprintf("%d.m4s init<%d>", n, n))
	}
}

// A target that was away says what it has: only what is newer is pushed. What it will never take is not offered again. One that knows of more
// discontinuities says so.
func TestATargetThatWasAwayCatchesUp(t *testing.T) {
	var mu sync.Mutex
	away := true
	x := newTarget(t, func(number string, w http.ResponseWriter) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case away:
			w.Header().Set(ingest.DiscontinuitiesHeader, "12")
			w.WriteHeader(http.StatusConflict)
		case number == "5":
			w.Header().Set(ingest.NewestHeader, "7")
		case number == "8":
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	s := newShelf(5, 6, 7, 8, 9)
	var log logtest.Buffer
	pushing(t, s, &log, x.url)
	x.gets("5.m4s init<5>", "5.m4s init<5>")
	mu.Lock()
	away = false
	mu.Unlock()
	s.change(func() {
		if s.told != 12 {
			t.Errorf("of 12 discontinuities %d were told", s.told)
		}
	})
	for x.next() != "8.m4s init<8>" { // it may have been asked once more
	}
	x.gets("9.m4s init<9>")
	s.add(10)
	x.gets("10.m4s init<10>")
	for _, says := range []string{"does not take what is pushed", "it answers 409", "takes what is pushed to it again"} {
		if !strings.Contains(log.String(), says) {
			t.Errorf("the log does not say %q:\n%s", says, log.String())
		}
	}
	if strings.Contains(log.String(), "key") {
		t.Errorf("the log has the stream key:\n%s", log.String())
	}
}

func TestASegmentIsSentWhileItIsBeingFilled(t *testing.T) {
	x := newTarget(t, nil)
	s := newShelf(5)
	var log logtest.Buffer
	pushing(t, s, &log, x.url)
	x.gets("5.m4s init<5>")
	s.addPart(6, "<")
	s.addPart(6, "6")
	s.add(6)
	x.gets("6.m4s init<6>")
	s.change(func() { s.slate = true })
	s.addPart(7, "<7>")
	s.add(7)
	x.gets("7.m4s init<7> slate")
	s.add(8)
	x.gets("8.m4s init<8> slate")
	s.change(func() { s.slate = false })
	s.addPart(9, "<9")
	s.addPart(10, "<10") // the encoder died, and its next run has begun
	s.add(10)
	for got := x.next(); got != "10.m4s init<10>"; got = x.next() {
		if got != "9.m4s cut off" {
			t.Fatalf("%q was pushed", got)
		}
	}
}

func TestAddressesOfTargets(t *testing.T) {
	for address, good := range map[string]bool{
		"http://packager.example:8080/ingest/key": true, "https://packager.example/ingest/key/": true,
		"http://packager.example": false, "packager.example:8080/ingest/key": false, "rtmp://packager.example/ingest/key": false, "http://%zz/": false,
		"http://packager.example/ingest/key?x": false, "": false,
	} {
		if _, err := Check(address); (err == nil) != good || err != nil && strings.Contains(err.Error(), "example/ingest/key") {
			t.Errorf("%q: %v", address, err)
		}
	}
}
