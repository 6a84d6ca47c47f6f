package emulate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// stage is the emulated network with its hosts, and everything that runs on them.
type stage struct {
	plan    *plan
	dir     string
	spaces  []*namespace // by host
	carrier *carrier
	running []*process
	release func()
}

func newStage(p *plan) (*stage, error) {
	if err := removeLeftovers(); err != nil {
		return nil, fmt.Errorf("what an earlier emulation left cannot be cleared: %w", err)
	}
	fabric, err := p.fabric()
	if err != nil {
		return nil, err
	}
	hurry()
	s := &stage{plan: p}
	if s.dir, s.release, err = claimDir(); err != nil {
		return nil, err
	}
	devices := make([]*os.File, len(p.hosts))
	for i, h := range p.hosts {
		space, err := newNamespace(h.addr)
		if err != nil {
			s.close()
			return nil, err
		}
		s.spaces = append(s.spaces, space)
		devices[i] = space.device
	}
	if s.carrier, err = startCarrier(fabric, devices); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// run starts a program on a host.
func (s *stage) run(host int, what program) (*process, error) {
	p, err := s.spaces[host].start(s.dir, what)
	if err == nil {
		s.running = append(s.running, p)
	}
	return p, err
}

// scripts run programs on a host that others start: run its arguments, browser the
// Chromium of this machine (or of $CHROMIUM) with its arguments, because a test
// driver's browser launcher wants one executable.
type scripts struct{ run, browser string }

func (s *stage) scripts(host int) (scripts, error) {
	if strings.Contains(s.dir, "'") {
		return scripts{}, fmt.Errorf("the temporary directory %s has a quote in its name: set TMPDIR to another", s.dir)
	}
	run := filepath.Join(s.dir, s.plan.hosts[host].name)
	written := scripts{run, run + "-chromium"}
	enter := fmt.Sprintf("#!/bin/sh\nexec nsenter --net=/proc/%d/fd/%d -- env %s='%s'", os.Getpid(), s.spaces[host].fd, marker, s.dir)
	for path, what := range map[string]string{written.run: ` "$@"`, written.browser: ` "${CHROMIUM:-chromium}" "$@"`} {
		if err := os.WriteFile(path, []byte(enter+what+"\n"), 0o700); err != nil {
			return scripts{}, fmt.Errorf("the script of a host cannot be written: %w", err)
		}
	}
	return written, nil
}

// close ends everything: what we started, what others started through wrappers, the
// devices, the namespaces, the directory.
func (s *stage) close() {
	endAll(s.running, 3*time.Second)
	inodes := map[uint64]bool{}
	for _, space := range s.spaces {
		if inode, err := space.inode(); err == nil {
			inodes[inode] = true
		}
	}
	killWithin(inodes)
	for _, space := range s.spaces {
		space.close()
	}
	if s.carrier != nil {
		s.carrier.stop()
	}
	s.release()
	*s = stage{plan: s.plan, dir: s.dir, release: func() {}} // closing again does no harm
}

// until waits for a condition, for the end of ctx or of something that must not end,
// or for the deadline.
func (s *stage) until(ctx context.Context, limit time.Duration, what string, vital []*process, holds func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for !holds(ctx) {
		for _, p := range vital {
			if p.ended() {
				return p.failure()
			}
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("%s did not happen within %v; last words: %s", what, limit, lastWords(vital))
			}
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}

func lastWords(all []*process) string {
	var words []string
	for _, p := range all {
		words = append(words, p.name+": "+lastLine(p.log))
	}
	return strings.Join(words, "; ")
}
