package config

import "time"

// The delays between two requests for one response, unless configured.
const (
	defaultOCSPMin = 5 * time.Minute
	defaultOCSPMax = time.Hour
)

func (p *parser) globalOCSPSwitch(s *statement) {
	o := &p.cfg.Global.OCSPUpdate
	field := map[string]*bool{"ocsp-update.mode": &o.Mode, "ocsp-update.disable": &o.Disable}[s.arg(0)]
	switch s.arg(1) {
	case "on":
		*field = true
	case "off":
		*field = false
	default:
		p.alert("'%s' : expecting <on|off>", s.arg(0))
	}
}

// maxOCSPDelay bounds the delays, in seconds: a year.
const maxOCSPDelay = 366 * 24 * 3600

func (p *parser) globalOCSPDelay(s *statement) {
	o := &p.cfg.Global.OCSPUpdate
	n := atol(s.arg(1))
	d := time.Duration(min(n, maxOCSPDelay)) * time.Second
	isMin := s.arg(0) == "ocsp-update.mindelay" || s.arg(0) == "tune.ssl.ocsp-update.mindelay"
	switch {
	case s.arg(1) == "":
		p.alert("'%s' expects an integer argument.", s.arg(0))
	case n < 0:
		p.alert("'%s' expects a positive numeric value.", s.arg(0))
	case isMin && d > o.MaxDelay:
		p.alert("'%s' can not be higher than tune.ssl.ocsp-update.maxdelay.", s.arg(0))
	case isMin:
		o.MinDelay = d
	case d < o.MinDelay:
		p.alert("'%s' can not be lower than tune.ssl.ocsp-update.mindelay.", s.arg(0))
	default:
		o.MaxDelay = d
	}
}

func (p *parser) globalOCSPProxy(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	addrs, err := ParseAddr(p.expandAddr(s.arg(1)), AddrServer)
	switch {
	case err != nil:
		p.alert("ocsp-update: Failed to parse destination address in %v", err)
	case addrs[0].Network != "tcp":
		p.alert("ocsp-update: Failed to parse destination address in '%s': only TCP addresses are possible", s.arg(1))
	default:
		p.cfg.Global.OCSPUpdate.Proxy = &addrs[0]
	}
}
