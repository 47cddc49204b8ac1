package config

import (
	"slices"
	"strings"
)

// Compression is what the `compression` lines of a proxy say of responses (manual section 4.2, "compression").
type Compression struct {
	Algos   []string // gzip, deflate, raw-deflate, identity; among equals the first one is preferred
	Types   []string // beginnings of Content-Type; nil: any
	Offload bool     // servers are not told that clients take compressed answers
	MinSize int64    // bytes below which an answer of known length is left alone
}

var compressionAlgos = []string{"identity", "gzip", "deflate", "raw-deflate"}

// proxyCompression reads one `compression` line. Requests are not compressed.
func (p *parser) proxyCompression(s *statement) {
	if s.px.Compression == nil {
		s.px.Compression = &Compression{}
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
	case "type", "type-res":
		if v == "" {
			p.alert("'%s' expects <type>.", s.arg(0))
			return
		}
		for _, t := range s.words[2:] {
			c.Types = append(c.Types, strings.ToLower(t))
		}
	case "minsize-res":
		if v == "" {
			p.alert("'%s' expects an integer argument.", word)
			return
		}
		n, err := ParseSize(v)
		if err != nil {
			p.alert("unexpected '%s' after size passed to '%s'", v, word)
			return
		}
		c.MinSize = n
	case "offload":
		if s.px.Kind == "defaults" {
			p.warning("'%s' : '%s' ignored in 'defaults' section.", s.arg(0), word)
		}
		c.Offload = true
	case "direction":
		switch v {
		case "response":
		case "request", "both":
			p.alert("'%s %s %s' is not supported in '%s' section.", s.arg(0), word, v, p.section.Name)
		default:
			p.alert("'%s' expects 'request', 'response', or 'both'.", s.arg(0))
		}
	case "algo-req", "type-req", "minsize-req":
		p.alert("'%s %s' is not supported in '%s' section.", s.arg(0), word, p.section.Name)
	default:
		p.alert("'%s' expects 'algo', 'type', 'direction', 'offload', 'minsize-req' or 'minsize-res'.", s.arg(0))
	}
}
