package certstore

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"gatehouse/internal/cert"
	"gatehouse/internal/host"
)

func settings(words ...string) (list []cert.LoadSetting) {
	for i := 0; i+1 < len(words); i += 2 {
		list = append(list, cert.LoadSetting{Name: words[i], Arg: words[i+1]})
	}
	return list
}

// TestSecondDeclarations: which declarations of one name stand beside each other (surface 2.3).
func TestSecondDeclarations(t *testing.T) {
	type decl struct {
		from Origin
		load []cert.LoadSetting
	}
	store := decl{FromStore, settings("key", "k", "ocsp-update", "on")}
	for _, test := range []struct {
		name          string
		first, second decl
		want          []string // nil: compatible
	}{
		{"plain twice", decl{FromCrt, nil}, decl{FromList, nil}, nil},
		{"crt-store, then plain", store, decl{FromCrt, nil}, nil},
		{"plain, then keywords", decl{FromCrt, nil}, decl{FromList, settings("acme", "le")},
			[]string{"Can't use the certificate previously defined without any keyword with these keywords:", "- different parameter 'acme' : previously '(null)' vs 'le'"}},
		{"keywords, then plain", decl{FromList, settings("ocsp-update", "on")}, decl{FromCrt, nil},
			[]string{"Can't use the certificate previously defined with keywords without these keywords:", "- different parameter 'ocsp-update' : previously 'on' vs 'default' (ocsp-update.mode off)"}},
		{"same keywords", decl{FromList, settings("key", "k")}, decl{FromList, settings("key", "k")}, nil},
		{"off is the default", decl{FromList, settings("ocsp-update", "off")}, decl{FromList, settings("jwt", "off")}, nil},
		{"other keywords", decl{FromList, settings("key", "k")}, decl{FromList, settings("key", "l", "ocsp-update", "on")},
			[]string{"- different parameter 'key' : previously 'k' vs 'l'", "- different parameter 'ocsp-update' : previously 'default' (ocsp-update.mode off) vs 'on'"}},
	} {
		p := New(Options{Host: host.Direct{}}).Plan(LoadRules{})
		declare := func(d decl) error {
			src, err := NewSource("n", "n", d.from, d.load, Bases{})
			if err != nil {
				t.Fatal(err)
			}
			return p.Declare(src)
		}
		if err := declare(test.first); err != nil {
			t.Fatal(err)
		}
		got := declare(test.second)
		want := "Can't load 'n', is already defined with incompatible parameters:\n " + strings.Join(test.want, "\n")
		if (got == nil) != (test.want == nil) || got != nil && got.Error() != want {
			t.Errorf("%s: %v, want %q", test.name, got, test.want)
		}
	}
	p := New(Options{Host: host.Direct{}}).Plan(LoadRules{})
	_ = p.Declare(Source{Name: "@s/x", From: FromStore})
	if err := p.Declare(Source{Name: "@s/x", From: FromStore}); err == nil || err.Error() != "store '@s/x' was already defined." {
		t.Errorf("a crt-store name twice: %v", err)
	}
}

func TestStoreNames(t *testing.T) {
	for _, test := range []struct{ section, crt, alias, base, want string }{
		{"", "a.pem", "", "/base", "/base/a.pem"}, {"", "/a.pem", "", "/base", "/a.pem"}, {"", "a.pem", "", "", "a.pem"},
		{"s", "a.pem", "", "/base", "@s/a.pem"}, {"s", "/x/a.pem", "", "", "@s/x/a.pem"}, {"s", "a.pem", "al", "", "@s/al"}, {"", "a.pem", "al", "/base", "@/al"},
	} {
		if got := StoreName(test.section, test.crt, test.alias, test.base); got != test.want {
			t.Errorf("StoreName%v = %q, want %q", test, got, test.want)
		}
	}
	if got := WithBase("/b", "@s/x") + WithBase("/b", "x") + WithBase("", "x"); got != "@s/x/b/xx" {
		t.Errorf("names with base: %q", got)
	}
}

