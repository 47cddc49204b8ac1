package listener

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/cert"
)

// TestThreat_T01: a session of one virtual host opens no other: not under another certificate, another line, another bind line or other demands, with tickets
// and without. TestIsolationMatrix asks the same of a whole edge.
func TestThreat_T01(t *testing.T) {
	ca, clients, others := newAuthority(t, "ca"), newAuthority(t, "clients"), newAuthority(t, "others")
	files := map[string]*cert.CAFile{"clients": clients.caFile(t, "clients"), "others": others.caFile(t, "others")}
	ann := clients.client(t, x509.Certificate{})
	on, off := true, false
	for _, tickets := range []*bool{&on, &off} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			same := ca.bundle(t, "same.test")
			x := cert.NewIndex(false)
			for i, o := range []*cert.Options{{}, {Verify: "required", CAFile: "clients"}, {Verify: "required", CAFile: "others"}, {Verify: "optional", CAFile: "clients"}} {
				// one certificate for all, so that the demands alone differ
				x.Add(&cert.Entry{Name: "same", Line: i + 1, Options: o, Default: i == 0, Filters: []cert.Filter{cert.Filter([]string{"none", "clients", "others", "optional"}[i] + ".test")}}, same)
			}
			r := start(t, Options{TLS: &cert.Options{TLSTickets: tickets}, Index: x, Tickets: NewTickets(), Sessions: NewSessions(), CA: func(n string) *cert.CAFile { return files[n] }})
			hello := func(name string, cache *oneCache) (resumed bool, err error) {
				state, err := r.shakeHands(t, &tls.Config{ServerName: name, InsecureSkipVerify: true, ClientSessionCache: cache, MinVersion: version, MaxVersion: version,
					GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &ann, nil }})
				if err != nil {
					<-r.errors
					return false, err
				}
				return (<-r.served).TLS.Resumed && state.DidResume, nil
			}
			from := map[string]*oneCache{}
			for _, name := range []string{"none.test", "clients.test", "optional.test"} {
				from[name] = new(oneCache)
				if _, err := hello(name, from[name]); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			for name, cache := range from {
				for _, to := range []string{"none.test", "clients.test", "others.test", "optional.test"} {
					resumed, err := hello(to, &oneCache{cache.s})
					if resumed != (name == to) || (err == nil) != (to != "others.test") {
						t.Errorf("%x, tickets %v: a session of %s at %s: resumed %v, %v", version, *tickets, name, to, resumed, err)
					}
				}
			}
		}
	}
}

// TestThreat_T02: a client whose certificate expired, or was revoked, after it got a session does not come back by that session.
func TestThreat_T02(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, revoke := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				ca, clients := newAuthority(t, "ca"), newAuthority(t, "clients")
				now := time.Now()
				ann := clients.client(t, x509.Certificate{NotBefore: now.Add(-time.Minute), NotAfter: now.Add(10 * time.Minute)})
				lists := clients.crl(t)
				trusted := clients.caFile(t, "clients")
				s, err := newServer(&Options{TLS: &cert.Options{Verify: "required", CAFile: "clients", CRLFile: "crl"}, Index: index(false, ca.bundle(t, "a.test")),
					Tickets: NewTickets(), CA: func(string) *cert.CAFile { return trusted }, CRL: func(string) *cert.CRLFile { return lists }})
				if err != nil {
					t.Fatal(err)
				}
				cache := new(oneCache)
				come := func() (resumed bool, err error) {
					near, far := net.Pipe()
					for _, end := range []net.Conn{near, far} {
						end.SetDeadline(time.Now().Add(time.Second))
					}
					client := tls.Client(far, &tls.Config{InsecureSkipVerify: true, ClientSessionCache: cache, Certificates: []tls.Certificate{ann}, MaxVersion: version})
					go func() {
						if client.Handshake() == nil {
							client.Read(make([]byte, 1)) // tickets of TLS 1.3
						}
						far.Close()
					}()
					behind := &eager{near, make(chan []byte, 100)}
					go behind.run()
					w := newWire(behind)
					server := tls.Server(w, s.base)
					err = server.Handshake()
					resumed = server.ConnectionState().DidResume
					close(behind.queue)
					synctest.Wait()
					near.Close()
					synctest.Wait()
					return resumed, err
				}
				if _, err := come(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Minute)
				if resumed, err := come(); err != nil || !resumed {
					t.Fatalf("%x: a good client: resumed %v, %v", version, resumed, err)
				}
				if revoke {
					lists = clients.crl(t, ann.Leaf)
				} else {
					time.Sleep(6 * time.Minute)
				}
				if resumed, err := come(); err == nil {
					t.Errorf("%x, revoked %v: came in, resumed %v", version, revoke, resumed)
				}
			})
		}
	}
}

// eager writes to a pipe, which has no buffer of its own, without waiting for the reader.
type eager struct {
	net.Conn
	queue chan []byte
}

func (e *eager) Write(p []byte) (int, error) {
	e.queue <- slices.Clone(p)
	return len(p), nil
}

func (e *eager) run() {
	for p := range e.queue {
		if _, err := e.Conn.Write(p); err != nil {
			for range e.queue { // nobody reads any more
			}
		}
	}
}

// TestThreat_T05: a client that offers only protocols that are not spoken here gets no connection (RFC 7301 section 3.2); one that offers none, or ours among
// others, does.
func TestThreat_T05(t *testing.T) {
	a := newAuthority(t, "ca")
	r := start(t, Options{HTTP: true, TLS: &cert.Options{}, Index: index(true, a.bundle(t, "a.test"))})
	for _, tc := range []struct {
		offer []string
		want  string
		in    bool
	}{{nil, "", true}, {[]string{"http/1.1"}, "http/1.1", true}, {[]string{"ftp", "http/1.1"}, "http/1.1", true}, {[]string{"ftp"}, "", false}, {[]string{"imap", "smtp"}, "", false}} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			state, err := r.shakeHands(t, &tls.Config{ServerName: "a.test", InsecureSkipVerify: true, NextProtos: tc.offer, MaxVersion: version})
			if (err == nil) != tc.in || err == nil && state.NegotiatedProtocol != tc.want {
				t.Errorf("%v at %x: %v", tc.offer, version, err)
			}
			if err != nil && err.Error() != "remote error: tls: no application protocol" {
				t.Errorf("%v at %x: told %v", tc.offer, version, err)
			}
		}
	}
}

// TestThreat_T09: what a bind line offers without any word of the configuration: TLS 1.2 with forward secrecy and authenticated encryption, and TLS 1.3; no key of
// tickets serves longer than two days (TestTicketKeysRotateDaily).
func TestThreat_T09(t *testing.T) {
	for _, s := range cert.DefaultSuites {
		if name := tls.CipherSuiteName(s); !strings.HasPrefix(name, "TLS_ECDHE_") {
			t.Errorf("%s is offered by default", name) // whatever the kind of certificate
		}
	}
	a := newAuthority(t, "ca")
	r := start(t, Options{TLS: &cert.Options{}, Index: index(false, a.bundle(t, "a.test")), Tickets: NewTickets()})
	var all []uint16
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		all = append(all, s.ID)
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		if _, err := r.shakeHands(t, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version, CipherSuites: all}); err == nil {
			t.Errorf("%x was spoken", version)
		}
	}
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if !slices.Contains(s.SupportedVersions, tls.VersionTLS12) {
			continue
		}
		state, err := r.shakeHands(t, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{s.ID}})
		if err != nil {
			continue
		}
		switch state.CipherSuite {
		case tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:
		default:
			t.Errorf("%s was taken", s.Name)
		}
	}
}
