package announce

import (
	"encoding/json"
	"fmt"
)

// Encode writes a message as JSON, "type" first. It refuses what Decode would refuse.
func Encode(m Message) ([]byte, error) {
	if m == nil {
		return nil, fmt.Errorf("cannot encode a message that is nil")
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("cannot encode this %s: %w", m.Type(), err)
	}
	out := appendQuickly(m)
	if out == nil {
		var err error
		if out, err = marshal(m); err != nil {
			return nil, fmt.Errorf("cannot encode this %s: %w", m.Type(), err)
		}
	}
	if len(out) > MaxMessage {
		return nil, fmt.Errorf("cannot encode this %s: it has %d bytes, the limit is %d", m.Type(), len(out), MaxMessage)
	}
	return out, nil
}

// marshal writes any message by its tags.
func marshal(m Message) ([]byte, error) {
	body, err := json.Marshal(withLists(m))
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, len(body)+24), `{"type":"`+m.Type()+`"`...)
	if len(body) > len("{}") {
		out = append(out, ',')
	}
	return append(out, body[1:]...), nil
}

// withLists makes absent lists empty ones, which JSON writes as [] and not as null.
func withLists(m Message) Message {
	switch m := m.(type) {
	case Join:
		m.Renditions = orEmpty(m.Renditions)
		return m
	case SignalTo:
		m.Signal.Candidates = orEmpty(m.Signal.Candidates)
		return m
	case SignalFrom:
		m.Signal.Candidates = orEmpty(m.Signal.Candidates)
		return m
	case Report:
		m.Renditions, m.Dropped = orEmpty(m.Renditions), orEmpty(m.Dropped)
		return m
	case Duty:
		m.Duties = orEmpty(m.Duties)
		return m
	}
	return m
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
