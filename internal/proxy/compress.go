package proxy

import (
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"sync"

	"gatehouse/internal/stats"
	"gatehouse/internal/stream"
)

// Compression says which answers are compressed (manual section 4.2, "compression"). It belongs to a frontend or a backend, whose
// word counts first.
type Compression struct {
	Algos   []string // gzip, deflate, raw-deflate, identity in order of preference; nil: the other side's
	Types   []string // beginnings of Content-Type in lower case; nil: the other side's, and any when that has none
	Offload bool
	MinSize int64 // 0: the other side's
}

// squeeze is the compression of one response. Its writer and buffer are borrowed while a body passes.
type squeeze struct {
	algo string // that client and configuration agree on; "" is none
	w    compressor
	in   int64
	out  int64
	x    *exchange
	buf  []byte
}

// compressor is what the standard library's three writers have in common.
type compressor interface {
	io.WriteCloser
	Flush() error
	Reset(w io.Writer)
}

// level is HAProxy's tune.comp.maxlevel when it is not set: the fastest.
const level = 1

// compressors are the writers not in use: one takes some hundred kilobytes, so that none is made per response.
var compressors = map[string]*sync.Pool{
	"gzip":        {New: func() any { w, _ := gzip.NewWriterLevel(io.Discard, level); return w }},
	"deflate":     {New: func() any { w, _ := zlib.NewWriterLevel(io.Discard, level); return w }},
	"raw-deflate": {New: func() any { w, _ := flate.NewWriter(io.Discard, level); return w }},
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
			algos = c.Algos
		}
	}
	if len(algos) == 0 || oldBrowser(stream.Get(x.s.Req.Fields, "user-agent")) {
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
	if z.algo == "" || x.head || !x.compressible() {
		z.algo = ""
	}
	x.s.Log.Compression = z.algo
}

// compress begins to compress the response when judge said so; its head is changed then.
func (x *exchange) compress() {
	z := &x.squeeze
	z.w, z.x, z.in, z.out = nil, nil, 0, 0
	if z.algo == "" {
		return
	}
	s := &x.s
	s.Res.Body, s.Res.Length = stream.BodyChunked, 0
	for i := range s.Res.Fields {
		if f := &s.Res.Fields[i]; string(f.Name) == "etag" && f.Value[0] == '"' {
			f.Value = splice(s, f.Value, 0, 0, "W/", "")
		}
	}
	vary(s)
	if z.algo != "identity" {
		addField(s, "content-encoding", s.ScratchString(codings[z.algo]))
		z.w = compressors[z.algo].Get().(compressor)
		z.w.Reset(z)
	}
	z.x = x
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
func vary(s *stream.Stream) {
	found, last := false, -1
	eachElement(s.Res.Fields, "vary", func(v []byte) { found = found || equalFold(v, "accept-encoding") })
	for i := range s.Res.Fields {
		if f := &s.Res.Fields[i]; string(f.Name) == "vary" {
			last = i
		}
	}
	switch {
	case found:
	case last < 0:
		addField(s, "vary", s.ScratchString("Accept-Encoding"))
	case len(s.Res.Fields[last].Value) == 0:
		s.Res.Fields[last].Value = s.ScratchString("Accept-Encoding")
	default:
		f := &s.Res.Fields[last]
		f.Value = splice(s, f.Value, len(f.Value), len(f.Value), ",Accept-Encoding", "")
	}
}

// active reports whether the body passes through the compressor.
func (z *squeeze) active() bool { return z.x != nil }

// body takes a piece of the server's body.
func (z *squeeze) body(p []byte) error {
	z.in += int64(len(p))
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

// chunk hands what was collected to the client's writer.
func (z *squeeze) chunk() error {
	if len(z.buf) == 0 {
		return nil
	}
	z.out += int64(len(z.buf))
	err := z.x.out.Body(z.buf)
	z.buf = z.buf[:0]
	return err
}

// flush lets the client have what the server has sent so far.
func (z *squeeze) flush() error {
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

// giveBack returns what was borrowed and counts the response.
func (z *squeeze) giveBack() {
	if z.x == nil {
		return
	}
	for _, c := range [2]*stats.Counters{z.x.b.o.Counters, z.x.f.o.Counters} {
		c.CompIn.Add(z.in)
		c.CompOut.Add(z.out)
		c.CompRsp.Add(1)
	}
	if z.w != nil {
		z.w.Reset(io.Discard)
		compressors[z.algo].Put(z.w)
	}
	z.w, z.x = nil, nil
	if cap(z.buf) > 4*squeezeSize {
		z.buf = nil
	}
	z.buf = z.buf[:0]
}
