package session

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"slipstream/peer/cdn"
)

// hasty is how long a request may bring nothing where there is another CDN to ask.
const hasty = 1500 * time.Millisecond

// cdns is where a channel can be had, and who of them answers lately. Everything has its address at the first of them, however many there are, so
// that a segment stays the same wherever it comes from; with each request it is replaced. The methods may be called from anywhere.
type cdns struct {
	clock func() time.Time
	// Addresses at each CDN: those of playlists, and of the folders that they are in, for everything else.
	playlists, folders [][]string

	mu     sync.Mutex
	choice *cdn.Choice
}

func newCDNs(names []string, spread uint32, clock func() time.Time) *cdns {
	return &cdns{clock: clock, choice: cdn.New(names, int64(spread%1000))}
}

// add makes a playlist known by its address at each CDN; "": it is not there.
func (c *cdns) add(playlist []string) {
	folders := make([]string, len(playlist))
	for i, url := range playlist {
		path, _, _ := strings.Cut(url, "?")
		folders[i] = path[:strings.LastIndex(path, "/")+1]
	}
	c.playlists, c.folders = append(c.playlists, playlist), append(c.folders, folders)
}

// address is where something is at a CDN.
func (c *cdns) address(url string, at int) string {
	for _, places := range [][][]string{c.playlists, c.folders} {
		for _, place := range places {
			if rest, here := strings.CutPrefix(url, place[0]); here && place[at] != "" {
				return place[at] + rest
			}
		}
	}
	return url
}

// next is whom to ask among those who were not tried, and how long to wait; all: nobody else is left.
func (c *cdns) next(tried uint) (at int, patience time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at = c.choice.Next(tried)
	if at != cdn.None && c.choice.Next(tried|1<<at) != cdn.None {
		return at, hasty
	}
	return at, fetchStall
}

// several tells whether there is a choice.
func (c *cdns) several() bool { return c.choice.Count() > 1 }

func (c *cdns) failed(at int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.choice.Failed(c.clock().UnixMilli(), at)
}

func (c *cdns) worked(started time.Time, at int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.choice.Worked(started.UnixMilli(), at)
}

func (c *cdns) prefer(names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.choice.Prefer(names)
}

// probe is who is to be asked whether it is well again.
func (c *cdns) probe(nowMs int64) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.choice.Probe(nowMs)
}

// anywhere makes a request at one CDN after the other until it succeeds, and tells who answered last. What is missing at one is its fault only if another one
// has it.
func (c *cdns) anywhere(ctx context.Context, url string, ask func(address string, patience time.Duration) error) (last int, err error) {
	var tried uint
	var lacking []int
	for {
		at, patience := c.next(tried)
		if at == cdn.None {
			return last, err
		}
		started := c.clock()
		failure := ask(c.address(url, at), patience)
		switch {
		case failure == nil:
			c.worked(started, at)
			for _, other := range lacking {
				c.failed(other)
			}
			return at, nil
		case ctx.Err() != nil:
			return at, failure
		case httpStatus(failure) == http.StatusNotFound || httpStatus(failure) == http.StatusGone:
			lacking = append(lacking, at)
		default:
			c.failed(at)
		}
		last, tried = at, tried|1<<at
		if err == nil {
			err = failure
		}
	}
}
