package listener

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/tls"
	"sync/atomic"
	"time"
)

// ticketRotation is the life of a key for new tickets; tickets under the one before are still taken, so that a session can be resumed for
// at least as long (threat T09).
const ticketRotation = 24 * time.Hour

// Tickets are the keys of session tickets (RFC 8446 section 4.6.1), one set for the whole process, made new every day. They
// never leave memory. Every method may be called by any goroutine; none takes a lock.
type Tickets struct {
	ring atomic.Pointer[ring]
}

// ring is immutable. keys[0] is the key of new tickets, the rest are taken.
type ring struct {
	keys []ticketKey
}

type ticketKey struct {
	id   [8]byte
	aead cipher.AEAD
	made time.Time
}

// NewTickets makes a first key.
func NewTickets() *Tickets {
	t := new(Tickets)
	t.ring.Store(&ring{keys: []ticketKey{newTicketKey(time.Now())}})
	return t
}

func newTicketKey(now time.Time) ticketKey {
	var secret [32]byte
	k := ticketKey{made: now}
	rand.Read(secret[:])
	rand.Read(k.id[:])
	block, err := aes.NewCipher(secret[:])
	if err == nil {
		k.aead, err = cipher.NewGCM(block)
	}
	if err != nil {
		panic("listener: AES-256-GCM of crypto/cipher: " + err.Error()) // cannot fail with a key of this size
	}
	return k
}

// current is the key for new tickets, replaced when its day is over.
func (t *Tickets) current() *ticketKey {
	now := time.Now()
	r := t.ring.Load()
	for now.Sub(r.keys[0].made) >= ticketRotation {
		next := &ring{keys: []ticketKey{newTicketKey(now)}}
		if now.Sub(r.keys[0].made) < 2*ticketRotation {
			next.keys = append(next.keys, r.keys[0])
		}
		if t.ring.CompareAndSwap(r, next) {
			return &next.keys[0]
		}
		r = t.ring.Load()
	}
	return &r.keys[0]
}

// bind makes cfg give tickets that only a configuration with an equal context resumes.
func (t *Tickets) bind(cfg *tls.Config, context []byte) {
	cfg.WrapSession = func(_ tls.ConnectionState, s *tls.SessionState) ([]byte, error) {
		state, err := s.Bytes()
		if err != nil {
			return nil, err
		}
		return t.seal(state, context), nil
	}
	cfg.UnwrapSession = func(identity []byte, _ tls.ConnectionState) (*tls.SessionState, error) {
		state := t.open(identity, context)
		if state == nil {
			return nil, nil // a full handshake
		}
		s, err := tls.ParseSessionState(state)
		if err != nil {
			return nil, nil
		}
		return s, nil
	}
	// crypto/tls would otherwise make keys of its own under the configuration's lock. They are never used: Wrap and Unwrap stand before.
	cfg.SetSessionTicketKeys([][32]byte{{1}})
}

// seal makes a ticket: the key's name, a nonce, and the sealed state.
func (t *Tickets) seal(state, context []byte) []byte {
	k := t.current()
	n := k.aead.NonceSize()
	ticket := make([]byte, len(k.id)+n, len(k.id)+n+len(state)+k.aead.Overhead())
	copy(ticket, k.id[:])
	nonce := ticket[len(k.id):]
	rand.Read(nonce)
	return k.aead.Seal(ticket, nonce, state, context)
}

// open returns the state in a ticket, nil for one that is not ours, too old, or of another context.
func (t *Tickets) open(ticket, context []byte) []byte {
	now := time.Now()
	r := t.ring.Load()
	for i := range r.keys {
		k := &r.keys[i]
		n := k.aead.NonceSize()
		if len(ticket) < len(k.id)+n || string(ticket[:len(k.id)]) != string(k.id[:]) || now.Sub(k.made) >= 2*ticketRotation {
			continue
		}
		state, err := k.aead.Open(nil, ticket[len(k.id):len(k.id)+n], ticket[len(k.id)+n:], context)
		if err == nil {
			return state
		}
	}
	return nil
}
