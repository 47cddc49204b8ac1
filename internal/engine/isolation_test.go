package engine

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/certstore"
)

// trustee is an authority of clients.
type trustee struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newTrustee(t testing.TB, name string) *trustee {
	a := &trustee{t: t, next: 100}
	a.cert, a.key = a.sign(&x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign})
	return a
}

func (a *trustee) sign(c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	by, with := a.cert, a.key
	if by == nil {
		by, with = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, key.Public(), with)
	if err != nil {
		a.t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		a.t.Fatal(err)
	}
	return c, key
}

func (a *trustee) client(name string) *tls.Certificate {
	a.next++
	c, key := a.sign(&x509.Certificate{SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return &tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key, Leaf: c}
}

func (a *trustee) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *trustee) crl(revoked ...*tls.Certificate) []byte {
	a.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.Leaf.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// dishonest is a client that resumes whatever session it is told to, under any name.
type dishonest struct{ use, got *tls.ClientSessionState }

func (d *dishonest) Get(string) (*tls.ClientSessionState, bool) { return d.use, d.use != nil }
func (d *dishonest) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		d.got = s
	}
}

// visitor is one connection with one request.
type visitor struct {
	sni, host, who string // who: which client certificate, "" for none
	version        uint16
	alpn           bool
	session        *tls.ClientSessionState
}

// seen is what became of it. status is 0 when there was no handshake.
type seen struct {
	status  int
	resumed bool
	client  string // the name by which the edge knows the client
	session *tls.ClientSessionState
}

// isolation is an edge with virtual hosts that know their clients in different ways.
type isolation struct {
	*edge
	addr      string
	certs     map[string]*tls.Certificate
	a, b, a2  *trustee
	changed   string          // what was changed last, "" nothing
	unchanged map[string]bool // hosts whose sessions outlive the change
}

const isolationList = `DIR/open.pem open.test
DIR/a.pem [verify required ca-file DIR/a.ca crl-file DIR/a.crl] a.test
DIR/b.pem [verify required ca-file DIR/b.ca] b.test
DIR/opt.pem [verify optional ca-file DIR/a.ca] opt.test
`

