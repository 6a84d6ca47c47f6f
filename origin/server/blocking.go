package server

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"slipstream/origin/store"
	"slipstream/origin/timeline"
)

const (
	// blockTimeout is how long a request may wait for what is about to come: three target durations (RFC 8216bis, section 6.2.5.2).
	blockTimeout = 3 * timeline.SegmentMs * time.Millisecond
	// maxWaiting bounds the requests of one channel that wait.
	maxWaiting = 20_000
)

// place is a part that a player asked to wait for; part -1 stands for a whole segment.
type place struct {
	number int64
	part   int
}

// directives are what a player may ask of a playlist (RFC 8216bis, section 6.2.5).
type directives struct {
	waits bool
	until place
	skip  bool
}

// readDirectives reads them out of a query's parameters.
func readDirectives(param func(name string) string) (d directives, err error) {
	skip := param("_HLS_skip")
	d.skip = skip == "YES" || skip == "v2" // v2 may leave out date ranges as well, of which there are none
	msn, part := param("_HLS_msn"), param("_HLS_part")
	switch {
	case msn == "" && part == "":
		return d, nil
	case msn == "":
		return d, echo.NewHTTPError(http.StatusBadRequest, "_HLS_part says nothing without _HLS_msn")
	}
	d.waits, d.until.part = true, -1
	if d.until.number, err = strconv.ParseInt(msn, 10, 53); err != nil || d.until.number < 0 {
		return d, echo.NewHTTPError(http.StatusBadRequest, "_HLS_msn is no segment number")
	}
	if part != "" {
		if d.until.part, err = strconv.Atoi(part); err != nil || d.until.part < 0 {
			return d, echo.NewHTTPError(http.StatusBadRequest, "_HLS_part is no part number")
		}
	}
	return d, nil
}

// await returns the edge of a rendition once it has a part or segment, or an error that is the answer.
func (ch *channel) await(ctx context.Context, rendition string, want place) (store.Edge, error) {
	edge, _ := ch.Store.Edge(rendition)
	if edge.Has(want.number, want.part) {
		return edge, nil
	}
	if want.number > edge.Number+2 {
		return edge, echo.NewHTTPError(http.StatusBadRequest, fmt.Sprintf("segment %d is too far ahead to wait for: the newest is %d", want.number, edge.Number))
	}
	if ch.waiting.Add(1) > maxWaiting {
		ch.waiting.Add(-1)
		return edge, echo.NewHTTPError(http.StatusServiceUnavailable, "too many players are waiting here; ask again without waiting")
	}
	defer ch.waiting.Add(-1)
	timeout := time.NewTimer(blockTimeout)
	defer timeout.Stop()
	for !edge.Has(want.number, want.part) {
		select {
		case <-edge.Changed:
			edge, _ = ch.Store.Edge(rendition)
			if !ch.Store.Made(rendition) {
				return edge, notMade(ch, rendition)
			}
		case <-timeout.C:
			return edge, echo.NewHTTPError(http.StatusServiceUnavailable, fmt.Sprintf("segment %d did not come in time", want.number))
		case <-ctx.Done():
			return edge, echo.NewHTTPError(http.StatusServiceUnavailable, "the request was given up") // nobody reads this
		}
	}
	return edge, nil
}
