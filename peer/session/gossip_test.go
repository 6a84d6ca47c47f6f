package session_test

import (
	"testing"
	"time"
)

func TestViewersTellEachOtherOfNewSegments(t *testing.T) {
	t.Parallel()
	c := newChannel(t)
	viewers := c.audience(t, 8)
	time.Sleep(3 * time.Second) // until all have found the origin's phase
	polls := c.polls.Load()
	time.Sleep(12 * time.Second) // six segments
	if n := c.polls.Load() - polls; n > 24 {
		t.Errorf("eight viewers polled %d times for six segments", n)
	} else {
		t.Logf("eight viewers polled %d times for six segments", n)
	}
	noStalls(t, viewers)
	for i, v := range viewers {
		if o := v.observe(); o.aheadMs < 2000 {
			t.Errorf("viewer %d has %d ms in hand", i, o.aheadMs)
		}
	}
}
