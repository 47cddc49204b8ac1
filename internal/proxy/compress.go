package proxy

import (
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/h1"
	"gatehouse/internal/stats"
	"gatehouse/internal/stream"
)

// Compression says which messages are compressed (manual section 4.2, "compression"). It belongs to a frontend or a backend, whose
// word counts first.
type Compression struct {
	Algos     []string // gzip, deflate, raw-deflate, identity in order of preference; nil: the other side's
	Types     []string // beginnings of Content-Type in lower case; nil: the other side's, and any when that has none
	Offload   bool
	MinSize   int64            // bytes; 0: the other side's
	Direction Direction        // what is compressed; one side's word is enough
	Filters   Direction        // what this side takes part in ("filter"); one side is enough
	Level     int              // 1 to 9; 0 is 1, the fastest
	Rate      *CompressionRate // shared by all of the process; nil counts nothing

	Request RequestCompression
}

// Direction is a set of messages.
type Direction uint8

const (
	Requests Direction = 1 << iota
	Responses
)

// RequestCompression is what Compression says of requests.
type RequestCompression struct {
	Algo    string   // "": the other side's
	Types   []string // as for answers
	MinSize int64    // bytes; 0: the other side's
}

// CompressionRate is how fast a process compresses, in bytes a second. The zero value is ready, and may be used by many goroutines.
type CompressionRate struct {
	In, Out stats.Rate
	Limit   atomic.Int64 // of In: messages that begin when there is more are left alone (maxcomprate); 0: none
}

// directed reports whether messages of direction d are compressed at all.
func (x *exchange) directed(d Direction) bool {
	var all, filters Direction
	for _, c := range [2]*Compression{x.b.o.Compression, x.f.o.Compression} {
		if c != nil {
			all, filters = all|c.Direction, filters|c.Filters
		}
	}
	return all&filters&d != 0
}

// squeeze is the compression of one message. Its writer and buffer are borrowed while a body passes.
type squeeze struct {
	algo    string // that client and configuration agree on; "" is none
	level   int
	w       compressor
	in      int64
	out     int64
	pending bool // something was given to the compressor since the last flush
	to      *h1.Writer
	rate    *CompressionRate   // where bytes to compress are counted; nil: nowhere
	through func([]byte) error // passes what was made on to the writer; nil: it goes there at once
	buf     []byte
}

// compressor is what the standard library's three writers have in common.
type compressor interface {
	io.WriteCloser
	Flush() error
	Reset(w io.Writer)
}

// compressors are the writers not in use, by level: one takes some hundred kilobytes, so that none is made per message.
var compressors = map[string]*[10]sync.Pool{"gzip": {}, "deflate": {}, "raw-deflate": {}}

// borrow takes a writer from those not in use.
func borrow(algo string, level int) compressor {
	if w, ok := compressors[algo][level].Get().(compressor); ok {
		return w
	}
	var w compressor
	switch algo { // a level from 1 to 9 is no error
	case "gzip":
		w, _ = gzip.NewWriterLevel(io.Discard, level)
	case "deflate":
		w, _ = zlib.NewWriterLevel(io.Discard, level)
	default:
		w, _ = flate.NewWriter(io.Discard, level)
	}
	return w
}

// codings are the names of the algorithms in HTTP.
var codings = map[string]string{"gzip": "gzip", "deflate": "deflate", "raw-deflate": "deflate", "identity": "identity"}

// squeezeSize is how much compressed output is collected before it becomes a chunk.
const squeezeSize = 8 << 10

// agree settles the algorithm by the request's Accept-Encoding, and hides that field from the server under `offload`.
func (x *exchange) agree() {
	x.squeeze.algo = ""
	f, b := x.f.o.Compression, x.b.o.Compression
	algos, offload := []string(nil), false
	for _, c := range [2]*Compression{b, f} {
		if c == nil {
			continue
		}
		offload = offload || c.Offload
		if algos == nil {
			algos, x.squeeze.level = c.Algos, max(c.Level, 1)
		}
	}
	if len(algos) == 0 || !x.directed(Responses) || oldBrowser(stream.Get(x.s.Req.Fields, "user-agent")) {
		return
	}
	best, identity := 0, ""
	for _, a := range algos {
		if a == "identity" {
			identity = a
		}
	}
	eachElement(x.s.Req.Fields, "accept-encoding", func(v []byte) {
		name, q := weighed(v)
		if q <= best {
			return
		}
		for _, a := range algos {
			if len(name) == 1 && name[0] == '*' || equalFold(name, codings[a]) {
				x.squeeze.algo, best = a, q
				return
			}
		}
	})
	if x.squeeze.algo == "" {
		x.squeeze.algo = identity // which needs no field
		return
	}
	if offload {
		x.s.Req.Fields = stream.Del(x.s.Req.Fields, "accept-encoding")
	}
}

