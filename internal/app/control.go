package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/host"
)

// order is what a master tells its worker on the control socket.
type order struct {
	Do      string // "load", "cli" or "reloaded"
	ID      uint64 `json:",omitempty"` // of a load, or of the ask that is answered
	Sources []part `json:",omitempty"` // load: the files whose bytes are the payload, one after the other
	Hard    bool   `json:",omitempty"` // load: cut what the generations before still serve
	Detach  bool   `json:",omitempty"` // load: let go of stdin, stdout and stderr once it serves
	OK      bool   `json:",omitempty"` // reloaded
}

type part struct {
	Name []byte // a path need not be UTF-8
	Size int
}

// report is what a worker tells its master.
type report struct {
	Say string // "loaded": the outcome of order ID, the payload is what was printed; "reload": please load again
	ID  uint64
	OK  bool `json:",omitempty"`
}

// pack makes a load order's parts and payload of sources.
func pack(sources []config.Source) (parts []part, payload []byte) {
	for _, s := range sources {
		parts = append(parts, part{Name: []byte(s.Name), Size: len(s.Data)})
		payload = append(payload, s.Data...)
	}
	return parts, payload
}

func unpack(parts []part, payload []byte) ([]config.Source, error) {
	var sources []config.Source
	for _, p := range parts {
		if p.Size < 0 || p.Size > len(payload) {
			return nil, errors.New("load order shorter than its sources")
		}
		sources = append(sources, config.Source{Name: string(p.Name), Data: payload[:p.Size:p.Size]})
		payload = payload[p.Size:]
	}
	return sources, nil
}

// Bounds of what goes over the control socket.
const (
	loadTimeout = 15 * time.Minute // a generation with very many certificates, on a slow disk
	askTimeout  = loadTimeout + time.Minute
)

// outcome ends a load or a reload.
type outcome struct {
	ok   bool
	logs string
	err  error // the other process is gone or does not answer
}

// exchange matches answers to what was asked over one Link.
type exchange struct {
	link *host.Link

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan outcome
	gone    error
}

func newExchange(conn *net.UnixConn) *exchange {
	return &exchange{link: host.NewLink(conn), waiting: map[uint64]chan outcome{}}
}

// ask sends what send builds for a fresh ID and waits for its outcome.
func (x *exchange) ask(ctx context.Context, limit time.Duration, send func(id uint64) error) outcome {
	ch := make(chan outcome, 1)
	x.mu.Lock()
	if x.gone != nil {
		x.mu.Unlock()
		return outcome{err: x.gone}
	}
	x.next++
	id := x.next
	x.waiting[id] = ch
	x.mu.Unlock()
	defer func() {
		x.mu.Lock()
		delete(x.waiting, id)
		x.mu.Unlock()
	}()
	if err := send(id); err != nil {
		return outcome{err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case o := <-ch:
		return o
	case <-ctx.Done():
		return outcome{err: ctx.Err()}
	}
}

func (x *exchange) answer(id uint64, o outcome) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if ch := x.waiting[id]; ch != nil {
		ch <- o
		delete(x.waiting, id)
	}
}

// end fails everything that waits: there will be no more answers.
func (x *exchange) end(err error) {
	x.link.Close()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.gone = err
	for id, ch := range x.waiting {
		ch <- outcome{err: err}
		delete(x.waiting, id)
	}
}

// inheritedConn is our end of a socketpair that the master made.
func inheritedConn(fd int) (*net.UnixConn, error) {
	conn, err := host.UnixConn(os.NewFile(uintptr(fd), "master"))
	if err != nil {
		return nil, fmt.Errorf("socket to the master: %w", err)
	}
	return conn, nil
}
