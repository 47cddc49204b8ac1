package config

// bindECH reads the directory of ECH keys. HAProxy names the bind line's address in place of the keyword.
func (p *parser) bindECH(s *statement) {
	if !p.cfg.Global.Experimental {
		p.bindAlert(s, "'%s' directive is experimental, must be allowed via a global 'expose-experimental-directives'", s.arg(0))
		return
	}
	if v, ok := p.bindValue(s, "missing directory of ECH keys"); ok {
		s.bind.ECH = v
	}
}
