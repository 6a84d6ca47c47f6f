package webtorrent

import "strconv"

// The Append functions write what the tracker says, each a whole message, and return the extended buffer.

// AppendAnnounce answers an announce. Clients announce themselves again every intervalS seconds; trackerID may be "".
func AppendAnnounce(b []byte, hash *Hash, c Counts, intervalS int, trackerID string) []byte {
	b = append(b, `{"action":"announce","complete":`...)
	b = strconv.AppendInt(b, int64(c.Complete), 10)
	b = append(b, `,"incomplete":`...)
	b = strconv.AppendInt(b, int64(c.Incomplete), 10)
	b = append(b, `,"interval":`...)
	b = strconv.AppendInt(b, int64(intervalS), 10)
	if trackerID != "" {
		b = append(b, `,"tracker id":"`...)
		b = append(b, trackerID...)
		b = append(b, '"')
	}
	b = append(b, `,"info_hash":`...)
	return append(appendBinary(b, (*[20]byte)(hash)), '}')
}

// AppendOffer passes an offer of from on.
func AppendOffer(b []byte, hash *Hash, from *ID, o *Offer) []byte {
	return appendSignal(b, `{"action":"announce","offer":`, o.Description, &o.ID, from, hash)
}

// AppendAnswer passes an answer on.
func AppendAnswer(b []byte, r *Request) []byte {
	return appendSignal(b, `{"action":"announce","answer":`, r.Answer, &r.OfferID, &r.PeerID, &r.InfoHash)
}

func appendSignal(b []byte, start string, description []byte, offer, from *ID, hash *Hash) []byte {
	b = append(b, start...)
	b = append(b, description...)
	b = append(b, `,"offer_id":`...)
	b = appendBinary(b, (*[20]byte)(offer))
	b = append(b, `,"peer_id":`...)
	b = appendBinary(b, (*[20]byte)(from))
	b = append(b, `,"info_hash":`...)
	return append(appendBinary(b, (*[20]byte)(hash)), '}')
}

// AppendScrape answers a scrape: counts[i] are those of hashes[i].
func AppendScrape(b []byte, hashes []Hash, counts []Counts, intervalS int) []byte {
	b = append(b, `{"action":"scrape","files":{`...)
	for i := range hashes {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendBinary(b, (*[20]byte)(&hashes[i]))
		b = append(b, `:{"complete":`...)
		b = strconv.AppendInt(b, int64(counts[i].Complete), 10)
		b = append(b, `,"incomplete":`...)
		b = strconv.AppendInt(b, int64(counts[i].Incomplete), 10)
		b = append(b, `,"downloaded":`...)
		b = strconv.AppendInt(b, int64(counts[i].Downloaded), 10)
		b = append(b, '}')
	}
	b = append(b, `},"flags":{"min_request_interval":`...)
	b = strconv.AppendInt(b, int64(intervalS), 10)
	return append(b, `}}`...)
}

// AppendFailure says why a request was refused. The action and swarm are those of the request where they are known: clients
// look at them before they read on.
func AppendFailure(b []byte, r *Request, reason error) []byte {
	action := "announce"
	if r.Action == Scrape {
		action = "scrape"
	}
	b = append(b, `{"action":"`...)
	b = append(b, action...)
	b = append(b, `","failure reason":`...)
	b = strconv.AppendQuote(b, reason.Error())
	if r.InfoHash != (Hash{}) {
		b = append(b, `,"info_hash":`...)
		b = appendBinary(b, (*[20]byte)(&r.InfoHash))
	}
	return append(b, '}')
}

// appendBinary writes 20 bytes as a string of 20 characters.
func appendBinary(b []byte, id *[20]byte) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, c := range id {
		switch {
		case c >= 0x80:
			b = append(b, 0xc0|c>>6, 0x80|c&0x3f)
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= ' ':
			b = append(b, c)
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(b, '"')
}
