package server

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"slipstream/tracker/token"
)

// usedTokens remembers which tokens were used, until they are dead. It is a Bloom filter for each usedSpan of the tokens'
// ends, of fixed size: it never forgets a token, so a replay is always refused, however many tokens there are. What
// grows with their number is the chance that a fresh one looks used (1 in 10,000 at 5,000 joins a second, 1 in 100 at 25,000), and who
// is told so fetches another, which does not. All bits of a token lie in one word, so one atomic operation tells which of
// two that come at once was first.
type usedTokens struct {
	seed maphash.Seed
	mu   sync.Mutex // of those who change spans
	span [usedSpans]atomic.Pointer[span]
}

const (
	usedSpan = 16 // seconds
	// usedSpans cover the longest that a token may still live, one that was minted by a clock that is ahead.
	usedSpans = int((token.MaxLife+token.ClockLeeway)/time.Second)/usedSpan + 2
	usedWords = 1 << 16
)

// span is the tokens whose end lies in one usedSpan.
type span struct {
	number int64
	words  [usedWords]atomic.Uint64
}

func newUsedTokens() *usedTokens { return &usedTokens{seed: maphash.MakeSeed()} }

// first tells whether a key's token comes for the first time.
func (u *usedTokens) first(key, id string, dead, now time.Time) bool {
	s := u.at(dead.Unix()/usedSpan, now)
	h := maphash.String(u.seed, key+" "+id)
	bits := uint64(1)<<(h&63) | 1<<(h>>6&63) | 1<<(h>>12&63) | 1<<(h>>18&63)
	return s.words[h>>48].Or(bits)&bits != bits
}

// at finds the span of a number. Those of the past make place.
func (u *usedTokens) at(number int64, now time.Time) *span {
	place := &u.span[number%int64(usedSpans)]
	if s := place.Load(); s != nil && s.number == number {
		return s
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := range u.span {
		if s := u.span[i].Load(); s != nil && s.number < now.Unix()/usedSpan {
			u.span[i].Store(nil)
		}
	}
	if s := place.Load(); s != nil && s.number == number {
		return s
	}
	s := &span{number: number}
	place.Store(s)
	return s
}
