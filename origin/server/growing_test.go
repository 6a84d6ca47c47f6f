package server

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"slipstream/origin/cmaf"
)

// encoded is a segment that an encoder made, with its parts, under the number first+1.
func encoded(t *testing.T) (whole cmaf.Segment, parts []cmaf.Part) {
	t.Helper()
	stream, err := os.ReadFile("../cmaf/testdata/run.mp4")
	if err != nil {
		t.Fatal(err)
	}
	cutter := cmaf.NewCutter("360p")
	outputs, err := cutter.Write(stream)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range append(outputs, cutter.Close()...) {
		switch {
		case o.Part != nil:
			parts = append(parts, *o.Part)
		case o.Segment.DurationMs == 2000:
			whole = *o.Segment
			for i := range parts {
				parts[i].Number, parts[i].StartMs = first+1, parts[i].StartMs-whole.StartMs+(first+1)*2000
			}
			whole.Number, whole.StartMs = first+1, (first+1)*2000
			return whole, parts
		default:
			parts = nil
		}
	}
	t.Fatal("the recording has no whole segment")
	return whole, parts
}

// pouring is an answer that can be looked at while it is given.
type pouring struct {
	httptest.ResponseRecorder
	mu sync.Mutex
}

func (p *pouring) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ResponseRecorder.Write(b)
}

func (p *pouring) got() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.Body.String()
}

// pour asks for a track of the segment that is being made. broken tells, at the end, whether the answer was broken off.
func (s *site) pour(ctx context.Context, method, track string) (p *pouring, broken chan bool) {
	p, broken = &pouring{ResponseRecorder: *httptest.NewRecorder()}, make(chan bool, 1)
	path := fmt.Sprintf("/live/demo/360p/%s/%d.m4s", track, (first+1)*2000)
	go func() {
		defer func() { broken <- recover() == http.ErrAbortHandler }()
		s.server.ServeHTTP(p, httptest.NewRequest(method, path, nil).WithContext(ctx))
	}()
	synctest.Wait()
	return p, broken
}

// before publishes what comes before the segment, under its init section.
func (s *site) before(whole cmaf.Segment) {
	whole.Number, whole.StartMs, whole.Data = first, first*2000, []byte("x")
	for _, whole.Rendition = range []string{"360p", "180p"} {
		if err := s.store.Publish(whole, s.nowMs.Load()); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *site) add(p cmaf.Part) {
	s.t.Helper()
	if err := s.store.PublishPart(p, s.nowMs.Load()); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
}

func joined(t *testing.T, init []byte, kind cmaf.Kind, of ...[]byte) string {
	t.Helper()
	var out bytes.Buffer
	for _, data := range of {
		pieces, err := cmaf.TrackPart(init, data, kind)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(bytes.Join(pieces, nil))
	}
	return out.String()
}

func TestATrackIsSentWhileItsSegmentIsMade(t *testing.T) {
	for _, kind := range []cmaf.Kind{cmaf.Video, cmaf.Audio} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, nil)
			s.web.Close()
			whole, parts := encoded(t)
			s.before(whole)
			early, _ := s.pour(t.Context(), "GET", string(kind))
			if early.Code != 404 {
				t.Errorf("before its first part: %d", early.Code)
			}
			s.add(parts[0])
			early, brokenEarly := s.pour(t.Context(), "GET", string(kind))
			var sent [][]byte
			for i, p := range parts {
				if i > 0 {
					s.add(p)
				}
				if sent = append(sent, p.Data); early.got() != joined(t, whole.Init, kind, sent...) || early.got() == "" {
					t.Errorf("after %d parts %d bytes have come, or others", len(sent), len(early.got()))
				}
			}
			late, brokenLate := s.pour(t.Context(), "GET", string(kind))
			if late.got() != early.got() {
				t.Errorf("who comes late has %d bytes, who came early %d", len(late.got()), len(early.got()))
			}
			if err := s.store.Publish(whole, s.nowMs.Load()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			after, brokenAfter := s.pour(t.Context(), "GET", string(kind))
			for name, broken := range map[string]chan bool{"early": brokenEarly, "late": brokenLate, "after": brokenAfter} {
				if <-broken {
					t.Errorf("who came %s was cut off", name)
				}
			}
			if after.got() != joined(t, whole.Init, kind, whole.Data) || early.got() != after.got() || late.got() != after.got() {
				t.Errorf("in the end early has %d bytes, late %d, the whole %d", len(early.got()), len(late.got()), len(after.got()))
			}
			h := early.Result().Header
			if early.Code != 200 || h.Get("Content-Type") != string(kind)+"/mp4" || h.Get("Cache-Control") != cacheForEver || h.Get("Content-Length") != "" ||
				h.Get("CMSD-Static") != fmt.Sprintf("ot=%.1s,sf=d,st=l,d=2000", kind) || !early.Flushed {
				t.Errorf("%d, %v", early.Code, h)
			}
		})
	}
}

// Half a segment that looks like a whole one would stay in caches for ever.
func TestATrackWhoseSegmentIsNotFinishedIsBrokenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, nil)
		s.web.Close()
		whole, parts := encoded(t)
		s.before(whole)
		s.add(parts[0])
		head, broken := s.pour(t.Context(), "HEAD", "video")
		if <-broken || head.Code != 200 || head.got() != "" {
			t.Errorf("HEAD: %d, %d bytes", head.Code, len(head.got()))
		}
		if text, _ := s.pour(t.Context(), "GET", "text"); text.Code != 404 || !strings.Contains(text.got(), "is no track") {
			t.Errorf("a track that there is not: %d", text.Code)
		}
		if _, broken := s.pour(t.Context(), "GET", "video"); !<-broken { // the clock goes on by itself
			t.Error("nothing came any more: the answer ended as if it were whole")
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, broken = s.pour(ctx, "GET", "video")
		if cancel(); !<-broken {
			t.Error("the client was gone: the answer went on")
		}
		_, broken = s.pour(t.Context(), "GET", "video")
		whole.Data = []byte("something else")
		if err := s.store.Publish(whole, s.nowMs.Load()); err != nil {
			t.Fatal(err)
		}
		if !<-broken {
			t.Error("the segment became another one: the answer ended as if it were whole")
		}
	})
}
