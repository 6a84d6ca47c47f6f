package server

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"slipstream/origin/cmaf"
)

func (s *site) publishParts(n int64, from, to int) {
	s.t.Helper()
	for _, rendition := range []string{"360p", "180p"} {
		all := data(rendition, n)
		for i := from; i < to; i++ {
			startMs := n*2000 + int64(i)*500
			s.nowMs.Store(startMs + 600)
			if err := s.store.PublishPart(cmaf.Part{
				Segment: cmaf.Segment{Rendition: rendition, Number: n, StartMs: startMs, DurationMs: 500, Data: all[i*10_000 : (i+1)*10_000], Init: []byte("init")},
				Index:   i, Independent: i == 0,
			}, s.nowMs.Load()); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// request asks without a network, so that the clock of synctest counts.
type request struct {
	answer *httptest.ResponseRecorder
	done   atomic.Bool
}

func (s *site) request(path string) *request {
	r := &request{answer: httptest.NewRecorder()}
	go func() {
		s.server.ServeHTTP(r.answer, httptest.NewRequest("GET", path, nil))
		r.done.Store(true)
	}()
	synctest.Wait()
	return r
}

const media360p = "/live/demo/360p/index.m3u8"

func TestAPlaylistIsHeldBackUntilItHasThePart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, nil)
		s.web.Close()
		s.publishParts(first, 0, 4)
		s.publish(first)
		s.publishParts(first+1, 0, 1)
		ask := func(msn int64, part int) *request {
			path := fmt.Sprintf("%s?_HLS_msn=%d", media360p, msn)
			if part >= 0 {
				path += fmt.Sprintf("&_HLS_part=%d", part)
			}
			return s.request(path)
		}
		there := ask(first+1, 0)
		second, third, whole, beyond := ask(first+1, 1), ask(first+1, 2), ask(first+1, -1), ask(first+1, 7)
		if !there.done.Load() || there.answer.Code != 200 || there.answer.Header().Get("Cache-Control") != "public, max-age=12" {
			t.Errorf("what is there already: %t, %d, %s", there.done.Load(), there.answer.Code, there.answer.Header().Get("Cache-Control"))
		}
		expect := func(when string, r *request, done bool, contains string) {
			t.Helper()
			synctest.Wait()
			if r.done.Load() != done {
				t.Fatalf("%s: answered %t", when, r.done.Load())
			}
			if done && (r.answer.Code != 200 || !strings.Contains(r.answer.Body.String(), contains)) {
				t.Errorf("%s: %d without %s", when, r.answer.Code, contains)
			}
		}
		expect("early", second, false, "")
		s.publishParts(first+1, 1, 2)
		expect("with the second", second, true, fmt.Sprintf("URI=\"%d.1.m4s\"", first+1))
		expect("with the second", third, false, "")
		s.publishParts(first+1, 2, 4)
		expect("with the third", third, true, fmt.Sprintf("URI=\"%d.2.m4s\"", first+1))
		expect("with all parts", whole, false, "")
		s.publish(first + 1)
		expect("with the segment", whole, true, fmt.Sprintf("\n%d.m4s\n", first+1))
		expect("with the segment", beyond, true, fmt.Sprintf("\n%d.m4s\n", first+1)) // a part that it does not have
	})
}

func TestThePartThatComesNextCanBeAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, nil)
		s.web.Close()
		s.publishParts(first, 0, 4)
		s.publish(first)
		s.publishParts(first+1, 0, 2)
		hinted := s.request(fmt.Sprintf("/live/demo/360p/%d.2.m4s", first+1))
		never := s.request(fmt.Sprintf("/live/demo/360p/%d.3.m4s.leaves", first+1))
		if hinted.done.Load() || !never.done.Load() || never.answer.Code != 404 {
			t.Fatalf("the next one answered %t, the one after %t with %d", hinted.done.Load(), never.done.Load(), never.answer.Code)
		}
		s.publishParts(first+1, 2, 3)
		synctest.Wait()
		if !hinted.done.Load() || hinted.answer.Body.String() != string(data("360p", first+1)[20_000:30_000]) || hinted.answer.Header().Get("Cache-Control") != cacheForEver {
			t.Errorf("the part came: answered %t, %d bytes", hinted.done.Load(), hinted.answer.Body.Len())
		}
		// The segment ends early: the part that was hinted at never comes.
		hinted = s.request(fmt.Sprintf("/live/demo/360p/%d.3.m4s", first+1))
		s.publish(first + 1)
		synctest.Wait()
		if !hinted.done.Load() || hinted.answer.Code != 404 {
			t.Errorf("a part that will never come: answered %t, %d", hinted.done.Load(), hinted.answer.Code)
		}
		if leaves := s.request(fmt.Sprintf("/live/demo/360p/%d.2.m4s.leaves", first+1)); leaves.answer.Code != 200 || leaves.answer.Body.Len() != 32 {
			t.Errorf("its leaf list: %d, %d bytes", leaves.answer.Code, leaves.answer.Body.Len())
		}
	})
}

func TestNobodyWaitsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, nil)
		s.web.Close()
		s.publishParts(first, 0, 4)
		s.publish(first)
		r := s.request(fmt.Sprintf("%s?_HLS_msn=%d&_HLS_part=0", media360p, first+1))
		time.Sleep(blockTimeout - time.Millisecond)
		if synctest.Wait(); r.done.Load() {
			t.Error("given up too early")
		}
		time.Sleep(time.Millisecond)
		if synctest.Wait(); !r.done.Load() || r.answer.Code != 503 || r.answer.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("after three target durations: answered %t, %d", r.done.Load(), r.answer.Code)
		}
	})
}

func TestDirectivesThatMakeNoSense(t *testing.T) {
	s := newSite(t, nil)
	s.publishParts(first, 0, 4)
	s.publish(first)
	for query, want := range map[string]string{
		"_HLS_part=1":                                 "says nothing without _HLS_msn",
		"_HLS_msn=x":                                  "_HLS_msn is no segment number",
		"_HLS_msn=-1":                                 "_HLS_msn is no segment number",
		"_HLS_msn=99999999999999999999":               "_HLS_msn is no segment number",
		"_HLS_msn=1&_HLS_part=-2":                     "_HLS_part is no part number",
		fmt.Sprintf("_HLS_msn=%d", first+3):           "too far ahead",
		fmt.Sprintf("_HLS_msn=%d&_HLS_part=0", 1<<40): "too far ahead",
	} {
		if a := s.ask("GET", media360p+"?"+query); a.status != 400 || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d, %s", query, a.status, a.body)
		}
	}
	for _, name := range []string{"1.2.3.m4s", "1.x.m4s", "01.2.m4s", "1.02.m4s", "1.-2.m4s", "1.2.mp4", "..m4s"} {
		if a := s.ask("GET", "/live/demo/360p/"+name); a.status != 404 {
			t.Errorf("%s: %d", name, a.status)
		}
	}
}

// Where there are no parts nothing says that one may ask, and what is asked is not heard.
func TestWithoutPartsNobodyWaits(t *testing.T) {
	s := newSite(t, nil)
	s.publish(first)
	s.ask("GET", fmt.Sprintf("%s?_HLS_msn=%d&_HLS_skip=YES", media360p, first+1)).want(t, "without parts", 200, "Cache-Control", "public, max-age=1")
	s.ask("GET", fmt.Sprintf("/live/demo/360p/%d.0.m4s", first+1)).want(t, "a part", 404)
}
