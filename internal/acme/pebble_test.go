package acme_test

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/acme"
	"gatehouse/internal/cert"
	"gatehouse/internal/certstore"
	"gatehouse/internal/config"
	"gatehouse/internal/event"
	"gatehouse/internal/gatetest"
	"gatehouse/internal/host"
	"gatehouse/internal/storage"
	"gatehouse/internal/storage/bolt"
)

// site is a Manager on a real certstore, a real state database and a real web server that answers HTTP-01.
type site struct {
	t      *testing.T
	dir    string
	store  *certstore.Store
	m      *acme.Manager
	events chan event.Event
}

// newSite declares DIR/site.pem, which does not exist, for edge.example and www.edge.example, and starts a web server for it.
func newSite(t *testing.T) (*site, int) {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), events: make(chan event.Event, 100)}
	state, err := bolt.Open(host.Direct{}, filepath.Join(s.dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { state.Close() })
	emit := func(e event.Event) {
		select {
		case s.events <- e:
		default:
			t.Errorf("too many events: %+v", e)
		}
	}
	open := func() (storage.Store, string, error) { return state, s.dir, nil }
	s.store = certstore.New(certstore.Options{Host: host.Direct{}, StateDir: s.dir, State: open, Emit: emit})
	plan := s.store.Plan(certstore.LoadRules{})
	err = plan.Declare(certstore.Source{
		Name: s.pem(), File: s.pem(), Persist: true, From: certstore.FromStore, Pos: "test.cfg:1",
		Attrs: &certstore.Attrs{ACME: "pebble", Domains: []string{"edge.example", "www.edge.example"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.store.Apply(plan, nil)
	if b := s.store.Bundle(s.pem()); b == nil || !b.Temporary() {
		t.Fatalf("at the first start %v is served, want the temporary certificate", b)
	}
	s.m = acme.New(acme.Options{
		Store: s.store, State: open, Host: host.Direct{}, Emit: emit, UserAgent: "gatehouse/test",
		Log: func(level, text string) { t.Log(level, text) },
	})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.URL.Path, "/.well-known/acme-challenge/")
		answer := s.m.KeyAuthorization([]byte(token))
		if !ok || answer == nil {
			http.NotFound(w, r)
			return
		}
		w.Write(answer)
	}))
	t.Cleanup(web.Close)
	return s, web.Listener.Addr().(*net.TCPAddr).Port
}

func (s *site) pem() string { return filepath.Join(s.dir, "site.pem") }

func (s *site) run(p gatetest.Pebble, caFile string) {
	s.t.Helper()
	s.m.Update(&config.Config{
		Global: config.Global{ACMEScheduler: true, CrtBase: s.dir},
		ACMEs:  []*config.ACME{{Name: "pebble", Directory: p.Directory, Contact: "admin@edge.example", CAFile: caFile, Profile: "default"}},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.m.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("Run: %v", err)
		}
	})
}

// wait returns the next event of one of these kinds.
func (s *site) wait(kinds ...event.Kind) event.Event {
	s.t.Helper()
	for timeout := time.After(90 * time.Second); ; {
		select {
		case e := <-s.events:
			for _, kind := range kinds {
				if e.Kind == kind {
					return e
				}
			}
		case <-timeout:
			s.t.Fatalf("no event %v after 90 s", kinds)
		}
	}
}

// onDisk reads what the file holds and fails unless it is a certificate of Pebble for the two names, with its key, mode 0600.
func (s *site) onDisk(p gatetest.Pebble) *cert.Bundle {
	s.t.Helper()
	data, err := os.ReadFile(s.pem())
	if err != nil {
		s.t.Fatal(err)
	}
	b, err := cert.Parse(s.pem(), data)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := b.CheckKey(); err != nil {
		s.t.Error(err)
	}
	if info, err := os.Stat(s.pem()); err != nil || info.Mode().Perm() != 0o600 {
		s.t.Errorf("%s: mode %v (%v), want 600", s.pem(), info.Mode().Perm(), err)
	}
	root, err := os.ReadFile(p.RootFile)
	if err != nil {
		s.t.Fatal(err)
	}
	roots, inter := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	inter.AppendCertsFromPEM(data)
	for _, name := range []string{"edge.example", "www.edge.example"} {
		if _, err := b.X509().Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: inter}); err != nil {
			s.t.Error(err)
		}
	}
	return b
}

// TestPebble gets and renews a certificate from the CA program of the ACME authors, which refuses half of all good nonces.
func TestPebble(t *testing.T) {
	s, port := newSite(t)
	p := gatetest.StartPebble(t, port, "PEBBLE_WFE_NONCEREJECT=50")
	s.run(p, p.CAFile)
	if e := s.wait(event.OrderDone, event.OrderFailed); e.Kind != event.OrderDone {
		t.Fatal(e.Text)
	}
	first := s.onDisk(p)
	if served := s.store.Bundle(s.pem()); served.Fingerprint != first.Fingerprint {
		t.Error("what is served is not what is on the disk")
	}
	if info, err := os.Stat(filepath.Join(s.dir, "pebble.account.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("account key: %v, %v, want mode 600", info, err)
	}
	if err := s.m.Renew(s.pem()); err != nil {
		t.Fatal(err)
	}
	if e := s.wait(event.OrderDone, event.OrderFailed); e.Kind != event.OrderDone {
		t.Fatal(e.Text)
	}
	if second := s.onDisk(p); second.Fingerprint == first.Fingerprint || second.SameKey(first) {
		t.Error("the renewal has the same certificate or key")
	}
}

// TestCAThatIsNotTrusted: the CA's own HTTPS is verified.
func TestCAThatIsNotTrusted(t *testing.T) {
	s, port := newSite(t)
	p := gatetest.StartPebble(t, port)
	s.run(p, p.RootFile) // the wrong root
	e := s.wait(event.OrderDone, event.OrderFailed)
	if e.Kind != event.OrderFailed || !strings.Contains(e.Text, "certificate signed by unknown authority") {
		t.Errorf("event %+v, want a failure for the unknown authority", e)
	}
}