// oldBrowser tells browsers that call themselves Mozilla/4 and cannot decompress; Internet Explorer from 6 SP2 on can.
func oldBrowser(agent []byte) bool {
	if len(agent) < 9 || string(agent[:9]) != "Mozilla/4" {
		return false
	}
	if len(agent) < 31 || string(agent[25:30]) != "MSIE " || agent[30] < '6' {
		return true
	}
	return agent[30] == '6' && (len(agent) < 54 || string(agent[51:54]) != "SV1")
}

// weighed splits an element of Accept-Encoding into its name and its weight in thousandths.
func weighed(v []byte) (name []byte, q int) {
	end := 0
	for end < len(v) && v[end] != ';' && !isBlank(v[end]) {
		end++
	}
	name, q = v[:end], 1000
	for i := end; i < len(v); i++ {
		if v[i] != ';' {
			continue
		}
		for i+1 < len(v) && isBlank(v[i+1]) {
			i++
		}
		if i+2 < len(v) && v[i+1]|0x20 == 'q' && v[i+2] == '=' {
			return name, weight(v[i+3:])
		}
	}
	return name, q
}

// weight reads 0, 1 and 0.123 as thousandths (RFC 9110 section 12.4.2).
func weight(v []byte) int {
	if len(v) == 0 || v[0] != '0' {
		return 1000
	}
	q, unit := 0, 100
	if len(v) > 1 && v[1] == '.' {
		for _, c := range v[2:] {
			if c < '0' || c > '9' || unit == 0 {
				break
			}
			q += int(c-'0') * unit
			unit /= 10
		}
	}
	return q
}

// judge settles whether the response in the stream is compressed. It looks at the response as the server sent it: rules that run
// later are told by res.comp, and what they change counts no more.
func (x *exchange) judge() {
	z := &x.squeeze
	if z.algo == "" || x.head || !x.compressible() || !x.mayCompress(z) {
		z.algo = ""
	}
	x.s.Log.Compression = z.algo
}

// mayCompress reports whether the process compresses no more than it may, and has z counted.
func (x *exchange) mayCompress(z *squeeze) bool {
	for _, c := range [2]*Compression{x.b.o.Compression, x.f.o.Compression} {
		if c != nil && c.Rate != nil {
			z.rate = c.Rate
			limit := c.Rate.Limit.Load()
			return limit <= 0 || c.Rate.In.PerSecond(time.Now()) <= limit
		}
	}
	return true
}

// compress begins to compress the response when judge said so; its head is changed then.
func (x *exchange) compress() {
	z := &x.squeeze
	if z.algo == "" {
		return
	}
	s := &x.s
	s.Res.Body, s.Res.Length = stream.BodyChunked, 0
	z.mark(s, &s.Res.Fields)
	z.start(&x.out)
	z.through = x.behind(toClient)
}

// mark tells in the head of a message that it is compressed.
func (z *squeeze) mark(s *stream.Stream, fields *[]stream.Field) {
	for i := range *fields {
		if f := &(*fields)[i]; string(f.Name) == "etag" && len(f.Value) > 0 && f.Value[0] == '"' {
			f.Value = splice(s, f.Value, 0, 0, "W/", "")
		}
	}
	vary(s, fields)
	if z.algo != "identity" {
		*fields = append(*fields, stream.Field{Name: s.ScratchString("content-encoding"), Value: s.ScratchString(codings[z.algo])})
	}
}

// start begins the body, which goes to w. A request that is sent again starts anew.
func (z *squeeze) start(w *h1.Writer) {
	z.to, z.in, z.out, z.pending, z.buf = w, 0, 0, false, z.buf[:0]
	if z.algo == "identity" {
		return
	}
	if z.w == nil {
		z.w = borrow(z.algo, z.level)
	}
	z.w.Reset(z)
}

