package h1

import "sync"

// Buffer is one borrowed piece of memory; B has the size of its pool.
type Buffer struct {
	B []byte
}

// Pool lends buffers of one size to every connection that has bytes in flight.
type Pool struct {
	size int
	free sync.Pool
}

// NewPool makes a pool of buffers of size bytes; 0 means DefaultBuffer.
func NewPool(size int) *Pool {
	if size <= 0 {
		size = DefaultBuffer
	}
	p := &Pool{size: size}
	p.free.New = func() any { return &Buffer{B: make([]byte, size)} }
	return p
}

// Size is the size of the pool's buffers.
func (p *Pool) Size() int { return p.size }

// Get borrows a buffer; its content is whatever the last borrower left.
func (p *Pool) Get() *Buffer { return p.free.Get().(*Buffer) }

// Put gives a buffer back; nil is allowed.
func (p *Pool) Put(b *Buffer) {
	if b != nil {
		p.free.Put(b)
	}
}
