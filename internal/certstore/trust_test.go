package certstore

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/host"
)

// newAuthority makes a self-signed CA certificate, as PEM.
func newAuthority(t *testing.T, name string) string {
	t.Helper()
	key := newKey()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// trusting declares names as CA files.
func trusting(names ...string) func(w *world, p *Plan) []error {
	return func(w *world, p *Plan) []error {
		for _, name := range names {
			if _, err := p.DeclareCA(w.path(name), w.persist); err != nil {
				return []error{err}
			}
		}
		return nil
	}
}

func (r *running) setTrust(name, text string) error {
	r.world.t.Helper()
	if _, err := r.SetTrust(CAs, name, []byte(text), false); err != nil {
		r.world.t.Fatal(err)
	}
	_, err := r.CommitTrust(CAs, name, "test", nil)
	return err
}

// trusts wants a name to hold exactly a text.
func (r *running) trusts(name, want string) {
	r.world.t.Helper()
	got := ""
	if ca := r.CA(name); ca != nil {
		got = string(ca.PEM())
	}
	if got != want {
		r.world.t.Errorf("%s holds\n%s\nwant\n%s", name, got, want)
	}
}

func TestCommittedTrustSurvivesARestart(t *testing.T) {
	one, two, three := newAuthority(t, "one"), newAuthority(t, "two"), newAuthority(t, "three")
	w := newWorld(t, trusting("ca.pem", "link.pem", "dir"))
	w.write("ca.pem", one)
	w.write("real.pem", one)
	if err := errors.Join(os.Symlink(w.path("real.pem"), w.path("link.pem")), os.Mkdir(w.path("dir"), 0o755)); err != nil {
		t.Fatal(err)
	}
	w.write("dir/a.pem", one)
	w.write("dir/b.crt", two)
	r := w.start()
	r.trusts(w.path("dir"), one+two)
	if err := r.NewTrust(CAs, "made"); err != nil {
		t.Fatal(err)
	}
	names := []string{w.path("ca.pem"), w.path("link.pem"), w.path("dir"), "made"}
	for _, name := range names {
		if err := r.setTrust(name, three); err != nil {
			t.Fatal(err)
		}
	}
	if w.read("ca.pem") != three || w.read("real.pem") != one || w.read("dir/a.pem") != one {
		t.Error("a plain file is replaced, what a link or a directory leads to is not")
	}
	for range 2 {
		for _, name := range names {
			r.trusts(name, three)
		}
		r.reload()
		for _, name := range names {
			r.trusts(name, three)
		}
		r = w.start()
	}
	w.write("real.pem", two) // the operator's own change wins over what was kept
	w.write("dir/a.pem", three)
	r = w.start()
	r.trusts(w.path("link.pem"), two)
	r.trusts(w.path("dir"), three+two)
	if err := r.DeleteTrust(CAs, "made"); err != nil {
		t.Fatal(err)
	}
	w.start().trusts("made", "")
}

func TestTrustWithoutPersistIsHAProxys(t *testing.T) {
	one, two := newAuthority(t, "one"), newAuthority(t, "two")
	w := newWorld(t, trusting("ca.pem"))
	w.persist, w.rules.Ephemeral = false, true
	w.write("ca.pem", one)
	r := w.start()
	if err := errors.Join(r.setTrust(w.path("ca.pem"), two), r.NewTrust(CAs, "made"), r.setTrust("made", two)); err != nil {
		t.Fatal(err)
	}
	r.trusts(w.path("ca.pem"), two)
	if w.read("ca.pem") != one {
		t.Error("the file was written")
	}
	if _, err := os.Stat(w.state); err == nil {
		t.Error("something was kept")
	}
	r = w.start()
	r.trusts(w.path("ca.pem"), one)
	r.trusts("made", "")
}

// TestTrustIsDurableBeforeVisible fails every step of the disk once: the commit says so and the old content stays, in memory and for a restart.
func TestTrustIsDurableBeforeVisible(t *testing.T) {
	one, two := newAuthority(t, "one"), newAuthority(t, "two")
	for _, name := range []string{"ca.pem", "dir"} {
		for _, cause := range []error{syscall.ENOSPC, syscall.EIO} {
			failed := 0
			for n := 0; ; n++ {
				w := newWorld(t, trusting(name))
				if err := os.Mkdir(w.path("dir"), 0o755); err != nil {
					t.Fatal(err)
				}
				w.write("ca.pem", one)
				w.write("dir/a.pem", one)
				r := w.start()
				step, hit := 0, false
				w.fault = func(host.Step, string) error {
					if step++; step == n+1 {
						hit = true
						return cause
					}
					return nil
				}
				err := r.setTrust(w.path(name), two)
				w.fault = nil
				if !hit {
					break
				}
				if err == nil {
					r.trusts(w.path(name), two)
					w.start().trusts(w.path(name), two)
					continue
				}
				failed++
				if !strings.HasSuffix(err.Error(), "\nFailed!") || !errors.Is(err, cause) {
					t.Errorf("%s, step %d: %v", name, n, err)
				}
				r.trusts(w.path(name), one)
				if err := r.setTrust(w.path(name), two); err != nil {
					t.Errorf("%s, step %d, again: %v", name, n, err)
				}
				w.start().trusts(w.path(name), two)
			}
			if failed < 3 {
				t.Errorf("%s: only %d steps failed with %v", name, failed, cause)
			}
		}
	}
}

// TestThreat_T04: a CA file that is missing, empty, damaged or unreadable is an error for the plan, and a live update to such a content is refused;
// what served goes on.
func TestThreat_T04(t *testing.T) {
	one := newAuthority(t, "one")
	w := newWorld(t, trusting("ca.pem"))
	w.write("ca.pem", one)
	r := w.start()
	for name, text := range map[string]string{"empty": "", "no certificate": "hello\n", "cut": one[:200], "bad base64": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"one good and one damaged": one + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		w.write("ca.pem", text)
		if ca, err := r.Plan(w.rules).DeclareCA(w.path("ca.pem"), true); err == nil || ca != nil {
			t.Errorf("%s: declared as %v", name, ca)
		}
		if crl, err := r.Plan(w.rules).DeclareCRL(w.path("ca.pem"), true); err == nil || crl != nil {
			t.Errorf("%s: declared as list", name)
		}
		if _, err := r.SetTrust(CAs, w.path("ca.pem"), []byte(text), false); err == nil {
			t.Errorf("%s: taken by set", name)
		}
		r.trusts(w.path("ca.pem"), one)
	}
	if err := os.Remove(w.path("ca.pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Plan(w.rules).DeclareCA(w.path("ca.pem"), true); err == nil {
		t.Error("a missing file was declared")
	}
	r.trusts(w.path("ca.pem"), one)
}
