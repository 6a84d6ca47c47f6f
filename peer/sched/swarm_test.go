package sched

import (
	"fmt"
	"sort"
	"strings"
)

// swarmStory is a story about several viewers in the test network:
//
//	swarm [seed=1] [latency=MS] [cdn-wait=MS] [cdn-rate=BYTES/S] [no-duty]
//	viewers N [uplink=BYTES/S] [no-upload] all know each other
//	hostile flipper|liar|mute|busy|dripper|flooder [uplink=BYTES/S]
//	publish [leaves=N] [lead=MS] [count=N] [poll=MS]
//	                                        a segment each 2 s from now on; every viewer hears
//	                                        of it within poll ms and needs it after lead ms
//	kill N | leave N                        a viewer dies without or with a word
//	cdn down | cdn up
//	run MS
//	report                                  what each viewer got from where
type swarmStory struct {
	*story
	net      *network
	sequence int64
	cdnDown  bool
}

func newSwarmStory(s *story, words []string) *swarmStory {
	w := newNetwork(uint32(s.option(words, "seed", 1)))
	w.latencyMs = s.option(words, "latency", w.latencyMs)
	w.cdnWaitMs = s.option(words, "cdn-wait", w.cdnWaitMs)
	w.cdnRate = s.option(words, "cdn-rate", w.cdnRate)
	w.dutyDealt = !has(words, "no-duty")
	sw := &swarmStory{story: s, net: w, sequence: 1000}
	w.cdnDown = func(int64) bool { return sw.cdnDown }
	return sw
}

func (s *swarmStory) command(words []string) {
	w := s.net
	switch words[0] {
	case "viewers":
		for range s.number(words[1]) {
			cfg := s.config(words)
			cfg.Seed = mix32(w.seed + uint32(len(w.viewers)))
			s.meetAll(w.add(cfg, s.option(words, "uplink", 1<<20)))
		}
		w.deal()
	case "hostile":
		s.meetAll(w.addHostile(behaviours[words[1]], s.option(words, "uplink", 1<<20)))
	case "publish":
		s.publish(words)
	case "kill":
		w.viewers[s.number(words[1])].kill()
	case "leave":
		w.viewers[s.number(words[1])].leave()
	case "cdn":
		s.cdnDown = words[1] == "down"
	case "run":
		w.run(epochMs + s.number(words[1]))
		for _, v := range w.viewers {
			if v.core != nil {
				checkBooks(s.t, v.core)
			}
		}
	case "report":
		s.report()
	default:
		s.t.Fatalf("no such command: %v", words)
	}
}

func (s *swarmStory) meetAll(v *viewer) {
	for _, other := range s.net.viewers {
		s.net.connect(other, v)
	}
}

func (s *swarmStory) publish(words []string) {
	w := s.net
	leaves, lead, pollMs := int32(s.option(words, "leaves", 16)), s.option(words, "lead", 4000), s.option(words, "poll", 1)
	for i := range s.option(words, "count", 1) {
		w.at(w.nowMs+i*2000, func() {
			s.sequence++
			g := w.publish(publication{leaves: leaves, sequence: s.sequence, size: int64(leaves) * leafSize})
			for _, v := range w.viewers {
				for n := range v.links {
					v.boast(int32(n), g)
				}
				if v.core != nil {
					w.at(w.nowMs+v.draw(pollMs), func() { v.learn(g, w.objects[g].publishedMs+lead) })
				}
			}
		})
	}
}

func (s *swarmStory) report() {
	w := s.net
	cdn, all := 0, 0
	for _, v := range w.viewers {
		if v.core == nil {
			fmt.Fprintf(&s.out, "viewer %d: hostile, known to %d\n", v.id, v.knownTo())
			continue
		}
		cdn, all = cdn+v.fromCDN, all+v.fromCDN+v.fromPeers
		fmt.Fprintf(&s.out, "viewer %d: %d leaves from the CDN in %d requests, %d from neighbours, %d wasted, %s, %d late\n",
			v.id, v.fromCDN, v.fetches, v.fromPeers, v.wasted, v.completions(), v.misses)
	}
	leaves := 0
	for _, p := range w.objects {
		leaves += int(p.leaves)
	}
	fmt.Fprintf(&s.out, "%d %% offload, %d.%02d copies\n", (all-cdn)*100/max(all, 1), cdn/leaves, cdn*100/leaves%100)
}

func (v *viewer) knownTo() int {
	n := 0
	for _, l := range v.links {
		if l.open && l.peer.links[l.far].open {
			n++
		}
	}
	return n
}

// completions says how long after their publication objects were complete.
func (v *viewer) completions() string {
	var took []int64
	for g, ms := range v.completeMs {
		took = append(took, ms-v.net.objects[g].publishedMs)
	}
	if len(took) == 0 {
		return "nothing complete"
	}
	sort.Slice(took, func(i, j int) bool { return took[i] < took[j] })
	if len(took) == 1 {
		return fmt.Sprintf("complete after %d ms", took[0])
	}
	return strings.TrimSpace(fmt.Sprintf("%d complete after %d to %d ms", len(took), took[0], took[len(took)-1]))
}
