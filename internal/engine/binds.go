package engine

import (
	"fmt"
	"strconv"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/config"
	"gatehouse/internal/listener"
	"gatehouse/internal/log"
	"gatehouse/internal/rule"
	"gatehouse/internal/stats"
	"gatehouse/internal/stream"
)

// bindGen is one bind line of one generation.
type bindGen struct {
	front    *front
	cfg      *config.Bind
	name     string // its name, or its number in the section
	id       int
	addrs    []listener.Address
	index    *cert.Index   // nil: clear
	tls      *cert.Options // nil: clear
	forge    func(name string, base *cert.Bundle) (*cert.Bundle, error)
	entries  []*bindEntry
	lists    []string          // crt-lists and directories that fill the index
	ech      *listener.ECH     // nil: clear
	tickets  *listener.Tickets // of tls-ticket-keys; nil: the process's
	counters *stats.Counters
	limit    *listener.Limit
	errorLog func(c *stream.Conn, text string)
}

// binds plans the bind lines of a frontend. errorFormat is its error-log-format, nil when there is none.
func (b *builder) binds(g *proxyGen, errorFormat *rule.Format) {
	for i, line := range g.cfg.Binds {
		n := &bindGen{front: g.front, cfg: line, errorLog: b.errorLog(g, errorFormat), name: line.Name, id: i + 1, limit: listener.NewLimit(line.MaxConn), counters: new(stats.Counters)}
		if n.name == "" {
			n.name = strconv.Itoa(i + 1)
		}
		if line.ID != 0 {
			n.id = line.ID
		}
		if prev := b.previous(g.cfg.Name); prev != nil {
			for _, old := range prev.binds {
				if old.name == n.name {
					n.counters = old.counters
				}
			}
		}
		for _, a := range line.Addrs {
			addr, err := listener.NewAddress(b.ctx, b.e.o.Host, line, a)
			if err == nil {
				err = addr.Usable()
			}
			if err != nil {
				b.diags.Alert(line.Pos, "'bind %s' : %v", line.Text, err)
				continue
			}
			addr.Spec.NoReusePort = b.e.o.Limits.NoReusePort
			if first, taken := b.plan.bound[addr.Key()]; taken && !g.cfg.Disabled {
				// HAProxy opens the address twice and lets the kernel deal out the connections; nobody means that.
				b.diags.Alert(line.Pos, "'bind %s' : this address is bound already, at [%s:%d].", line.Text, first.File, first.Line)
				continue
			}
			if !g.cfg.Disabled {
				b.plan.bound[addr.Key()] = line.Pos
			}
			n.addrs = append(n.addrs, addr)
		}
		if line.SSL {
			b.bindTLS(g, n)
		}
		g.binds = append(g.binds, n)
	}
}

// bindTLS reads the TLS words of a bind line over the ssl-default-bind ones, and fills its index.
func (b *builder) bindTLS(g *proxyGen, n *bindGen) {
	opts := &cert.Options{}
	for _, s := range append(append([]config.Setting{}, b.cfg.Global.DefaultBindOptions...), n.cfg.TLS...) {
		if err := opts.Set(s.Name, s.Args); err != nil {
			b.diags.Alert(s.Pos, "'bind %s' in section '%s' : '%s' : %v", n.cfg.Text, g.cfg.Kind, s.Name, err)
		}
	}
	if _, _, err := opts.VersionRange(); err != nil {
		b.diags.Alert(n.cfg.Pos, "'bind %s' : %v", n.cfg.Text, err)
	}
	b.trust(opts, n.cfg.Pos)
	if opts.TicketKeys != "" {
		n.tickets = b.ticketKeys(opts.TicketKeys, n.cfg.Pos, fmt.Sprintf("'bind %s' in section '%s'", n.cfg.Text, g.cfg.Kind))
	}
	strict := n.cfg.StrictSNI
	if opts.StrictSNI != nil && !n.cfg.NoStrictSNI {
		strict = strict || *opts.StrictSNI
	}
	n.tls, n.index = opts, cert.NewIndex(strict)
	b.loadECH(g, n)
	b.fill(g, n)
	b.strictDefault(g, n)
	for _, word := range opts.Unfollowed() {
		b.diags.Notice(n.cfg.Pos, "'bind %s' : '%s' is accepted without effect.", n.cfg.Text, word)
	}
	if a := b.signer(g, n.cfg); a != nil {
		forger := b.forger()
		n.forge = func(name string, base *cert.Bundle) (*cert.Bundle, error) { return forger.Forge(a, name, base) }
	}
}

