package listener

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/cert"
)

// oneCache resumes whatever session it was given last, under any name: the dishonest client of threat T01.
type oneCache struct{ s *tls.ClientSessionState }

func (c *oneCache) Get(string) (*tls.ClientSessionState, bool) { return c.s, c.s != nil }
func (c *oneCache) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		c.s = s
	}
}

func TestSessionIsResumedOnlyWhereNothingChanged(t *testing.T) {
	on, off := true, false
	for _, how := range []struct {
		version uint16
		tickets *bool
	}{{tls.VersionTLS12, &on}, {tls.VersionTLS13, &on}, {tls.VersionTLS12, &off}, {tls.VersionTLS13, &off}} {
		version := how.version
		ca, clients := newAuthority(t, "ca"), newAuthority(t, "clients")
		x := index(false, ca.bundle(t, "a.test", "other.test"), ca.bundle(t, "b.test"))
		x.Add(&cert.Entry{Name: "mtls", Line: 3, Options: &cert.Options{Verify: "optional", CAFile: "clients"}}, ca.bundle(t, "m.test"))
		files := map[string]*cert.CAFile{"clients": clients.caFile(t, "clients")}
		tickets := NewTickets()
		o := Options{Frontend: "fe", Name: "b1", TLS: &cert.Options{TLSTickets: how.tickets}, Index: x, Tickets: tickets, Sessions: NewSessions(), CA: func(n string) *cert.CAFile { return files[n] }}
		r := start(t, o)
		o.Name = "b2"
		o.Index = cert.NewIndex(false)
		o.Index.Add(&cert.Entry{Name: "a.test", Line: 1, Default: true, Options: &cert.Options{}}, x.Entries()[0].Instance().Bundle)
		other := start(t, o)

		cache := new(oneCache)
		hello := func(to *running, name string) bool {
			t.Helper()
			state, err := to.shakeHands(t, &tls.Config{ServerName: name, InsecureSkipVerify: true, ClientSessionCache: cache, MaxVersion: version})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if c := <-to.served; c.TLS.Resumed != state.DidResume {
				t.Errorf("%s: the server says resumed %v, the client %v", name, c.TLS.Resumed, state.DidResume)
			}
			return state.DidResume
		}
		hello(r, "a.test")
		if !hello(r, "a.test") {
			t.Errorf("%x: same entry: not resumed", version)
		}
		if !hello(r, "other.test") {
			t.Errorf("%x: same certificate, other name: not resumed", version)
		}
		if hello(r, "b.test") {
			t.Errorf("%x: resumed under another certificate", version)
		}
		hello(r, "a.test")
		if hello(other, "a.test") {
			t.Errorf("%x: resumed on another bind line", version)
		}
		hello(r, "a.test")
		if hello(r, "m.test") {
			t.Errorf("%x: resumed where client certificates are asked", version)
		}
		if !hello(r, "m.test") {
			t.Errorf("%x: client authentication: not resumed although nothing changed", version)
		}
		files["clients"] = newAuthority(t, "new").caFile(t, "clients")
		if hello(r, "m.test") {
			t.Errorf("%x: resumed after the ca-file changed", version)
		}
		hello(r, "a.test")
		x.Update(x.Entries()[0], ca.bundle(t, "a.test", "other.test"))
		if hello(r, "a.test") {
			t.Errorf("%x: resumed after the certificate changed", version)
		}
	}
}

func TestNoTicketsMeansFullHandshakes(t *testing.T) {
	ca := newAuthority(t, "ca")
	off := false
	r := start(t, Options{TLS: &cert.Options{TLSTickets: &off}, Index: index(false, ca.bundle(t, "a.test")), Tickets: NewTickets()})
	cache := new(oneCache)
	for range 2 {
		state, err := r.shakeHands(t, &tls.Config{InsecureSkipVerify: true, ClientSessionCache: cache})
		if err != nil || state.DidResume {
			t.Fatalf("resumed %v, %v", state, err)
		}
	}
	if cache.s != nil {
		t.Error("a ticket was sent")
	}
}

func TestTicketKeysRotateDaily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewTickets()
		ticket := k.keep([]byte("state"), []byte("here"))
		if k.find(ticket, []byte("elsewhere")) != nil {
			t.Error("opened in another context")
		}
		time.Sleep(25 * time.Hour)
		fresh := k.keep([]byte("state"), []byte("here"))
		if string(fresh[:16]) == string(ticket[:16]) {
			t.Error("the key was not replaced after a day")
		}
		if string(k.find(ticket, []byte("here"))) != "state" || string(k.find(fresh, []byte("here"))) != "state" {
			t.Error("a ticket of today or yesterday was not taken")
		}
		time.Sleep(24 * time.Hour)
		if k.find(ticket, []byte("here")) != nil {
			t.Error("a ticket was taken two days later")
		}
		for i := range fresh {
			bad := append([]byte(nil), fresh...)
			bad[i] ^= 1
			if k.find(bad, []byte("here")) != nil || k.find(fresh[:i], []byte("here")) != nil {
				t.Fatalf("a ticket changed or cut at byte %d was taken", i)
			}
		}
	})
}

func TestRevokedClientDoesNotResume(t *testing.T) {
	ca, clients := newAuthority(t, "ca"), newAuthority(t, "clients")
	crt := clients.client(t, x509.Certificate{})
	lists := map[string]*cert.CRLFile{"crl": clients.crl(t)}
	r := start(t, Options{TLS: &cert.Options{Verify: "required", CAFile: "clients", CRLFile: "crl"}, Index: index(false, ca.bundle(t, "a.test")),
		Tickets: NewTickets(), CA: func(string) *cert.CAFile { return clients.caFile(t, "clients") }, CRL: func(n string) *cert.CRLFile { return lists[n] }})
	cache := new(oneCache)
	cfg := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: cache, Certificates: []tls.Certificate{crt}}
	if _, err := r.shakeHands(t, cfg); err != nil {
		t.Fatal(err)
	}
	if c := <-r.served; len(c.TLS.ClientCert) != 1 || c.TLS.VerifyErr != 0 {
		t.Errorf("facts %+v", c.TLS)
	}
	lists["crl"] = clients.crl(t, crt.Leaf)
	if _, err := r.shakeHands(t, cfg); err == nil {
		t.Error("a revoked client came in by its old session")
	}
	if text := <-r.errors; text != "SSL client certificate not trusted" {
		t.Errorf("logged %q", text)
	}
}
