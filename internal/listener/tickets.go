package listener

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// keeper carries sessions to later connections. keep returns what the client gets to name the session by; find returns the session of such a name where it
// was kept for the same context, else nil.
type keeper interface {
	keep(state, context []byte) []byte
	find(ticket, context []byte) []byte
}

// bind makes cfg give tickets that only a configuration with an equal context resumes.
func bind(cfg *tls.Config, k keeper, context []byte) {
	cfg.WrapSession = func(_ tls.ConnectionState, s *tls.SessionState) ([]byte, error) {
		state, err := s.Bytes()
		if err != nil {
			return nil, err
		}
		return k.keep(state, context), nil
	}
	cfg.UnwrapSession = func(identity []byte, _ tls.ConnectionState) (*tls.SessionState, error) {
		state := k.find(identity, context)
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

// ticketRotation is the life of a key for new tickets; tickets under the one before are still taken, so that a session can be resumed for
// at least as long (threat T09).
const ticketRotation = 24 * time.Hour

// Tickets are keys of session tickets (RFC 8446 section 4.6.1): one set for the whole process, made new every day, or those of a tls-ticket-keys
// file, which only its owner changes. They never leave memory. Every method may be called by any goroutine; none takes a lock.
type Tickets struct {
	ring atomic.Pointer[ring]
	life *atomic.Int64 // nanoseconds a ticket is taken; 0: as long as its key lives. Shared by all keys of the process.
}

// ring is immutable. keys[enc] is the key of new tickets, all are taken.
type ring struct {
	keys  []ticketKey
	enc   int
	fixed bool // of a file: not made new by time
}

type ticketKey struct {
	id   [16]byte
	aead cipher.AEAD
	made time.Time
	text []byte // as the file has it
}

// NewTickets makes a first key.
func NewTickets() *Tickets {
	t := &Tickets{life: new(atomic.Int64)}
	t.ring.Store(&ring{keys: []ticketKey{newTicketKey(time.Now())}})
	return t
}

// SetLifetime is tune.ssl.lifetime for tickets of t and of every FromFile of it; 0 takes tickets as long as their key lives.
func (t *Tickets) SetLifetime(d time.Duration) { t.life.Store(int64(d)) }

func newTicketKey(now time.Time) ticketKey {
	var secret [32]byte
	k := ticketKey{made: now}
	rand.Read(secret[:])
	rand.Read(k.id[:])
	k.aead = newAEAD(secret[:])
	return k
}

func newAEAD(secret []byte) cipher.AEAD {
	block, err := aes.NewCipher(secret)
	var aead cipher.AEAD
	if err == nil {
		aead, err = cipher.NewGCM(block)
	}
	if err != nil {
		panic("listener: AES-256-GCM of crypto/cipher: " + err.Error()) // cannot fail with a key of this size
	}
	return aead
}

// The sizes of a key in a tls-ticket-keys file: a name of 16 bytes, and keys for AES and HMAC of 128 or 256 bits each.
const (
	ticketName   = 16
	ticketKey128 = ticketName + 2*16
	ticketKey256 = ticketName + 2*32
	fileTickets  = 3 // how many are in use: one that was, one that encrypts, one to come
)

// fileKey makes a key of what a file holds. All of it goes into one key of 256 bits: our tickets are sealed by AES-GCM, not by AES-CBC and HMAC, so that
// they are no other program's.
func fileKey(text []byte) ticketKey {
	k := ticketKey{text: text}
	copy(k.id[:], text)
	secret := sha256.Sum256(append([]byte("gatehouse session ticket\x00"), text...))
	k.aead = newAEAD(secret[:])
	return k
}

// FromFile makes keys of the content of a tls-ticket-keys file (HAProxy's manual, section 5.1): base64 lines of 48 or 80 bytes, all alike, at least three. The last three
// are taken, the penultimate one encrypts. The errors are HAProxy's.
func (t *Tickets) FromFile(data []byte) (*Tickets, error) {
	var keys []ticketKey
	size, n := 0, 0
	for line := range strings.Lines(string(data)) {
		n++
		text, err := base64.StdEncoding.DecodeString(strings.TrimRight(line, "\r\n"))
		switch {
		case err != nil || len(text) > ticketKey256:
			return nil, fmt.Errorf("unable to decode base64 key on line %d", n)
		case len(text) != ticketKey128 && len(text) != ticketKey256 || size != 0 && len(text) != size:
			return nil, fmt.Errorf("wrong sized key on line %d", n)
		}
		size = len(text)
		if keys = append(keys, fileKey(text)); len(keys) > fileTickets {
			keys = keys[1:]
		}
	}
	if len(keys) < fileTickets {
		return nil, fmt.Errorf("please supply at least %d keys in the tls-tickets-file", fileTickets)
	}
	f := &Tickets{life: t.life}
	f.ring.Store(&ring{keys: keys, enc: fileTickets - 2, fixed: true})
	return f, nil
}

// ErrKeySize is a key that is not as long as the others.
var ErrKeySize = errors.New("a key of wrong size")

// Rotate appends a key to those of a file and drops the oldest; the one before encrypts now (`set ssl tls-key`).
func (t *Tickets) Rotate(text []byte) error {
	for {
		r := t.ring.Load()
		if len(text) != len(r.keys[0].text) {
			return ErrKeySize
		}
		next := &ring{keys: append(append([]ticketKey(nil), r.keys[1:]...), fileKey(append([]byte(nil), text...))), enc: r.enc, fixed: true}
		if t.ring.CompareAndSwap(r, next) {
			return nil
		}
	}
}

// Keys are the keys of a file, oldest first. They are secret.
func (t *Tickets) Keys() (list [][]byte) {
	for _, k := range t.ring.Load().keys {
		list = append(list, k.text)
	}
	return list
}

// current is the key for new tickets, replaced when its day is over.
func (t *Tickets) current(now time.Time) *ticketKey {
	r := t.ring.Load()
	for !r.fixed && now.Sub(r.keys[0].made) >= ticketRotation {
		next := &ring{keys: []ticketKey{newTicketKey(now)}}
		if now.Sub(r.keys[0].made) < 2*ticketRotation {
			next.keys = append(next.keys, r.keys[0])
		}
		if t.ring.CompareAndSwap(r, next) {
			return &next.keys[0]
		}
		r = t.ring.Load()
	}
	return &r.keys[r.enc]
}

// stamp is how long the time of a ticket is, in bytes: seconds since 1970.
const stamp = 8

// keep makes a ticket: the key's name, a nonce, and, sealed, the time and the state.
func (t *Tickets) keep(state, context []byte) []byte {
	now := time.Now()
	k := t.current(now)
	n := len(k.id) + k.aead.NonceSize()
	ticket := make([]byte, n+stamp, n+stamp+len(state)+k.aead.Overhead())
	copy(ticket, k.id[:])
	nonce := ticket[len(k.id):n]
	rand.Read(nonce)
	binary.BigEndian.PutUint64(ticket[n:], uint64(now.Unix()))
	plain := append(ticket[n:], state...)
	return k.aead.Seal(ticket[:n], nonce, plain, context)
}

// find returns the state in a ticket, nil for one that is not ours, too old, or of another context.
func (t *Tickets) find(ticket, context []byte) []byte {
	now := time.Now()
	r := t.ring.Load()
	for i := range r.keys {
		k := &r.keys[i]
		n := len(k.id) + k.aead.NonceSize()
		if len(ticket) < n || string(ticket[:len(k.id)]) != string(k.id[:]) || !r.fixed && now.Sub(k.made) >= 2*ticketRotation {
			continue
		}
		plain, err := k.aead.Open(nil, ticket[len(k.id):n], ticket[n:], context)
		if err != nil || len(plain) < stamp {
			continue
		}
		age := now.Sub(time.Unix(int64(binary.BigEndian.Uint64(plain)), 0))
		if life := t.life.Load(); life > 0 && age > time.Duration(life) {
			return nil
		}
		return plain[stamp:]
	}
	return nil
}
