package config

// maxBufSize bounds tune.bufsize: every connection may hold two buffers.
const maxBufSize = 16 << 20

// maxSSLCapture bounds what every TLS connection keeps of its ClientHello.
const maxSSLCapture = 64 << 10

// maxSSLSessions bounds tune.ssl.cachesize: blocks of 200 bytes.
const maxSSLSessions = 1 << 24

// globalNumber reads the buffer and header limits.
func (p *parser) globalNumber(s *statement) {
	g := &p.cfg.Global
	if p.tooMany(s, 1, 0) {
		return
	}
	if s.arg(1) == "" {
		dot := "."
		if s.arg(0) == "tune.bufsize" {
			dot = ""
		}
		p.alert("'%s' expects an integer argument%s", s.arg(0), dot)
		return
	}
	n := atol(s.arg(1))
	switch s.arg(0) {
	case "tune.bufsize":
		size, ok := p.globalSize(s)
		switch {
		case !ok:
		case size > maxBufSize:
			p.alert("'%s' expects a size in bytes from 0 to %d.", s.arg(0), maxBufSize)
		case size == 0:
			p.alert("'%s' expects a positive integer argument.", s.arg(0))
		default:
			g.BufSize = int(size+15) &^ 15 // as HAProxy, a multiple of two pointers
		}
	case "tune.maxrewrite":
		if n < 0 {
			p.alert("'%s' expects a positive integer argument.", s.arg(0))
			return
		}
		g.MaxRewrite = max(n, 1) // 0 would mean "not set"
	case "tune.http.maxhdr":
		if g.MaxHdr = n; n < 1 || n > 32767 {
			p.alert("'%s' expects a numeric value between 1 and 32767", s.arg(0))
		}
	case "tune.ssl.ssl-ctx-cache-size":
		if g.SSLCtxCache = &n; n < 0 {
			p.alert("'%s' expects a positive integer argument.", s.arg(0))
		}
	case "tune.ssl.capture-buffer-size", "tune.ssl.capture-cipherlist-size":
		if g.SSLCapture = n; n < 0 || n > maxSSLCapture {
			p.alert("'%s' expects a positive integer argument.", s.arg(0))
		}
	case "tune.ssl.cachesize":
		if g.SSLCacheSize = &n; n < 0 || n > maxSSLSessions {
			p.alert("'%s' expects a positive integer argument.", s.arg(0))
		}
	case "tune.http.logurilen":
		if g.LogURILen = n; n < 0 || n > maxBufSize {
			p.alert("'%s' expects a positive integer argument.", s.arg(0))
		}
	}
}

// globalSize reads the first argument as a size.
func (p *parser) globalSize(s *statement) (int64, bool) {
	n, err := ParseSize(s.arg(1))
	if err != nil {
		rest := ""
		if e, ok := err.(*CharError); ok && e.At < len(e.Text) {
			rest = e.Text[e.At:]
		}
		p.alert("unexpected '%s' after size passed to '%s'", rest, s.arg(0))
	}
	return n, err == nil
}

func (p *parser) globalPayload(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	if s.arg(1) == "" {
		p.alert("'%s' expects a size argument.", s.arg(0))
		return
	}
	if n, ok := p.globalSize(s); ok {
		p.cfg.Global.CLIMaxPayload = int(n)
	}
}
