package webtorrent

import (
	"bytes"
	"unicode/utf8"
)

// Refusal is why the tracker does not do what it is asked, a sentence for who asked.
type Refusal string

func (r Refusal) Error() string { return string(r) }

// What may be wrong with a message.
const (
	errUTF8        = Refusal("The message is not UTF-8.")
	errJSON        = Refusal("The message is not a JSON object.")
	errAction      = Refusal(`The action must be "announce" or "scrape".`)
	errEvent       = Refusal("The event is unknown: it may be started, update, completed, paused or stopped.")
	errInfoHash    = Refusal("The info_hash must be 20 binary characters.")
	errPeerID      = Refusal("The peer_id must be 20 binary characters.")
	errToPeerID    = Refusal("With an answer, the to_peer_id must be 20 binary characters.")
	errOfferID     = Refusal("The offer_id must be 20 binary characters.")
	errOffers      = Refusal(`The offers must be a list of objects with "offer", an object, and "offer_id".`)
	errAnswer      = Refusal("The answer must be an object.")
	errDescription = Refusal("The offer or answer is too long.")
	errNoHash      = Refusal("A scrape must name its info_hash, or several in a list.")
	errManyHashes  = Refusal("The scrape names too many info hashes.")
)

// fields are the members of a message that matter, as they came; nil where there is none.
type fields struct {
	action, event, infoHash, peerID, toPeerID, offerID, left, answer []byte
}

// named is where the value of that name belongs; nil if it does not matter.
func (f *fields) named(name []byte) *[]byte {
	switch string(name) {
	case "action":
		return &f.action
	case "event":
		return &f.event
	case "info_hash":
		return &f.infoHash
	case "peer_id":
		return &f.peerID
	case "to_peer_id":
		return &f.toPeerID
	case "offer_id":
		return &f.offerID
	case "left":
		return &f.left
	case "answer":
		return &f.answer
	}
	return nil
}

// Decode reads a message into r, whose slices it uses again. The error is a sentence for the sender.
func Decode(r *Request, message []byte) error {
	*r = Request{Offers: r.Offers[:0], InfoHashes: r.InfoHashes[:0]}
	if !utf8.Valid(message) { // or a browser that is sent a part of it would close its WebSocket
		return errUTF8
	}
	s := scanner{b: message}
	var f fields
	if err := s.message(r, &f); err != nil {
		return err
	}
	if s.next(); s.i != len(message) {
		return errJSON
	}
	switch string(word(f.action)) {
	case "announce":
		r.Action = Announce
		return f.announce(r)
	case "scrape":
		r.Action = Scrape
		return f.scrape(r)
	}
	return errAction
}

func (s *scanner) message(r *Request, f *fields) error {
	if !s.take('{') {
		return errJSON
	}
	for n := 0; ; n++ {
		name, more, ok := s.member(n)
		if !ok {
			return errJSON
		}
		if !more {
			return nil
		}
		if string(name) == "offers" {
			if err := s.offers(r); err != nil {
				return err
			}
			continue
		}
		value, ok := s.value(maxDepth)
		if !ok {
			return errJSON
		}
		if into := f.named(name); into != nil {
			*into = value
		}
	}
}

// offers reads the list of offers, of which it checks all and keeps the first.
func (s *scanner) offers(r *Request) error {
	r.Offers = r.Offers[:0]
	if s.next() != '[' {
		value, ok := s.value(maxDepth)
		if !ok {
			return errJSON
		}
		if string(value) != "null" {
			return errOffers
		}
		return nil
	}
	s.i++
	for n := 0; ; n++ {
		more, ok := s.item(n, ']')
		if !ok {
			return errJSON
		}
		if !more {
			return nil
		}
		offer, err := s.offer()
		if err != nil {
			return err
		}
		if n < MaxOffers {
			r.Offers = append(r.Offers, offer)
		}
	}
}

func (s *scanner) offer() (o Offer, err error) {
	if !s.take('{') {
		return o, errOffers
	}
	var id []byte
	for n := 0; ; n++ {
		name, more, ok := s.member(n)
		if !ok {
			return o, errJSON
		}
		if !more {
			break
		}
		value, ok := s.value(maxDepth)
		if !ok {
			return o, errJSON
		}
		switch string(name) {
		case "offer":
			o.Description = value
		case "offer_id":
			id = value
		}
	}
	var ok bool
	if o.ID, ok = binary20(id); !ok {
		return o, errOfferID
	}
	return o, checkDescription(o.Description, errOffers)
}

func checkDescription(d []byte, unfit error) error {
	if len(d) == 0 || d[0] != '{' {
		return unfit
	}
	if len(d) > MaxDescription {
		return errDescription
	}
	return nil
}

func (f *fields) announce(r *Request) (err error) {
	var ok bool
	if r.InfoHash, ok = binary20(f.infoHash); !ok {
		return errInfoHash
	}
	if r.PeerID, ok = binary20(f.peerID); !ok {
		return errPeerID
	}
	r.Seeder = isZero(f.left)
	if r.Event, err = event(f.event); err != nil {
		return err
	}
	if absent(f.answer) {
		return nil
	}
	if r.ToPeerID, ok = binary20(f.toPeerID); !ok {
		return errToPeerID
	}
	if r.OfferID, ok = binary20(f.offerID); !ok {
		return errOfferID
	}
	r.Answer = f.answer
	return checkDescription(f.answer, errAnswer)
}

func (f *fields) scrape(r *Request) error {
	switch {
	case absent(f.infoHash):
		return errNoHash
	case f.infoHash[0] != '[':
		hash, ok := binary20(f.infoHash)
		if !ok {
			return errInfoHash
		}
		r.InfoHashes = append(r.InfoHashes, hash)
		return nil
	}
	list := scanner{b: f.infoHash, i: 1} // it has been scanned before
	for n := 0; ; n++ {
		more, _ := list.item(n, ']')
		if !more {
			break
		}
		value, _ := list.value(maxDepth)
		hash, ok := binary20(value)
		if !ok {
			return errInfoHash
		}
		if n == MaxScrape {
			return errManyHashes
		}
		r.InfoHashes = append(r.InfoHashes, hash)
	}
	if len(r.InfoHashes) == 0 {
		return errNoHash
	}
	return nil
}

func event(value []byte) (Event, error) {
	if absent(value) {
		return Update, nil
	}
	switch string(word(value)) {
	case "started":
		return Started, nil
	case "", "update", "empty", "none":
		if value[0] == '"' {
			return Update, nil
		}
	case "stopped":
		return Stopped, nil
	case "completed":
		return Completed, nil
	case "paused":
		return Paused, nil
	}
	return Update, errEvent
}

func absent(value []byte) bool { return len(value) == 0 || string(value) == "null" }

// word is what a value says if it is a string, and nothing otherwise.
func word(value []byte) []byte {
	if len(value) == 0 || value[0] != '"' {
		return nil
	}
	return unquote(value)
}

// isZero tells whether a value is the number 0, which some clients put in quotes.
func isZero(value []byte) bool {
	if len(value) == 0 {
		return false
	}
	if c := value[0]; c == '"' {
		return string(value) == `"0"`
	} else if c != '-' && (c < '0' || c > '9') {
		return false
	}
	mantissa := value
	if e := bytes.IndexAny(value, "eE"); e >= 0 {
		mantissa = value[:e]
	}
	return !bytes.ContainsAny(mantissa, "123456789")
}
