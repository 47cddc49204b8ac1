package listener

import (
	"crypto/rand"
	"sync"
	"sync/atomic"
	"time"
)

// Sessions keep TLS sessions in memory where tickets are off (no-tls-tickets): the client gets a number, and nothing that could be deciphered later. One
// set for the whole process. When it is full, the session that was idle longest goes (HAProxy's manual, tune.ssl.cachesize).
type Sessions struct {
	lookups, misses atomic.Int64
	blocks          atomic.Int64 // per shard
	life            atomic.Int64 // nanoseconds
	shards          [sessionShards]sessionShard
}

// sessionShards divide the sessions, so that handshakes rarely meet at a lock, which is never held longer than moving one session.
const sessionShards = 16

// sessionBlock is how many bytes one unit of tune.ssl.cachesize stands for.
const sessionBlock = 200

// The defaults of tune.ssl.cachesize and tune.ssl.lifetime.
const (
	DefaultSessions    = 20000
	DefaultSessionLife = 5 * time.Minute
)

type sessionID [32]byte

// sessionShard is a list of sessions, most recently used first, and an index into it.
type sessionShard struct {
	mu   sync.Mutex
	byID map[sessionID]*session
	list session // ring; list.next is the newest
	used int64   // blocks
}

type session struct {
	id         sessionID
	context    []byte
	state      []byte
	made       time.Time
	prev, next *session
}

func (s *session) blocks() int64 { return int64(len(s.state)+sessionBlock-1) / sessionBlock }

// NewSessions makes an empty cache of the default size.
func NewSessions() *Sessions {
	c := new(Sessions)
	for i := range c.shards {
		s := &c.shards[i]
		s.byID = map[sessionID]*session{}
		s.list.prev, s.list.next = &s.list, &s.list
	}
	c.SetLimits(DefaultSessions, DefaultSessionLife)
	return c
}

// SetLimits changes how much is kept, in blocks of 200 bytes, 0 for nothing, and for how long a session can be resumed.
func (c *Sessions) SetLimits(blocks int, life time.Duration) {
	per := (int64(blocks) + sessionShards - 1) / sessionShards
	c.blocks.Store(per)
	c.life.Store(int64(life))
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.shrinkLocked(per)
		s.mu.Unlock()
	}
}

// Counts are how many sessions were asked for, and how many of these there were not.
func (c *Sessions) Counts() (lookups, misses int64) { return c.lookups.Load(), c.misses.Load() }

// On tells whether anything is kept at all.
func (c *Sessions) On() bool { return c != nil && c.blocks.Load() > 0 }

func (c *Sessions) shard(id *sessionID) *sessionShard { return &c.shards[id[0]%sessionShards] }

// keep implements keeper.
func (c *Sessions) keep(state, context []byte) []byte {
	n := &session{context: context, state: state, made: time.Now()}
	rand.Read(n.id[:])
	limit := c.blocks.Load()
	s := c.shard(&n.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.blocks() <= limit {
		s.byID[n.id] = n
		s.used += n.blocks()
		s.frontLocked(n)
		s.shrinkLocked(limit)
	}
	return append([]byte(nil), n.id[:]...)
}

// find implements keeper.
func (c *Sessions) find(ticket, context []byte) []byte {
	c.lookups.Add(1)
	state := c.look(ticket, context)
	if state == nil {
		c.misses.Add(1)
	}
	return state
}

func (c *Sessions) look(ticket, context []byte) []byte {
	var id sessionID
	if len(ticket) != len(id) {
		return nil
	}
	copy(id[:], ticket)
	s := c.shard(&id)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.byID[id]
	switch {
	case n == nil || string(n.context) != string(context):
		return nil
	case time.Since(n.made) > time.Duration(c.life.Load()):
		s.dropLocked(n)
		return nil
	}
	n.prev.next, n.next.prev = n.next, n.prev
	s.frontLocked(n)
	return n.state
}

func (s *sessionShard) frontLocked(n *session) {
	n.prev, n.next = &s.list, s.list.next
	n.prev.next, n.next.prev = n, n
}

func (s *sessionShard) dropLocked(n *session) {
	n.prev.next, n.next.prev = n.next, n.prev
	delete(s.byID, n.id)
	s.used -= n.blocks()
}

func (s *sessionShard) shrinkLocked(limit int64) {
	for s.used > limit && s.list.prev != &s.list {
		s.dropLocked(s.list.prev)
	}
}