// listenerOptions are what becomes of the connections of a bind line.
func (e *Engine) listenerOptions(x *proxyGen, b *bindGen) listener.Options {
	p, cfg := x.cfg, e.gen.Load().cfg
	o := listener.Options{
		Frontend: p.Name, Name: b.name, ID: b.id, Index: b.index, TLS: b.tls, HTTP: p.Mode == "http", AcceptProxy: b.cfg.AcceptProxy, AcceptCIP: b.cfg.CIPMagic != 0, CIPMagic: b.cfg.CIPMagic, Tickets: e.tickets, Sessions: e.sessions,
		ECH: b.ech,
		CA:  e.o.Store.CA, CRL: e.o.Store.CRL,
		DefaultCiphers: cfg.Global.DefaultBindCiphers, DefaultCurves: cfg.Global.DefaultBindCurves,
		Forge: b.forge, SkipSelfIssuedCA: cfg.Global.SkipSelfIssued,
		CaptureHello:     cfg.Global.SSLCapture,
		HandshakeTimeout: p.TimeoutClientHS, KeepAlive: p.TCPKeepAlive, Probes: p.ClientProbes, SessionLimit: p.SessionLimit,
		Limits: []*listener.Limit{b.limit, x.front.limit, &e.limit}, IDs: &e.ids, Rates: &e.rates,
		Counters: &x.front.counters, Own: b.counters,
		Admit: x.front.handle.Admit, Serve: x.front.handle.Serve, ErrorLog: b.errorLog,
		Log: func(level, text string) { e.o.Notify(log.StartupWord(level), text) },
	}
	if b.tickets != nil {
		o.Tickets = b.tickets
	}
	if o.HandshakeTimeout == 0 {
		o.HandshakeTimeout = p.TimeoutClient
	}
	return o
}

// errorLog writes a line about connections that failed before they could be served (manual section 8.2.5), in the form of format
// when there is one.
func (b *builder) errorLog(g *proxyGen, format *rule.Format) func(c *stream.Conn, text string) {
	logger, p := b.logger(g.cfg), g.cfg
	if len(logger.Targets) == 0 {
		return nil
	}
	level := log.Info
	if p.LogSeparateErrors {
		level = log.Err
	}
	if format != nil {
		env, http := b.e.env(), p.Mode == "http"
		return func(c *stream.Conn, _ string) {
			logger.Send(level, format.Append(nil, failed(c, http), env))
		}
	}
	return func(c *stream.Conn, text string) {
		from, port := c.Src.Addr().String(), int(c.Src.Port())
		if !c.Src.IsValid() { // HAProxy's words for a unix socket
			from, port = "unix", c.BindID
		}
		logger.Send(level, fmt.Appendf(nil, "%s:%d [%s] %s/%s: %s", from, port, c.Accepted.Format(stream.LogDate), c.Frontend, c.BindName, text))
	}
}

// failed is what a log line can tell of a connection on which nothing was ever asked.
func failed(c *stream.Conn, http bool) *stream.Stream {
	s := new(stream.Stream)
	s.Reset()
	s.Conn, s.HTTP, s.Frontend = c, http, c.Frontend
	s.Log.Origin = "sess_error"
	s.Log.Start, s.Log.End = c.Accepted, time.Now()
	s.Log.Term = [2]byte{'P', 'R'}
	return s
}
