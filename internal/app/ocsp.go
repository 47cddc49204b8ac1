package app

import (
	"net"
	"strconv"

	"gatehouse/internal/config"
	"gatehouse/internal/ocsp"
)

// ocspSettings are the ocsp-update.* keywords as the updater takes them.
func ocspSettings(o *config.OCSPUpdate) ocsp.Settings {
	s := ocsp.Settings{Delays: ocsp.Delays{Min: o.MinDelay, Max: o.MaxDelay}, Disable: o.Disable}
	if a := o.Proxy; a != nil {
		host, port := a.Host, a.Port
		if a.IP.IsValid() {
			host = a.IP.String()
		}
		if port == 0 {
			port = 80
		}
		s.Proxy = net.JoinHostPort(host, strconv.Itoa(port))
	}
	return s
}
