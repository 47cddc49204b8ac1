package certstore

import (
	"crypto/ecdsa"
	"slices"
	"strings"
	"testing"
)

// verifies is the key of a name as a request finds it, in words.
func (r *running) verifies(name string, with *ecdsa.PrivateKey) string {
	switch key, known := r.JWTKey([]byte(name)); {
	case key == nil && known:
		return "forbidden"
	case key == nil:
		return "unknown"
	case !with.PublicKey.Equal(key):
		return "another key"
	}
	return "yes"
}

// TestCertificatesThatVerifyTokens: who may verify, who says so, and that commits, transactions and reloads are followed (surface 2.12).
func TestCertificatesThatVerifyTokens(t *testing.T) {
	declared := true
	w := newWorld(t, func(w *world, p *Plan) []error {
		errs := oneFile(w, p)
		if declared {
			src, err := NewSource("@tokens/t", w.path("t.pem"), FromStore, settings("jwt", "on"), Bases{})
			src.Persist = true
			errs = append(errs, err, p.Declare(src))
			p.UseForJWT("absent")
		}
		return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	})
	k1, k2, k3 := newKey(), newKey(), newKey()
	w.write("one.pem", pairFor(t, k1, "one.test").pem())
	w.write("t.pem", pairFor(t, k2, "t.test").pem())
	r := w.start()
	one := w.path("one.pem")
	want := func(name string, key *ecdsa.PrivateKey, want string) {
		t.Helper()
		if got := r.verifies(name, key); got != want {
			t.Errorf("%s verifies: %s, want %s", name, got, want)
		}
	}
	want("@tokens/t", k2, "yes")
	want(one, k1, "forbidden")
	want("absent", k1, "unknown")
	if got := r.JWTNames(); !slices.Equal(got, []string{"@tokens/t"}) {
		t.Errorf("names: %q", got)
	}
	if err := r.Delete("@tokens/t"); err == nil || err.Error() != "Can't remove the certificate: certificate '@tokens/t' in use for JWT validation, can't be deleted!" {
		t.Errorf("delete: %v", err)
	}
	if err := r.SetJWT("absent", true); err == nil || err.Error() != notFound {
		t.Errorf("absent: %v", err)
	}

	// a commit is followed, alone and in a transaction; a name that is made at run time too
	if err := r.SetJWT(one, true); err != nil {
		t.Fatal(err)
	}
	want(one, k1, "yes")
	r.mustDeploy(one, pairFor(t, k3, "one.test").pem())
	want(one, k3, "yes")
	if text, err := r.Show(one); err != nil || !strings.Contains(text, "Option: jwt on\nStatus: Used for JWT verification\n") {
		t.Errorf("shown: %v\n%s", err, text)
	}
	if err := r.NewCert("new.pem"); err != nil {
		t.Fatal(err)
	}
	if err := r.SetJWT("new.pem", true); err != nil {
		t.Fatal(err)
	}
	want("new.pem", k1, "unknown") // it is empty
	r.mustDeploy("new.pem", pairFor(t, k1, "new.test").pem())
	want("new.pem", k1, "yes")
	if err := r.Begin("tx", "test"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{one, "@tokens/t"} {
		if _, err := r.SetIn("tx", name, []byte(pairFor(t, k1, "x.test").pem())); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.CommitGroup("tx", "test", nil); err != nil {
		t.Fatal(err)
	}
	want(one, k1, "yes")
	want("@tokens/t", k1, "yes")

	// a reload goes by the configuration; what only the run time knows keeps what it was told
	r.reload()
	want(one, k1, "forbidden")
	want("@tokens/t", k1, "yes")
	want("new.pem", k1, "yes")
	declared = false
	r.reload()
	want("@tokens/t", k1, "unknown")

	if err := r.SetJWT("new.pem", false); err != nil {
		t.Fatal(err)
	}
	want("new.pem", k1, "forbidden")
	if err := r.SetJWT("new.pem", true); err != nil {
		t.Fatal(err)
	}
	if err := r.SetJWT("new.pem", false); err != nil {
		t.Fatal(err)
	}
	for _, u := range r.bind.entries {
		u.detach()
	}
	if err := r.Delete("new.pem"); err != nil {
		t.Fatal(err)
	}
	want("new.pem", k1, "unknown")
}

// TestTokensNeedNoPrivateKey: a certificate that only verifies loads, changes and is written back without one.
func TestTokensNeedNoPrivateKey(t *testing.T) {
	jwt := "on"
	w := newWorld(t, func(w *world, p *Plan) []error {
		src, err := NewSource("@tokens/t", w.path("t.pem"), FromStore, settings("jwt", jwt), Bases{})
		src.Persist = true
		errs := []error{err, p.Declare(src), p.Declare(Source{Name: w.path("rule.pem"), File: w.path("rule.pem"), Persist: true, Keyless: true})}
		return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	})
	k1, k2 := newKey(), newKey()
	next := pairFor(t, k2, "next.test").cert
	for _, file := range []string{"t.pem", "rule.pem"} {
		w.write(file, pairFor(t, k1, "t.test").cert)
	}
	r := w.start()
	if problems := r.plan.Problems(); len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
	for _, u := range r.bind.entries {
		u.detach() // no bind line serves them
	}
	for name, file := range map[string]string{"@tokens/t": "t.pem", w.path("rule.pem"): "rule.pem"} {
		if got := r.deploy(name, next); got != "Committing "+name+".\nSuccess!" && got != "Committing "+name+"\nSuccess!" {
			t.Errorf("%s: %q", name, got)
		}
		if got := w.read(file); got != next {
			t.Errorf("%s holds\n%s", file, got)
		}
		if text, _ := r.Show(name); !strings.Contains(text, "\nOn disk: yes\n") {
			t.Errorf("%s: %s", name, text)
		}
	}
	if got := r.verifies("@tokens/t", k2); got != "yes" {
		t.Errorf("after the commit: %s", got)
	}
	jwt = "off"
	p := r.Plan(w.rules)
	if errs := w.plan(p); len(errs) > 0 {
		t.Fatal(errs)
	}
	if problems := p.Problems(); len(problems) != 1 || !strings.Contains(problems[0].Text, "No Private Key found in") {
		t.Errorf("without jwt on: %v", problems)
	}
}

func BenchmarkJWTKey(b *testing.B) {
	w := newWorld(b, oneFile)
	w.write("one.pem", newPair(b, "one.test").pem())
	r := w.start()
	name := []byte(w.path("one.pem"))
	if err := r.SetJWT(string(name), true); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if key, _ := r.JWTKey(name); key == nil {
			b.Fatal("no key")
		}
	}
}