// compressible holds the response against HAProxy's rules.
func (x *exchange) compressible() bool {
	req, res := &x.s.Req, &x.s.Res
	if res.Minor == 0 || req.Minor == 0 || x.s.Log.ServerStatus < 200 || x.s.Log.ServerStatus > 203 || x.srv.Done() && res.Body != stream.BodyLength {
		return false
	}
	if res.Body != stream.BodyLength && res.Body != stream.BodyChunked {
		return false
	}
	min, types := int64(0), []string(nil)
	for _, c := range [2]*Compression{x.b.o.Compression, x.f.o.Compression} {
		if c == nil {
			continue
		}
		if min == 0 {
			min = c.MinSize
		}
		if types == nil {
			types = c.Types
		}
	}
	if res.Body == stream.BodyLength && (res.Length == 0 || res.Length < min) || stream.Has(res.Fields, "content-encoding") {
		return false
	}
	etags, fine := 0, true
	var kind []byte
	for i := range res.Fields {
		switch f := &res.Fields[i]; string(f.Name) {
		case "etag":
			etags++
			fine = fine && validETag(f.Value)
		case "content-type":
			if kind == nil {
				kind = f.Value
			}
		}
	}
	eachElement(res.Fields, "cache-control", func(v []byte) { fine = fine && !equalFold(v, "no-transform") })
	if !fine || etags > 1 || prefixFold(kind, "multipart") {
		return false
	}
	return listed(types, kind)
}

// listed reports whether a Content-Type is one of types. nil stands for all types, and for no field.
func listed(types []string, kind []byte) bool {
	for _, t := range types {
		if kind != nil && prefixFold(kind, t) {
			return true
		}
	}
	return types == nil
}

// validETag accepts "x" and W/"x" (RFC 9110 section 8.8.3).
func validETag(v []byte) bool {
	if len(v) > 2 && v[0] == 'W' && v[1] == '/' {
		v = v[2:]
	}
	return len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"'
}

// vary adds Accept-Encoding to Vary unless it is there.
func vary(s *stream.Stream, fields *[]stream.Field) {
	found, last := false, -1
	eachElement(*fields, "vary", func(v []byte) { found = found || equalFold(v, "accept-encoding") })
	for i := range *fields {
		if string((*fields)[i].Name) == "vary" {
			last = i
		}
	}
	switch {
	case found:
	case last < 0:
		*fields = append(*fields, stream.Field{Name: s.ScratchString("vary"), Value: s.ScratchString("Accept-Encoding")})
	case len((*fields)[last].Value) == 0:
		(*fields)[last].Value = s.ScratchString("Accept-Encoding")
	default:
		f := &(*fields)[last]
		f.Value = splice(s, f.Value, len(f.Value), len(f.Value), ",Accept-Encoding", "")
	}
}

// active reports whether the body passes through the compressor.
func (z *squeeze) active() bool { return z.to != nil }

// body takes a piece of the sender's body.
func (z *squeeze) body(p []byte) error {
	z.in += int64(len(p))
	z.pending = true
	if z.rate != nil {
		z.rate.In.AddN(time.Now(), int64(len(p)))
	}
	if z.w == nil {
		_, err := z.Write(p)
		return err
	}
	_, err := z.w.Write(p)
	return err
}

// Write collects what the compressor makes.
func (z *squeeze) Write(p []byte) (int, error) {
	z.buf = append(z.buf, p...)
	if len(z.buf) >= squeezeSize {
		return len(p), z.chunk()
	}
	return len(p), nil
}

// chunk hands what was collected to the receiver's writer.
func (z *squeeze) chunk() error {
	if len(z.buf) == 0 {
		return nil
	}
	z.out += int64(len(z.buf))
	put := z.to.Body
	if z.through != nil {
		put = z.through
	}
	err := put(z.buf)
	z.buf = z.buf[:0]
	return err
}

// flush lets the receiver have what was sent so far.
func (z *squeeze) flush() error {
	if !z.pending {
		return nil
	}
	z.pending = false
	if z.w != nil {
		if err := z.w.Flush(); err != nil {
			return err
		}
	}
	return z.chunk()
}

// end finishes the body.
func (z *squeeze) end() error {
	if z.w != nil {
		if err := z.w.Close(); err != nil {
			return err
		}
	}
	return z.chunk()
}

// giveBack returns what was borrowed.
func (z *squeeze) giveBack() {
	if z.w != nil {
		z.w.Reset(io.Discard)
		compressors[z.algo][z.level].Put(z.w)
	}
	z.w, z.to, z.through, z.rate = nil, nil, nil, nil
	if cap(z.buf) > 4*squeezeSize {
		z.buf = nil
	}
	z.buf = z.buf[:0]
}

// compressed counts the response, if it was, and returns what was borrowed for it.
func (x *exchange) compressed() {
	z := &x.squeeze
	if z.active() {
		for _, c := range [2]*stats.Counters{x.b.o.Counters, x.f.o.Counters} {
			if z.w != nil {
				c.CompIn.Add(z.in)
				c.CompOut.Add(z.out)
			} else {
				c.CompByp.Add(z.in)
			}
			c.CompRsp.Add(1)
		}
		if z.rate != nil && z.w != nil {
			z.rate.Out.AddN(time.Now(), z.out)
		}
	}
	z.giveBack()
}
