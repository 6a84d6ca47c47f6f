// Package top shows in a terminal how a tracker fares, from its /tracker/stats.json.
package top

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"slipstream/tracker/server"
)

// Config says what to show.
type Config struct {
	URL   string // of the tracker, or of its statistics
	Once  bool   // one frame, and an error if there is none
	Rows  int    // channels that are listed [20]
	Every time.Duration
	Out   io.Writer
}

const (
	statsPath = "/tracker/stats.json"
	maxStats  = 64 << 20 // a tracker with all its rooms has a tenth
	timeout   = 5 * time.Second
)

// Run shows frames until ctx ends. A tracker that does not answer is told of below the last frame, and asked again.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Rows <= 0 {
		cfg.Rows = 20
	}
	if cfg.Every < time.Second {
		cfg.Every = time.Second // more often it has nothing new to tell
	}
	at, err := statsURL(cfg.URL)
	if err != nil {
		return err
	}
	frame := Frame{Source: at, Rows: cfg.Rows}
	frame.Now, err = ask(ctx, at)
	if cfg.Once {
		if err == nil {
			_, err = io.WriteString(cfg.Out, frame.String())
		}
		return err
	}
	next := time.NewTicker(cfg.Every)
	defer next.Stop()
	for {
		if _, err := io.WriteString(cfg.Out, screen(frame, err)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
		var now server.Stats
		if now, err = ask(ctx, at); err == nil && now.NowMs != frame.Now.NowMs {
			frame.Before, frame.Now = frame.Now, now
		}
	}
}

// screen is a frame over the one before, without a flicker: each line ends by clearing what is left of it.
func screen(f Frame, problem error) string {
	text := ""
	if f.Now.NowMs > 0 {
		text = f.String()
	}
	if problem != nil {
		text += "\n" + plain(problem.Error(), 300) + "\n"
	}
	return "\x1b[H" + strings.ReplaceAll(text, "\n", "\x1b[K\n") + "\x1b[J"
}

// statsURL completes the URL of a tracker, of whichever of its addresses.
func statsURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("%.100q is not the URL of a tracker; write for instance http://localhost:8081", text)
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	case "http", "https":
	default:
		return "", fmt.Errorf("a tracker's URL begins with http, https, ws or wss, not with %.20q", u.Scheme)
	}
	if u.Path == "" || u.Path == "/" || u.Path == "/tracker" {
		u.Path = statsPath
	}
	return u.String(), nil
}

// client keeps no connection between two looks, so that a tracker that drains is not held up.
var client = &http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}}

func ask(ctx context.Context, at string) (s server.Stats, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return s, fmt.Errorf("the tracker cannot be asked: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return s, fmt.Errorf("the tracker does not answer: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return s, fmt.Errorf("the tracker answers with status %d", resp.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxStats)).Decode(&s); err != nil {
		return s, fmt.Errorf("what is at %s is not a tracker's statistics: %w", at, err)
	}
	return s, nil
}
