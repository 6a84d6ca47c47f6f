package announce

import "strconv"

// appendQuickly writes those messages that a tracker sends to everybody, all day, as marshal would but without
// reflection; nil for others. Their strings have alphabets without anything that JSON escapes, and were checked.
func appendQuickly(m Message) []byte {
	switch m := m.(type) {
	case Neighbour:
		return m.Append(make([]byte, 0, 64))
	case Gone:
		return m.Append(make([]byte, 0, 64))
	case SignalFrom:
		b := appendID(append(make([]byte, 0, 1024), `{"type":"signal","from":"`...), m.From)
		return append(appendSignal(append(b, `","signal":`...), m.Signal), '}')
	case Duty:
		b := append(make([]byte, 0, 128), `{"type":"duty","duties":[`...)
		for i, d := range m.Duties {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(append(b, `{"rendition":"`...), d.Rendition...), `","stripes":`...)
			b = append(strconv.AppendUint(b, uint64(d.Stripes), 10), '}')
		}
		return append(b, "]}"...)
	}
	return nil
}

// Append adds what Encode writes. The id must not be 0.
func (m Neighbour) Append(b []byte) []byte {
	b = appendID(append(b, `{"type":"neighbour","id":"`...), m.ID)
	return append(strconv.AppendBool(append(b, `","offer":`...), m.Offer), '}')
}

// Append adds what Encode writes. The id must not be 0.
func (m Gone) Append(b []byte) []byte {
	b = appendID(append(b, `{"type":"gone","id":"`...), m.ID)
	return append(strconv.AppendBool(append(b, `","close":`...), m.Close), '}')
}

func appendID(b []byte, id PeerID) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[id>>shift&0xf])
	}
	return b
}

func appendSignal(b []byte, s Signal) []byte {
	b = append(append(b, `{"kind":"`...), s.Kind...)
	b = append(append(b, `","ufrag":"`...), s.Ufrag...)
	for _, optional := range [...]struct{ name, value string }{{"pwd", s.Pwd}, {"fingerprint", s.Fingerprint}, {"setup", s.Setup}} {
		if optional.value != "" {
			b = append(append(append(append(b, `","`...), optional.name...), `":"`...), optional.value...)
		}
	}
	b = append(b, `","candidates":[`...)
	for i, c := range s.Candidates {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), c...), '"')
	}
	return append(b, "]}"...)
}
