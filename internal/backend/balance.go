package backend

import (
	"fmt"
	"math/rand/v2"
	"time"

	"gatehouse/internal/event"
)

// lineup is the order in which servers are offered requests. It is immutable: a change of weight or state builds another.
// A server that stopped being usable a moment ago may still stand in it, so a choice asks each server again.
type lineup struct {
	servers []*Server // usable when the line-up was made, in configuration order
	order   []uint16  // indexes into servers, each as often as its weight, spread smoothly; nil for algorithms that compare
}

// maxOrder bounds the length of a sequence. Weights that would need a longer one are scaled down, none below one turn.
const maxOrder = 8192

// checkAlgorithm refuses a `balance` word that no code here follows.
func checkAlgorithm(name string) error {
	switch name {
	case "", "roundrobin", "static-rr", "leastconn", "first", "random":
		return nil
	}
	return fmt.Errorf("balance algorithm %q is not supported", name)
}

// rebuild makes the line-up anew after a change of state or weight. lost reports that this took the last usable server away.
func (b *Backend) rebuild() (lost bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := &lineup{servers: b.eligible()}
	if b.o.Algorithm == "" || b.o.Algorithm == "roundrobin" || b.o.Algorithm == "static-rr" {
		weights := make([]int, len(l.servers))
		for i, s := range l.servers {
			weights[i] = int(s.weight.Load())
		}
		l.order = smooth(weights)
	}
	b.lineup.Store(l)
	return b.noteOutageLocked(len(l.servers) == 0)
}

// eligible are the servers to offer requests to: the active ones; without any, the first backup, or all of them with
// option allbackups.
func (b *Backend) eligible() []*Server {
	var active, backup []*Server
	for _, s := range b.Servers() {
		switch {
		case !s.usable.Load():
		case s.o.Line.Backup:
			backup = append(backup, s)
		default:
			active = append(active, s)
		}
	}
	if len(active) > 0 || len(backup) == 0 {
		return active
	}
	if !b.o.AllBackups {
		backup = backup[:1]
	}
	return backup
}

// noteOutageLocked keeps the backend's own up and down history.
func (b *Backend) noteOutageLocked(down bool) (lost bool) {
	if len(b.Servers()) == 0 || down == b.wasDown {
		return false
	}
	b.wasDown = down
	now := time.Now()
	if down {
		b.downs.Add(1)
	} else {
		b.downTime.Add(int64(now.Sub(b.LastChange())))
	}
	b.lastChange.Store(now.UnixNano())
	return down
}

// sayOutage tells that the last usable server is gone, after the line about that server.
func (b *Backend) sayOutage() {
	text := fmt.Sprintf("backend %s has no server available!", b.o.Name)
	b.log("emerg", "%s", text)
	b.emit(event.ServerDown, "emerg", b.o.Name, text)
}

// smooth spreads n indexes so that index i comes weights[i] times in a round and its turns lie as far apart as they can:
// at each step every index gains its weight, the richest takes the turn and pays the sum of all.
func smooth(weights []int) []uint16 {
	weights = reduce(weights)
	total := 0
	for _, w := range weights {
		total += w
	}
	order := make([]uint16, 0, total)
	credit := make([]int, len(weights))
	for range total {
		best := -1
		for i, w := range weights {
			credit[i] += w
			if w > 0 && (best < 0 || credit[i] > credit[best]) {
				best = i
			}
		}
		credit[best] -= total
		order = append(order, uint16(best))
	}
	return order
}

