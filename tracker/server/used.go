package server

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/maphash"
	"sync"
	"time"

	"slipstream/tracker/token"
)

// UsedTokens remembers which tokens were used, until they are dead. It is a few Bloom filters for each usedSpan of the
// tokens' ends, of bounded size: it never forgets a token, so a replay is always refused, however many tokens there are.
// What grows with their number is the chance that a fresh one looks used (none of 650,000 at 5,000 joins a second,
// 1 in 30,000 at 25,000), and who is told so fetches another, which does not.
type UsedTokens struct {
	seeds [2]maphash.Seed
	mu    sync.Mutex
	spans [usedSpans]*span
}

const (
	usedSpan = 16 // seconds
	// usedSpans cover the longest that a token may still live, one that was minted by a clock that is ahead.
	usedSpans = int((token.MaxLife+token.ClockLeeway)/time.Second)/usedSpan + 2

	// A span begins with a small filter, of leastWords, and gets another of twice as many when the last has tokensEach
	// tokens for each of its words; the one of mostWords takes all the rest (Almeida et al., Scalable Bloom filters, 2007).
	leastWords, mostWords = 1 << 12, 1 << 17
	tokensEach            = 0.3 // of a filter before the next
)

// span is the tokens whose end lies in one usedSpan.
type span struct {
	number  int64
	filters []filter
	left    int // tokens that the last one takes before there is another
}

// filter is a Bloom filter. A token has four bits in each of two words.
type filter []uint64

// has tells whether all bits of a token are set.
func (f filter) has(first, second uint64) bool {
	a, b := f.word(first), f.word(second)
	return *a&mask(first) == mask(first) && *b&mask(second) == mask(second)
}

func (f filter) add(first, second uint64) {
	*f.word(first) |= mask(first)
	*f.word(second) |= mask(second)
}

func (f filter) word(hash uint64) *uint64 { return &f[hash>>32%uint64(len(f))] }

func mask(hash uint64) uint64 {
	return 1<<(hash&63) | 1<<(hash>>6&63) | 1<<(hash>>12&63) | 1<<(hash>>18&63)
}

// TokenName names a token in a cluster: by its key's name and its own.
type TokenName uint64

func nameToken(key, id string) TokenName {
	sum := sha256.Sum256([]byte(key + " " + id))
	return TokenName(binary.BigEndian.Uint64(sum[:]))
}

// NewUsedTokens knows of none.
func NewUsedTokens() *UsedTokens {
	return &UsedTokens{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
}

// First tells whether a token, which must not be dead, comes for the first time.
func (u *UsedTokens) First(name TokenName, dead, now time.Time) bool {
	one, two := maphash.Comparable(u.seeds[0], name), maphash.Comparable(u.seeds[1], name)
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.at(dead.Unix()/usedSpan, now)
	for _, f := range s.filters {
		if f.has(one, two) {
			return false
		}
	}
	last := s.filters[len(s.filters)-1]
	if s.left <= 0 && len(last) < mostWords {
		last = s.extend(2 * len(last))
	}
	last.add(one, two)
	s.left--
	return true
}

func (s *span) extend(words int) filter {
	f := make(filter, words)
	s.filters, s.left = append(s.filters, f), int(tokensEach*float64(words))
	return f
}

// at finds the span of a number. Those of the past make place.
func (u *UsedTokens) at(number int64, now time.Time) *span {
	place := &u.spans[number%int64(usedSpans)]
	if s := *place; s != nil && s.number == number {
		return s
	}
	for i, s := range u.spans {
		if s != nil && s.number < now.Unix()/usedSpan {
			u.spans[i] = nil
		}
	}
	s := &span{number: number}
	s.extend(leastWords)
	*place = s
	return s
}