func TestBadLoadKeywords(t *testing.T) {
	for _, bad := range [][]cert.LoadSetting{settings("ocsp-update", "maybe"), settings("bits", "many"), settings("keytype", "DSA"), settings("foo", "x"), settings("bits", "2048")} {
		if _, err := NewSource("n", "n", FromStore, bad, Bases{}); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}

// acmeFile declares a certificate that ACME issues.
func acmeFile(w *world, p *Plan) []error {
	src, err := NewSource("@s/one", w.path("one.pem"), FromStore, settings("acme", "le", "domains", "a.example,b.example"), Bases{})
	src.Persist, src.Pos = w.persist, "cfg:1"
	return unjoin(errors.Join(err, p.Declare(src)))
}

func TestACertificateThatACMEHasNotIssuedYet(t *testing.T) {
	w := newWorld(t, acmeFile)
	r := w.start()
	problems := r.plan.Problems()
	want := fmt.Sprintf("No certificate available for '%s', generating a temporary key pair before getting the ACME certificate", w.path("one.pem"))
	if len(problems) != 1 || problems[0].Fatal || problems[0].Text != want {
		t.Errorf("problems are %v, want the notice", problems)
	}
	for _, m := range [][]Managed{r.plan.Managed(), r.Managed()} {
		if len(m) != 1 || m[0].Name != "@s/one" || m[0].Attrs.ACME != "le" || strings.Join(m[0].Attrs.Domains, " ") != "a.example b.example" || !m[0].Bundle.Temporary() {
			t.Errorf("managed certificates are %+v", m)
		}
	}
	issued := newPair(t, "a.example", "b.example")
	b, err := cert.Parse("", []byte(issued.pem()))
	if err != nil {
		t.Fatal(err)
	}
	w.fault = refuseIn(w.dir, syscall.ENOSPC)
	if err := r.Put(t.Context(), "@s/one", b, "acme"); !errors.Is(err, ErrUnsaved) || r.Bundle("@s/one").Temporary() {
		t.Errorf("issued on a full disk: %v", err)
	}
	w.fault = nil
	if err := r.Put(t.Context(), "@s/one", b, "acme"); err != nil {
		t.Fatal(err)
	}
	r.serves("b.example", issued)
	if info, err := os.Stat(w.path("one.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the issued certificate's file: %v, %v", info, err)
	}
	again := w.start()
	again.serves("a.example", issued)
	if err := again.Put(t.Context(), "nobody", b, "acme"); err == nil {
		t.Error("a name that does not exist was put")
	}
}

func TestExtraFilesAndTheirRules(t *testing.T) {
	p := newPair(t, "a.example")
	w := newWorld(t, func(w *world, p *Plan) []error {
		name := w.path("one.crt")
		return unjoin(p.Declare(Source{Name: name, File: name, Persist: true}))
	})
	w.write("one.crt", p.cert)
	w.write("one.crt.key", p.key)
	w.start().serves("a.example", p)
	w.rules = LoadRules{ExtraFiles: []string{"ocsp"}}
	if got := fatal(w.start().plan); len(got) != 1 || got[0].Text != fmt.Sprintf("No Private Key found in '%s'.", w.path("one.crt")) {
		t.Errorf("with keys in other files switched off: %v", got)
	}
	w.rules = LoadRules{DelExt: true}
	if err := os.Rename(w.path("one.crt.key"), w.path("one.key")); err != nil {
		t.Fatal(err)
	}
	r := w.start()
	r.serves("a.example", p)
	// with ssl-load-extra-del-ext the suffix finds NAME.crt
	next := newPair(t, "a.example")
	name := w.path("one")
	if created, target, err := r.Set(name+".crt", []byte(next.cert), "t"); err != nil || !created || target != name+".crt" {
		t.Fatal(created, target, err)
	}
	if created, target, err := r.Set(name+".key", []byte(next.key), "t"); err != nil || created || target != name+".crt" {
		t.Fatal(created, target, err)
	}
	if _, err := r.Commit(name+".crt", "t", nil); err != nil {
		t.Fatal(err)
	}
	w.start().serves("a.example", next)
	if w.read("one.key") != next.key || w.read("one.crt") != next.cert {
		t.Error("certificate and key were not written to their files")
	}
}

func TestAnOCSPResponseIsSetCommittedAndKept(t *testing.T) {
	w := newWorld(t, oneFile)
	p := newPair(t, "a.example")
	w.write("one.pem", p.pem())
	r := w.start()
	b := r.Bundle(w.path("one.pem"))
	leaf := b.X509()
	tlsCert, err := b.TLS()
	if err != nil {
		t.Fatal(err)
	}
	der, err := ocsp.CreateResponse(leaf, leaf, ocsp.Response{Status: ocsp.Good, SerialNumber: leaf.SerialNumber,
		ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}, tlsCert.PrivateKey.(crypto.Signer))
	if err != nil {
		t.Fatal(err)
	}
	name := w.path("one.pem")
	text := base64.StdEncoding.EncodeToString(der)
	if got := r.face.run("set ssl cert "+name+".ocsp", []byte(text[:64]+"\r\n"+text[64:])); got != "Transaction created for certificate "+name+"!" {
		t.Fatal(got)
	}
	if got := r.face.run("show ssl cert *"+name+".ocsp", nil); !strings.Contains(got, "Cert Status: good") {
		t.Errorf("pending response shows as %q", got)
	}
	if got := r.face.run("commit ssl cert "+name, nil); !strings.HasSuffix(got, "Success!") {
		t.Fatal(got)
	}
	again := w.start()
	if string(again.Bundle(name).OCSP()) != string(der) {
		t.Error("after a restart there is no response")
	}
	if got := again.face.run("show ssl cert "+name+".ocsp", nil); !strings.Contains(got, "OCSP Response Status: successful (0x0)") {
		t.Errorf("response shows as %q", got)
	}
	for _, bad := range []string{"%%%", base64.StdEncoding.EncodeToString([]byte("x"))} {
		if got := again.face.run("set ssl cert "+name+".ocsp", []byte(bad)); !strings.HasSuffix(got, "\nCan't load the payload\nCan't update "+name+".ocsp!") {
			t.Errorf("response %q: %s", bad, got)
		}
	}
	// a whole PEM drops the response, and the file left behind is of another certificate
	next := newPair(t, "a.example")
	again.mustDeploy(name, next.pem())
	if again.Bundle(name).OCSP() != nil {
		t.Error("the next certificate has the response of the one before")
	}
	last := w.start()
	last.serves("a.example", next)
	if p := last.plan.Problems(); last.Bundle(name).OCSP() != nil || len(p) != 1 || p[0].Fatal {
		t.Errorf("after a restart: response %v, problems %v", last.Bundle(name).OCSP() != nil, p)
	}
}

func TestCrtListProblemsAreCollected(t *testing.T) {
	w := newWorld(t, func(*world, *Plan) []error { return nil })
	good := newPair(t, "good.example")
	w.write("good.pem", good.pem())
	w.write("l.list", "good.pem !x.y\nmissing.pem\ngood.pem [acme le]\nbad.pem [foo]\n")
	r := w.start()
	p := r.Plan(LoadRules{})
	lines, errs := p.DeclareList(w.path("l.list"), w.dir, true)
	if len(lines) != 2 || lines[0].Cert != w.path("good.pem") || lines[1].Cert != w.path("missing.pem") {
		t.Errorf("lines are %v", lines)
	}
	if len(errs) != 2 || !strings.Contains(errs[0].Error(), "l.list:4]: unknown ssl keyword foo") || !strings.Contains(errs[1].Error(), "line 3, is already defined with incompatible parameters") {
		t.Errorf("errors are %v", errs)
	}
	problems := p.Problems()
	if len(problems) != 2 || problems[0].Fatal || !problems[1].Fatal ||
		problems[1].Text != fmt.Sprintf("unable to stat SSL certificate from file '%s' : No such file or directory.", w.path("missing.pem")) || problems[1].Pos != w.path("l.list")+":2" {
		t.Errorf("problems are %+v", problems)
	}
	if p.Bundle(w.path("good.pem")) == nil || p.Bundle(w.path("missing.pem")) != nil {
		t.Error("the good certificate is off, or the missing one is there")
	}
	if again, errs := p.DeclareList(w.path("l.list")+"/", w.dir, true); len(again) != 2 || errs != nil {
		t.Errorf("declared by a second bind line: %v, %v", again, errs)
	}
	if _, errs := p.DeclareList(w.path("none.list"), "", true); len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), "cannot open file") {
		t.Errorf("a missing list: %v", errs)
	}
	if _, errs := p.DeclareDir(w.path("none"), true); len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), "unable to scan directory") {
		t.Errorf("a missing directory: %v", errs)
	}
}