func newIsolation(t *testing.T) *isolation {
	i := &isolation{edge: newEdge(t, false), addr: freePort(t), a: newTrustee(t, "A"), b: newTrustee(t, "B"), a2: newTrustee(t, "A")}
	i.certs = map[string]*tls.Certificate{"ann": i.a.client("ann"), "bob": i.b.client("bob")}
	for n, host := range []string{"open", "a", "b", "opt"} {
		i.certificate(host+".pem", int64(n+1), host+".test")
	}
	list := []byte(strings.ReplaceAll(isolationList, "DIR", i.dir))
	for name, data := range map[string][]byte{"a.ca": i.a.pem(), "b.ca": i.b.pem(), "a.crl": i.a.crl(), "list": list} {
		if err := os.WriteFile(filepath.Join(i.dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	i.mustApply(base + "frontend f\n    bind " + i.addr + " ssl crt-list DIR/list\n    http-request return status 200 hdr x-client %[ssl_c_s_dn(cn)]\n")
	i.run()
	return i
}

// come connects as a visitor does.
func (i *isolation) come(v visitor) (got seen) {
	i.t.Helper()
	cache := &dishonest{use: v.session}
	cfg := &tls.Config{ServerName: v.sni, InsecureSkipVerify: true, MinVersion: v.version, MaxVersion: v.version, ClientSessionCache: cache,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if c := i.certs[v.who]; c != nil {
				return c, nil
			}
			return new(tls.Certificate), nil
		}}
	if v.alpn {
		cfg.NextProtos = []string{"http/1.1"}
	}
	nc, err := net.DialTimeout("tcp", i.addr, patience)
	if err != nil {
		i.t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	c := tls.Client(nc, cfg)
	if c.Handshake() != nil {
		return seen{}
	}
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", v.host)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return seen{}
	}
	resp.Body.Close()
	return seen{status: resp.StatusCode, resumed: c.ConnectionState().DidResume, client: resp.Header.Get("X-Client"), session: cache.got}
}

// policy is how a virtual host knows its clients.
type policy struct{ ask, required bool }

func policyOf(host string) policy {
	switch host {
	case "a.test", "b.test":
		return policy{true, true}
	case "opt.test":
		return policy{ask: true}
	}
	return policy{}
}

// good tells whether the client's certificate is one that the host takes as things are now.
func (i *isolation) good(host, who string) bool {
	switch host {
	case "a.test":
		return who == "ann" && i.changed != "ca" && i.changed != "crl"
	case "opt.test":
		return who == "ann" && i.changed != "ca"
	}
	return host == "b.test" && who == "bob"
}

// want is what must become of a visitor: the status, and who the edge may take the client for.
func (i *isolation) want(v visitor) (status int, client string) {
	name := v.sni
	if name == "" {
		name = "open.test" // the default
	}
	if p := policyOf(name); p.ask {
		if v.who != "" && !i.good(name, v.who) || v.who == "" && p.required {
			return 0, ""
		}
		client = v.who
	}
	if policyOf(v.host).required && v.host != name {
		return 421, ""
	}
	return 200, client
}

// change changes one thing while connections come.
func (i *isolation) change(what string) {
	i.t.Helper()
	commit := func(kind certstore.TrustKind, file string, data []byte) {
		i.t.Helper()
		if _, err := i.o.Store.SetTrust(kind, filepath.Join(i.dir, file), data, false); err != nil {
			i.t.Fatal(err)
		}
		if _, err := i.o.Store.CommitTrust(kind, filepath.Join(i.dir, file), "test", nil); err != nil {
			i.t.Fatal(err)
		}
	}
	i.changed, i.unchanged = what, map[string]bool{"": true, "open.test": true, "a.test": true, "b.test": true, "opt.test": true}
	switch what {
	case "":
		commit(certstore.CAs, "a.ca", i.a.pem())
		commit(certstore.CRLs, "a.crl", i.a.crl())
	case "ca":
		commit(certstore.CAs, "a.ca", i.a2.pem())
		delete(i.unchanged, "a.test")
		delete(i.unchanged, "opt.test")
	case "crl":
		commit(certstore.CRLs, "a.crl", i.a.crl(i.certs["ann"]))
		delete(i.unchanged, "a.test")
	case "crt":
		name := filepath.Join(i.dir, "a.pem")
		if _, _, err := i.o.Store.Set(name, bundle(i.t, 77, "a.test"), "test"); err != nil {
			i.t.Fatal(err)
		}
		if _, err := i.o.Store.Commit(name, "test", nil); err != nil {
			i.t.Fatal(err)
		}
		delete(i.unchanged, "a.test")
	}
}

// sessions has every visitor get a session at every host that lets it in.
func (i *isolation) sessions(names []string, versions []uint16) map[visitor]*tls.ClientSessionState {
	i.t.Helper()
	got := map[visitor]*tls.ClientSessionState{}
	for _, sni := range names {
		for _, who := range []string{"", "ann", "bob"} {
			for _, version := range versions {
				v := visitor{sni: sni, host: sni, who: who, version: version}
				if v.host == "" {
					v.host = "open.test"
				}
				want, _ := i.want(v)
				if s := i.come(v); s.status != want || want == 200 && s.session == nil {
					i.t.Fatalf("%+v: status %d, want %d; a session: %v", v, s.status, want, s.session != nil)
				} else {
					got[visitor{sni: sni, who: who, version: version}] = s.session
				}
			}
		}
	}
	return got
}

// TestIsolationMatrix (F25, threats T01 to T03): server name x Host x ALPN x TLS version x resumption x client certificate x change of authorities, revocation
// list and certificate. A visitor is let in where the rules of the host that it asks for say so, and nowhere else, whatever session it brings.
func TestIsolationMatrix(t *testing.T) {
	i := newIsolation(t)
	names, hosts := []string{"open.test", "a.test", "b.test", "opt.test", ""}, []string{"open.test", "a.test", "b.test", "opt.test"}
	versions := []uint16{tls.VersionTLS12, tls.VersionTLS13}
	cells, wrongAllow, wrongDeny, resumed := 0, 0, 0, 0
	for _, change := range []string{"none", "ca", "crl", "crt"} {
		i.change("")
		kept := i.sessions(names, versions)
		if change != "none" {
			i.change(change)
		}
		for _, sni := range names {
			for _, host := range hosts {
				for _, version := range versions {
					for _, who := range []string{"", "ann", "bob"} {
						for _, resume := range []string{"", "own", "foreign"} {
							for _, alpn := range []bool{false, true} {
								v := visitor{sni: sni, host: host, who: who, version: version, alpn: alpn}
								switch {
								case resume == "own":
									v.session = kept[visitor{sni: sni, who: who, version: version}]
								case resume == "foreign" && sni == "a.test": // same authority, another line
									v.session = kept[visitor{sni: "opt.test", who: "ann", version: version}]
								case resume == "foreign":
									v.session = kept[visitor{sni: "a.test", who: "ann", version: version}]
								}
								cells++
								status, client := i.want(v)
								got := i.come(v)
								if got.resumed {
									resumed++
								}
								where := fmt.Sprintf("change %s, name %q, host %s, %x, client %q, session %q, alpn %v", change, sni, host, version, who, resume, alpn)
								switch {
								case got.status == 200 && status != 200, got.status == 200 && got.client != client:
									wrongAllow++
									t.Errorf("wrong allow: %s: status %d as %q, want %d as %q", where, got.status, got.client, status, client)
								case got.status != status:
									wrongDeny++
									t.Errorf("wrong deny: %s: status %d, want %d", where, got.status, status)
								case got.resumed && (resume != "own" || !i.unchanged[sni]):
									t.Errorf("resumed: %s", where)
								case status != 0 && resume == "own" && i.unchanged[sni] && !got.resumed:
									t.Errorf("not resumed although nothing of it changed: %s", where)
								}
							}
						}
					}
				}
			}
		}
	}
	if cells < 1500 || resumed == 0 {
		t.Errorf("%d cells, %d of them resumed", cells, resumed)
	}
	t.Logf("isolation matrix: %d cells, %d resumed, wrong allow %d, wrong deny %d", cells, resumed, wrongAllow, wrongDeny)
}