// reduce divides weights by their common divisor and, when the round would be too long, scales them down.
func reduce(weights []int) []int {
	divisor, total := 0, 0
	for _, w := range weights {
		divisor = gcd(divisor, w)
	}
	out := make([]int, len(weights))
	for i, w := range weights {
		if divisor > 0 {
			out[i] = w / divisor
		}
		total += out[i]
	}
	if total <= maxOrder {
		return out
	}
	for i, w := range out {
		if w > 0 {
			out[i] = max(1, w*maxOrder/total)
		}
	}
	return out
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// take chooses a server by the backend's algorithm and takes a slot of it. avoid, which just failed, is taken only when no other
// can be. full reports that usable servers exist but none has a free slot.
func (b *Backend) take(avoid *Server) (s *Server, full bool) {
	l := b.lineup.Load()
	if len(l.servers) == 0 {
		return nil, false
	}
	switch b.o.Algorithm {
	case "leastconn":
		return takeLeast(l.servers, avoid)
	case "first":
		return takeFirst(l.servers, 0, avoid)
	case "random":
		return takeRandom(l.servers, avoid)
	}
	return b.takeTurn(l, avoid)
}

// takeTurn gives the request to the server whose turn it is, or to the next one with room.
func (b *Backend) takeTurn(l *lineup, avoid *Server) (*Server, bool) {
	n := uint32(len(l.order))
	if n == 0 { // every weight became 0 while the line-up was made; the next rebuild is on its way
		return takeFirst(l.servers, 0, avoid)
	}
	at := (b.cursor.Add(1) - 1) % n
	// Past a few rounds over the distinct servers the sequence is unlikely to name one not asked yet: ask each once instead.
	for range min(n, uint32(2*len(l.servers))) {
		s := l.servers[l.order[at]]
		if s != avoid && s.usable.Load() && s.acquire() {
			return s, false
		}
		if at++; at == n {
			at = 0
		}
	}
	return takeFirst(l.servers, int(at)%len(l.servers), avoid)
}

// takeFirst takes the first server with room from position from on.
func takeFirst(servers []*Server, from int, avoid *Server) (s *Server, full bool) {
	for i := range servers {
		s := servers[(from+i)%len(servers)]
		if s == avoid || !s.usable.Load() {
			continue
		}
		if s.acquire() {
			return s, false
		}
		full = true
	}
	return takeLast(servers, avoid, full)
}

// takeLast falls back on the server to avoid.
func takeLast(servers []*Server, avoid *Server, full bool) (*Server, bool) {
	if avoid == nil || !avoid.usable.Load() {
		return nil, full
	}
	for _, s := range servers {
		if s.life == avoid.life {
			if s.acquire() {
				return s, false
			}
			return nil, true
		}
	}
	return nil, full
}

// takeLeast takes the server with the fewest requests for its weight; equals take turns by their number of requests so far.
func takeLeast(servers []*Server, avoid *Server) (*Server, bool) {
	for range 4 { // a race for the last slot of the best server is lost now and then
		var best *Server
		for _, s := range servers {
			if s == avoid || !s.usable.Load() || s.isFull() {
				continue
			}
			if best == nil || lighter(s, best) {
				best = s
			}
		}
		if best == nil {
			break
		}
		if best.acquire() {
			return best, false
		}
	}
	return takeFirst(servers, 0, avoid)
}

func (s *Server) isFull() bool {
	limit := s.limit()
	return limit > 0 && s.served.Load() >= limit
}

// lighter compares served/weight, then the requests served in all per weight, without dividing.
func lighter(a, b *Server) bool {
	wa, wb := int64(max(a.weight.Load(), 1)), int64(max(b.weight.Load(), 1))
	la, lb := (a.served.Load()+1)*wb, (b.served.Load()+1)*wa
	if la != lb {
		return la < lb
	}
	return a.life.counters.Tot.Load()*wb < b.life.counters.Tot.Load()*wa
}

// takeRandom draws two servers by weight and takes the less loaded one.
func takeRandom(servers []*Server, avoid *Server) (*Server, bool) {
	total := 0
	for _, s := range servers {
		total += int(s.weight.Load())
	}
	var best *Server
	for range 2 {
		s := drawn(servers, total)
		if s != avoid && s.usable.Load() && !s.isFull() && (best == nil || lighter(s, best)) {
			best = s
		}
	}
	if best != nil && best.acquire() {
		return best, false
	}
	return takeFirst(servers, rand.IntN(len(servers)), avoid)
}

func drawn(servers []*Server, total int) *Server {
	if total <= 0 {
		return servers[rand.IntN(len(servers))]
	}
	n := rand.IntN(total)
	for _, s := range servers {
		if n -= int(s.weight.Load()); n < 0 {
			return s
		}
	}
	return servers[len(servers)-1]
}
