package backend

import (
	"slices"
	"testing"
)

// TestChecksOfferTheirOwnProtocols: check-alpn, without HTTP/2, which checks do not speak; else what the server is offered.
func TestChecksOfferTheirOwnProtocols(t *testing.T) {
	for _, row := range []struct{ line, want []string }{
		{nil, []string{"http/1.0"}},
		{[]string{"h2", "http/1.1"}, []string{"http/1.1"}},
	} {
		o := secure(t, "127.0.0.1:1", &TLSOptions{ALPN: []string{"http/1.0"}})
		o.Line.CheckALPN = row.line
		s := build(t, Options{HTTP: true, Servers: []ServerOptions{o}}, nil).Servers()[0]
		if got := s.checkConfig().NextProtos; !slices.Equal(got, row.want) {
			t.Errorf("check-alpn %q offers %q, want %q", row.line, got, row.want)
		}
	}
}
