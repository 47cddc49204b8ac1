package proxy

import "gatehouse/internal/stream"

// compressRequest settles whether the request in the stream is compressed on its way to the server, and changes its head then. What a
// server can decompress only the configuration knows, so that nothing but the request's own nature is looked at (manual section 4.2,
// "compression direction"). Requests without a body stay as they are.
func (x *exchange) compressRequest() {
	z, req := &x.press, &x.s.Req
	z.algo = ""
	if !x.directed(Requests) || x.cl.in.Done() || req.Minor == 0 || string(req.Method) == "HEAD" || stream.Has(req.Fields, "content-encoding") {
		return
	}
	if req.Body != stream.BodyLength && req.Body != stream.BodyChunked {
		return
	}
	var min int64
	var types []string
	algo, level := "", 1
	for _, c := range [2]*Compression{x.b.o.Compression, x.f.o.Compression} {
		if c == nil {
			continue
		}
		if r := &c.Request; algo == "" {
			algo, level = r.Algo, max(c.Level, 1)
		}
		if min == 0 {
			min = c.Request.MinSize
		}
		if types == nil {
			types = c.Request.Types
		}
	}
	if algo == "" || req.Body == stream.BodyLength && req.Length < min || !listed(types, stream.Get(req.Fields, "content-type")) || !x.mayCompress(z) {
		return
	}
	z.algo, z.level = algo, level
	req.Body, req.Length = stream.BodyChunked, 0
	z.mark(&x.s, &req.Fields)
}

// toServer passes a piece of the request body on, compressed or not.
func (x *exchange) toServer(p []byte) error {
	if x.paces[toServer].on.Load() {
		return x.paced(toServer, p, false)
	}
	if x.press.active() {
		return x.press.body(p)
	}
	return x.up.Body(p)
}

// flushServer lets the server have what the client has sent so far.
func (x *exchange) flushServer() error {
	if x.press.active() {
		if err := x.press.flush(); err != nil {
			return err
		}
	}
	return x.up.Flush()
}

// endServer finishes the body towards the server.
func (x *exchange) endServer(trailers []stream.Field) error {
	if x.press.active() {
		if err := x.press.end(); err != nil {
			return err
		}
	}
	return x.up.End(trailers)
}

// endPress returns what the request's compression borrowed. The sender is over when an exchange is.
func (x *exchange) endPress() {
	x.press.giveBack()
	x.press.algo = ""
}
