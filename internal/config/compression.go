package config

import (
	"slices"
	"strings"
)

// Compression is what the `compression` lines of a proxy say (manual section 4.2, "compression").
type Compression struct {
	Algos   []string // gzip, deflate, raw-deflate, identity; among equals the first one is preferred
	Types   []string // beginnings of Content-Type; nil: any
	Offload bool     // servers are not told that clients take compressed answers
	MinSize int64    // bytes below which an answer of known length is left alone

	Requests, Responses bool     // direction
	ReqAlgo             string   // the one that requests are compressed with; "" is none
	ReqTypes            []string // as Types, of requests
	ReqMinSize          int64    // as MinSize, of requests
}

var compressionAlgos = []string{"identity", "gzip", "deflate", "raw-deflate"}

// proxyCompression reads one `compression` line.
func (p *parser) proxyCompression(s *statement) {
	if s.px.Compression == nil {
		s.px.Compression = &Compression{Responses: true}
	}
	c := s.px.Compression
	switch word, v := s.arg(1), s.arg(2); word {
	case "algo", "algo-res":
		if v == "" {
			p.alert("parsing [%s:%d] : '%s' expects <algorithm>.", p.name, p.line, s.arg(0))
			return
		}
		for _, algo := range s.words[2:] {
			if !slices.Contains(compressionAlgos, algo) {
				p.alert("'%s' : '%s' is not a supported algorithm.", s.arg(0), algo)
				return
			}
			c.Algos = slices.Insert(c.Algos, 0, algo) // HAProxy prefers the one written last
		}
	case "algo-req":
		if !slices.Contains(compressionAlgos, v) {
			p.alert("'%s' : '%s' is not a supported algorithm.", s.arg(0), v)
			return
		}
		c.ReqAlgo = v // further words are ignored, as in HAProxy
	case "type", "type-res", "type-req":
		if v == "" {
			p.alert("'%s' expects <type>.", s.arg(0))
			return
		}
		for _, t := range s.words[2:] {
			if word == "type-req" {
				c.ReqTypes = append(c.ReqTypes, strings.ToLower(t))
			} else {
				c.Types = append(c.Types, strings.ToLower(t))
			}
		}
	case "minsize-res", "minsize-req":
		if v == "" {
			p.alert("'%s' expects an integer argument.", word)
			return
		}
		n, err := ParseSize(v)
		if err != nil {
			p.alert("unexpected '%s' after size passed to '%s'", v, word)
			return
		}
		if word == "minsize-req" {
			c.ReqMinSize = n
		} else {
			c.MinSize = n
		}
	case "offload":
		if s.px.Kind == "defaults" {
			p.warning("'%s' : '%s' ignored in 'defaults' section.", s.arg(0), word)
		}
		c.Offload = true
	case "direction":
		switch v {
		case "request", "response", "both":
			c.Requests, c.Responses = v != "response", v != "request"
		default:
			p.alert("'%s' expects 'request', 'response', or 'both'.", s.arg(0))
		}
	default:
		p.alert("'%s' expects 'algo', 'type', 'direction', 'offload', 'minsize-req' or 'minsize-res'.", s.arg(0))
	}
}

// proxyFilter reads `filter`: those of compression, and bandwidth limits. Without one, a `compression` line brings both of its filters.
func (p *parser) proxyFilter(s *statement) {
	px, name := s.px, s.arg(1)
	switch name {
	case "compression", "comp-req", "comp-res":
	case "":
		p.alert("parsing [%s:%d] : missing argument for '%s' in %s '%s'.", p.name, p.line, s.arg(0), typeName(px), px.Name)
		return
	case "bwlim-in", "bwlim-out":
		p.bandwidthFilter(s)
		return
	case "cache", "fcgi-app", "opentracing", "spoe", "trace":
		p.alert("'%s %s' is not supported in '%s' section.", s.arg(0), name, p.section.Name)
		return
	default:
		p.alert("'%s' : unknown keyword '%s'. Registered keywords : bwlim-in bwlim-out comp-req comp-res compression", s.arg(0), name)
		return
	}
	req, res := name != "comp-res", name != "comp-req"
	if req && px.CompReq || res && px.CompRes {
		p.alert("'%s' : %s: Proxy supports only one %s filter", s.arg(0), px.Name, name)
		return
	}
	if v := s.arg(2); v != "" {
		p.alert("'%s %s' : unknown keyword '%s'.", s.arg(0), name, v)
		return
	}
	px.CompReq, px.CompRes = px.CompReq || req, px.CompRes || res
	if name == "compression" {
		return
	}
	if px.Compression == nil {
		px.Compression = &Compression{}
	}
	px.Compression.Requests = px.Compression.Requests || req
	px.Compression.Responses = px.Compression.Responses || res
}

// globalCompLevel reads tune.comp.maxlevel.
func (p *parser) globalCompLevel(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	n := atol(s.arg(1))
	if n < 1 || n > 9 {
		p.alert("'%s' expects a numeric value between 1 and 9", s.arg(0))
		return
	}
	p.cfg.Global.CompLevel = n
}

// globalCompRate reads maxcomprate, which is in kilobytes a second.
func (p *parser) globalCompRate(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	if s.arg(1) == "" {
		p.alert("'%s' expects an integer argument in kb/s.", s.arg(0))
		return
	}
	p.cfg.Global.CompRate = max(int64(atol(s.arg(1))), 0) << 10
}

// globalRate reads maxconnrate, maxsessrate and maxsslrate.
func (p *parser) globalRate(s *statement) {
	g := &p.cfg.Global
	field := map[string]*int{"maxconnrate": &g.ConnRate, "maxsessrate": &g.SessRate, "maxsslrate": &g.SSLRate}[s.arg(0)]
	switch {
	case p.tooMany(s, 1, 0):
	case *field != 0:
		p.softly("'%s' already specified. Continuing.", s.arg(0))
	case s.arg(1) == "":
		p.alert("'%s' expects an integer argument.", s.arg(0))
	default:
		*field = max(atol(s.arg(1)), 0)
	}
}
