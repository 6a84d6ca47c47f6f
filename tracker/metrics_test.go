package tracker

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metricsDesk is /metrics with one counter, which tells how often it was collected, and a clock.
type metricsDesk struct {
	t         *testing.T
	now       time.Time
	page      *metricsPage
	collected int
}

func newMetricsDesk(t *testing.T) *metricsDesk {
	d := &metricsDesk{t: t, now: time.Unix(1_800_000_000, 0)}
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "collected_total", Help: "How often."}, func() float64 {
		d.collected++
		return float64(d.collected)
	}))
	d.page = newMetricsPage(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}), func() time.Time { return d.now })
	return d
}

func (d *metricsDesk) ask(accept, encoding string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	r.Header.Set("Accept-Encoding", encoding)
	w := httptest.NewRecorder()
	d.page.ServeHTTP(w, r)
	return w.Result()
}

// says is the text of an answer, which must be as compressed as it says.
func (d *metricsDesk) says(resp *http.Response) string {
	d.t.Helper()
	b, err := io.ReadAll(resp.Body)
	if resp.Header.Get("Content-Encoding") == "gzip" {
		plain, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			d.t.Fatal(err)
		}
		b, _ = io.ReadAll(plain)
	}
	if err != nil || resp.StatusCode != http.StatusOK {
		d.t.Fatalf("%s, %v", resp.Status, err)
	}
	return string(b)
}

func TestMetricsAreCollectedOnceASecond(t *testing.T) {
	d := newMetricsDesk(t)
	for second := 1; second <= 3; second++ {
		for range 100 {
			if got, want := d.says(d.ask("text/plain", "")), fmt.Sprintf("collected_total %d\n", second); !strings.HasSuffix(got, want) {
				t.Fatalf("got %q, want %q", got, want)
			}
			d.now = d.now.Add(9 * time.Millisecond)
		}
		d.now = d.now.Add(time.Second - 900*time.Millisecond)
	}
	d.now = d.now.Add(-time.Hour) // the clock was set
	if got := d.says(d.ask("text/plain", "")); !strings.HasSuffix(got, " 4\n") {
		t.Errorf("after the clock went back: %q", got)
	}
}

func TestMetricsComeAsTheyAreAskedFor(t *testing.T) {
	d := newMetricsDesk(t)
	const protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
	for range 2 { // as written, and as kept
		for encoding, compressed := range map[string]bool{
			"": false, "identity": false, "gzip": true, "br, GZIP;q=0.5": true, "gzip;q=0": false, "gzip; q=0.000, identity": false, "zstd": false, "deflate, gzip": true,
		} {
			resp := d.ask("text/plain", encoding)
			if got := resp.Header.Get("Content-Encoding") == "gzip"; got != compressed {
				t.Errorf("%q: compressed %v", encoding, got)
			}
			if body := d.says(resp); !strings.Contains(body, "# HELP collected_total How often.") {
				t.Errorf("%q: %q", encoding, body)
			}
			if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/plain") {
				t.Errorf("%q: %s", encoding, kind)
			}
		}
		resp := d.ask(protobuf, "gzip")
		if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/vnd.google.protobuf") {
			t.Errorf("protobuf was asked for, and %s came", kind)
		}
		if body := d.says(resp); !strings.Contains(body, "collected_total") || strings.Contains(body, "# HELP") {
			t.Errorf("protobuf: %q", body)
		}
	}
	if d.collected != 3 {
		t.Errorf("collected %d times, want once for each form: text, text compressed, protobuf compressed", d.collected)
	}
}

func TestWhatClientsAskForDoesNotGrow(t *testing.T) {
	d := newMetricsDesk(t)
	for i := range 1000 {
		d.ask(fmt.Sprintf("text/plain;version=0.0.4;x=%d;escaping=%d", i, i), fmt.Sprintf("gzip;q=0.%d", i+1))
	}
	if len(d.page.written) > 2 {
		t.Errorf("%d pages are kept", len(d.page.written))
	}
}

func BenchmarkMetrics(b *testing.B) {
	t, err := NewHandler(Config{Secret: secret, Log: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	defer t.Close()
	reg, err := t.registry()
	if err != nil {
		b.Fatal(err)
	}
	write := promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
	for name, page := range map[string]http.Handler{"kept": newMetricsPage(write, time.Now), "written": write} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			for b.Loop() {
				page.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
