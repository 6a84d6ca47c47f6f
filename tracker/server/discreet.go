package server

import (
	"context"
	"log/slog"
	"net/netip"
	"regexp"
	"strings"
)

// Discreet is a log in which addresses are truncated to their networks, /24 or /48, whoever writes them and wherever: for
// statistics and against attackers those are enough, and they are nobody's.
func Discreet(log *slog.Logger) *slog.Logger {
	if _, already := log.Handler().(discreet); already {
		return log
	}
	return slog.New(discreet{log.Handler()})
}

type discreet struct{ slog.Handler }

// Handle implements slog.Handler.
func (d discreet) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, truncated(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(cleaned(a))
		return true
	})
	return d.Handler.Handle(ctx, clean)
}

// WithAttrs implements slog.Handler.
func (d discreet) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = cleaned(a)
	}
	return discreet{d.Handler.WithAttrs(out)}
}

// WithGroup implements slog.Handler.
func (d discreet) WithGroup(name string) slog.Handler { return discreet{d.Handler.WithGroup(name)} }

func cleaned(a slog.Attr) slog.Attr {
	a.Value = a.Value.Resolve()
	switch a.Value.Kind() {
	case slog.KindGroup:
		group := a.Value.Group()
		out := make([]slog.Attr, len(group))
		for i, inner := range group {
			out[i] = cleaned(inner)
		}
		a.Value = slog.GroupValue(out...)
	case slog.KindString, slog.KindAny: // an error, an address, what else writes itself as text
		a.Value = slog.StringValue(truncated(a.Value.String()))
	}
	return a
}

// possible finds what may be an address, with a prefix length if it has one: netip says whether it is.
var possible = regexp.MustCompile(`(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?:/[0-9]+)?|[0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(?:/[0-9]+)?`)

// truncated cuts the addresses in a text short. Loopback and the unspecified address are everybody's.
func truncated(text string) string {
	return possible.ReplaceAllStringFunc(text, func(found string) string {
		if p, err := netip.ParsePrefix(found); err == nil && p.Bits() <= prefixOf(p.Addr()).Bits() {
			return found
		}
		address, _, _ := strings.Cut(strings.TrimRight(found, ":."), "/")
		a, err := netip.ParseAddr(address)
		if err != nil || a.IsLoopback() || a.IsUnspecified() {
			return found
		}
		return prefixOf(a).String() + found[len(strings.TrimRight(found, ":.")):]
	})
}
