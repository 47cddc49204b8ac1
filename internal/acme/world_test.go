package acme_test

import (
	"context"
	"crypto/x509"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/acme"
	"gatehouse/internal/cert"
	"gatehouse/internal/certstore"
	"gatehouse/internal/config"
	"gatehouse/internal/event"
	"gatehouse/internal/gatetest"
	"gatehouse/internal/host"
	"gatehouse/internal/storage"
)

// shelf is a certstore with nothing but the one door that acme uses, and a disk that can be full.
type shelf struct {
	mu    sync.Mutex
	certs map[string]certstore.Managed
	plain map[string]*cert.Bundle // certificates without acme attribute
	full  error
}

func (s *shelf) Managed() []certstore.Managed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.certs))
}

func (s *shelf) Bundle(name string) *cert.Bundle {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.plain[name]; b != nil {
		return b
	}
	return s.certs[name].Bundle
}

func (s *shelf) Put(_ context.Context, name string, b *cert.Bundle, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full != nil {
		return s.full
	}
	c := s.certs[name]
	c.Bundle = b
	s.certs[name] = c
	return nil
}

func (s *shelf) fill(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = err
}

// world is a Manager with all it needs: a CA that can be told to go wrong, a shelf, a state store that outlives the Manager, and the log.
type world struct {
	t     *testing.T
	ca    *gatetest.CA
	shelf *shelf
	state storage.Store
	conf  *config.Config

	mu       sync.Mutex
	m        *acme.Manager
	lines    []string
	events   []event.Event
	stateErr error

	stop func()
}

// newWorld makes a CA that validates names by asking the world's Manager, as over the network, and one managed certificate site.pem for
// a.example and www.a.example, of which there is only the temporary one.
func newWorld(t *testing.T, o gatetest.CAOptions) *world {
	t.Helper()
	w := &world{t: t, state: storage.Memory(), shelf: &shelf{certs: map[string]certstore.Managed{}}}
	if o.Validate == nil {
		o.Validate = w.validate
	}
	ca, err := gatetest.NewCA(o)
	if err != nil {
		t.Fatal(err)
	}
	w.ca = ca
	w.conf = &config.Config{
		Global: config.Global{ACMEScheduler: true, CrtBase: t.TempDir()},
		ACMEs:  []*config.ACME{{Name: "le", Directory: ca.Directory(), Contact: "admin@a.example", Curves: "P-256"}},
	}
	w.manage("site.pem", "a.example", "www.a.example")
	return w
}

func (w *world) manage(name string, domains ...string) {
	w.t.Helper()
	temporary, err := cert.NewTemporary()
	if err != nil {
		w.t.Fatal(err)
	}
	w.shelf.mu.Lock()
	defer w.shelf.mu.Unlock()
	w.shelf.certs[name] = certstore.Managed{Name: name, Attrs: certstore.Attrs{ACME: "le", Domains: domains}, Bundle: temporary}
}

// validate is the CA's HTTP-01 fetch: only a running Manager answers.
func (w *world) validate(_ context.Context, _, token string) (string, error) {
	w.mu.Lock()
	m := w.m
	w.mu.Unlock()
	if m == nil {
		return "", errors.New("connection refused")
	}
	answer := m.KeyAuthorization([]byte(token))
	if answer == nil {
		return "", errors.New("status 404")
	}
	return string(answer) + "\n", nil
}

func (w *world) open() (storage.Store, string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state, "", w.stateErr
}

func (w *world) options() acme.Options {
	return acme.Options{
		Store: w.shelf, State: w.open, Host: host.Direct{},
		Transport: w.ca.Transport(), UserAgent: "gatehouse/test",
		Emit: func(e event.Event) { w.mu.Lock(); defer w.mu.Unlock(); w.events = append(w.events, e) },
		Log:  func(level, text string) { w.mu.Lock(); defer w.mu.Unlock(); w.lines = append(w.lines, level+" "+text) },
	}
}

// start runs a new Manager, as a new process would.
func (w *world) start() {
	m := acme.New(w.options())
	m.Update(w.conf)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	w.mu.Lock()
	w.m = m
	w.mu.Unlock()
	go func() {
		defer close(done)
		if err := m.Run(ctx); err != nil {
			w.t.Errorf("Run: %v", err)
		}
	}()
	w.stop = func() {
		w.mu.Lock()
		w.m = nil
		w.mu.Unlock()
		cancel()
		<-done
	}
}

// issued waits until a certificate of the CA is on the shelf, for at most d.
func (w *world) issued(name string, d time.Duration) *cert.Bundle {
	w.t.Helper()
	for end := time.Now().Add(d); ; {
		synctest.Wait()
		if b := w.shelf.Bundle(name); !b.Temporary() {
			return b
		}
		if time.Now().After(end) {
			w.t.Fatalf("%s: no certificate after %s\n%s", name, d, w.log())
		}
		time.Sleep(time.Second)
	}
}

func (w *world) log() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.lines, "\n")
}

func (w *world) wantLog(text string) {
	w.t.Helper()
	if log := w.log(); !strings.Contains(log, text) {
		w.t.Errorf("log has no line with %q:\n%s", text, log)
	}
}

func (w *world) count(kind event.Kind) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// check fails unless the bundle is for exactly these names, with its key, and its chain leads to the CA's root.
func (w *world) check(b *cert.Bundle, names ...string) {
	w.t.Helper()
	leaf := b.X509()
	if got := slices.Sorted(slices.Values(leaf.DNSNames)); !slices.Equal(got, names) {
		w.t.Errorf("names %v, want %v", got, names)
	}
	if err := b.CheckKey(); err != nil {
		w.t.Error(err)
	}
	roots, inter := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(w.ca.RootPEM())
	for _, der := range b.Chain() {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			w.t.Fatal(err)
		}
		inter.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: inter, CurrentTime: time.Now()}); err != nil {
		w.t.Error(err)
	}
}

func (w *world) keyFile() string { return filepath.Join(w.conf.Global.CrtBase, "le.account.key") }

// before is in with a Manager that the body starts itself.
func before(t *testing.T, o gatetest.CAOptions, body func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, o)
		defer func() { w.stop() }()
		body(t, w)
	})
}

// in runs a body in a bubble where time only passes while everybody waits.
func in(t *testing.T, o gatetest.CAOptions, body func(t *testing.T, w *world)) {
	t.Helper()
	before(t, o, func(t *testing.T, w *world) {
		w.start()
		body(t, w)
	})
}

// journal is what the state store holds of open orders.
func (w *world) journal() []storage.Item {
	w.t.Helper()
	items, err := w.state.List(context.Background(), "acme/order/")
	if err != nil {
		w.t.Error(err)
	}
	return items
}