func TestAUseThatRefusesStopsTheCommit(t *testing.T) {
	w := newWorld(t, oneFile)
	old, next := newPair(t, "a.example"), newPair(t, "a.example")
	w.write("one.pem", old.pem())
	r := w.start()
	r.bind.refuse = errors.New("no TLS context for you")
	if got, want := r.deploy(w.path("one.pem"), next.pem()), "Committing "+w.path("one.pem")+"\nno TLS context for you\nFailed!"; got != want {
		t.Errorf("answer %q, want %q", got, want)
	}
	r.serves("a.example", old)
	if w.read("one.pem") != old.pem() {
		t.Error("the file was changed")
	}
	r.bind.refuse = nil
	r.mustDeploy(w.path("one.pem"), next.pem())
}

func TestWarningsStandBeforeSuccess(t *testing.T) {
	w := newWorld(t, oneFile)
	w.write("one.pem", newPair(t, "a.example").pem())
	r := w.start()
	old := newPair(t, "old.example")
	other := newPair(t, "other.example")
	r.o.Now = func() time.Time { return time.Now().AddDate(1, 0, 0) }
	got := strings.Split(r.deploy(w.path("one.pem"), old.cert+other.cert+old.key), "\n")
	if len(got) != 4 || !strings.Contains(got[1], "expired on") || !strings.Contains(got[2], "does not lead from one issuer to the next") || got[3] != "Success!" {
		t.Errorf("answer is %q", got)
	}
	k := newKey()
	template := &x509.Certificate{SerialNumber: big.NewInt(77), NotBefore: time.Now().AddDate(5, 0, 0), NotAfter: time.Now().AddDate(6, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	p8, _ := x509.MarshalPKCS8PrivateKey(k)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: p8}))
	got = strings.Split(r.deploy(w.path("one.pem"), text), "\n")
	if len(got) != 4 || !strings.Contains(got[1], "is not valid before") || !strings.Contains(got[2], "neither a DNS name nor a common name") {
		t.Errorf("answer is %q", got)
	}
}

func TestDuringACommitTheTransactionIsLocked(t *testing.T) {
	w := newWorld(t, oneFile)
	old, next := newPair(t, "a.example"), newPair(t, "a.example")
	w.write("one.pem", old.pem())
	r := w.start()
	name := w.path("one.pem")
	var answers []string
	w.fault = func(step host.Step, _ string) error {
		if step == host.StepRename {
			answers = append(answers, r.face.run("set ssl cert "+name, []byte(old.pem())), r.face.run("abort ssl cert "+name, nil))
			r.serves("a.example", old) // not durable yet, so not visible
		}
		return nil
	}
	r.mustDeploy(name, next.pem())
	if len(answers) != 2 || !strings.Contains(answers[0], "currently locked!") || !strings.Contains(answers[1], "currently locked!") {
		t.Errorf("answers during the commit: %q", answers)
	}
	r.serves("a.example", next)
}
