package tracker

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/expfmt"
)

// metricsPage is /metrics, written once a second at most for each form in which it is asked for: to collect and write all metrics
// costs half a millisecond of CPU, and whoever reaches the tracker can ask.
type metricsPage struct {
	write http.Handler
	now   func() time.Time

	mu      sync.Mutex
	at      time.Time // when the pages were written
	written map[metricsForm]*recorded
}

// metricsForm is what clients can choose. There are a few dozen.
type metricsForm struct {
	format expfmt.Format
	gzip   bool
}

const metricsLife = time.Second

func newMetricsPage(write http.Handler, now func() time.Time) *metricsPage {
	return &metricsPage{write: write, now: now}
}

// ServeHTTP implements http.Handler.
func (p *metricsPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	form := metricsForm{expfmt.NegotiateAccept(r.Header, expfmt.DefaultAcceptedFormats()...), acceptsGzip(r.Header)}
	p.mu.Lock() // those who ask meanwhile get the same page
	if age := p.now().Sub(p.at); age < 0 || age >= metricsLife {
		p.at, p.written = p.now(), map[metricsForm]*recorded{}
	}
	page := p.written[form]
	if page == nil {
		page = p.record(r, form)
		p.written[form] = page
	}
	p.mu.Unlock()
	for name, values := range page.header {
		w.Header()[name] = values
	}
	w.Header().Set("Vary", "Accept, Accept-Encoding")
	w.WriteHeader(page.status)
	w.Write(page.body.Bytes()) // if it fails, the client is gone
}

// record writes a page as this client asked for it, but for compressions that few know.
func (p *metricsPage) record(r *http.Request, form metricsForm) *recorded {
	r = r.Clone(r.Context())
	r.Header.Set("Accept-Encoding", "identity")
	if form.gzip {
		r.Header.Set("Accept-Encoding", "gzip")
	}
	page := &recorded{header: http.Header{}, status: http.StatusOK}
	p.write.ServeHTTP(page, r)
	return page
}

// acceptsGzip tells whether a client takes gzip (RFC 9110 12.5.3).
func acceptsGzip(h http.Header) bool {
	for _, line := range h.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(line, ",") {
			name, weight, _ := strings.Cut(coding, ";")
			if strings.EqualFold(strings.TrimSpace(name), "gzip") {
				return weight == "" || strings.Trim(weight, " q=0.") != "" // a weight of 0, however long, refuses it
			}
		}
	}
	return false
}

// recorded is an answer that can be given again. It is an http.ResponseWriter while it is made.
type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (r *recorded) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorded) WriteHeader(status int) { r.status = status }

// Write implements http.ResponseWriter.
func (r *recorded) Write(b []byte) (int, error) { return r.body.Write(b) }
