package certstore_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/certstore"
	"gatehouse/internal/gatetest"
	"gatehouse/internal/host"
	"gatehouse/internal/storage"

	"golang.org/x/crypto/ocsp"
)

// stapling is a folder with one certificate and a responder for it.
type stapling struct {
	t    *testing.T
	ca   *gatetest.Responder
	name string
	now  time.Time
	src  certstore.Source

	*certstore.Store
	plan *certstore.Plan
}

func newStapling(t *testing.T) *stapling {
	t.Helper()
	ca, err := gatetest.NewResponder()
	if err != nil {
		t.Fatal(err)
	}
	s := &stapling{t: t, ca: ca, name: filepath.Join(t.TempDir(), "a.pem"), now: time.Now()}
	s.src = certstore.Source{Name: s.name, File: s.name, Persist: true}
	s.write("", s.issue())
	return s
}

func (s *stapling) issue() []byte {
	s.t.Helper()
	pem, err := s.ca.Issue("http://ocsp.test", "a.example")
	if err != nil {
		s.t.Fatal(err)
	}
	return pem
}

func (s *stapling) write(ext string, data []byte) {
	s.t.Helper()
	if err := os.WriteFile(s.name+ext, data, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// response is the responder's answer about the certificate in a PEM text.
func (s *stapling) response(pem []byte, m gatetest.Manner) []byte {
	s.t.Helper()
	s.ca.Be(m)
	b, err := cert.Parse("a", pem)
	if err != nil {
		s.t.Fatal(err)
	}
	q, err := ocsp.ParseRequest(b.OCSPRequest())
	if err != nil {
		s.t.Fatal(err)
	}
	der, err := s.ca.Respond(q)
	if err != nil {
		s.t.Fatal(err)
	}
	return der
}

func (s *stapling) pem() []byte {
	s.t.Helper()
	data, err := os.ReadFile(s.name)
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

// start is a new process on the folder; reload a new generation of the running one.
func (s *stapling) start() *stapling {
	state := filepath.Join(filepath.Dir(s.name), "state")
	s.Store = certstore.New(certstore.Options{Host: host.Direct{}, StateDir: state, Now: func() time.Time { return s.now },
		State: func() (storage.Store, string, error) { return storage.Memory(), state, nil }})
	return s.reload()
}

func (s *stapling) reload() *stapling {
	s.t.Helper()
	s.plan = s.Store.Plan(certstore.LoadRules{StateDir: filepath.Join(filepath.Dir(s.name), "state")})
	if err := s.plan.Declare(s.src); err != nil {
		s.t.Fatal(err)
	}
	s.Apply(s.plan, nil)
	return s
}

func (s *stapling) staple() []byte { return s.Bundle(s.name).Staple(s.now) }

func TestFilesThatMayNotBeStapledAreWarnedOf(t *testing.T) {
	for _, c := range []struct {
		manner gatetest.Manner
		want   string // of the warning; "": stapled
	}{
		{gatetest.Honest, ""}, {gatetest.Delegated, ""}, {gatetest.WithNonce, ""}, {gatetest.SayRevoked, ""},
		{gatetest.SayUnknown, "Loading: OCSP single response: certificate status is unknown. Content will be ignored"},
		{gatetest.NoNext, "Loading: OCSP single response: missing nextupdate. Content will be ignored"},
		{gatetest.SaidExpired, "Loading: OCSP single response: no longer valid. Content will be ignored"},
		{gatetest.NotYet, "Loading: OCSP single response: no longer valid. Content will be ignored"},
		{gatetest.OtherSerial, "Loading: OCSP single response: Certificate ID does not match certificate and issuer. Content will be ignored"},
		{gatetest.OtherIssuer, "Loading: OCSP single response: Certificate ID does not match certificate and issuer. Content will be ignored"},
		{gatetest.TryLater, "Loading: OCSP response status not successful. Content will be ignored"},
		{gatetest.SeveralSingle, "Loading: OCSP response ignored because contains multiple single responses (2). Content will be ignored"},
		{gatetest.WrongSigner, "Loading: OCSP response: the signature is not that of the issuer or of a responder it authorised. Content will be ignored"},
		{gatetest.NoPurpose, "Loading: OCSP response: the signature is not that of the issuer or of a responder it authorised. Content will be ignored"},
		{gatetest.BadSignature, "Loading: OCSP response: the signature is not that of the issuer or of a responder it authorised. Content will be ignored"},
	} {
		s := newStapling(t)
		s.write(".ocsp", s.response(s.pem(), c.manner))
		s.start()
		problems := s.plan.Problems()
		if c.want == "" {
			if len(problems) > 0 || s.staple() == nil {
				t.Errorf("%q: problems %v, stapled %v", c.manner, problems, s.staple() != nil)
			}
			continue
		}
		if len(problems) != 1 || problems[0].Fatal || !problems[0].Warning || !strings.HasPrefix(problems[0].Text, c.want) {
			t.Errorf("%q: problems %+v, want a warning %q", c.manner, problems, c.want)
		}
		if s.staple() != nil || !s.Bundle(s.name).Stapling() {
			t.Errorf("%q is stapled, or nothing can be stapled later", c.manner)
		}
	}
}

func TestAStapleWithoutIssuerIsAnErrorOfTheConfiguration(t *testing.T) {
	s := newStapling(t)
	der := s.response(s.pem(), gatetest.Honest)
	blocks := strings.SplitAfter(string(s.pem()), "-----END CERTIFICATE-----\n")
	s.write("", []byte(blocks[0])) // key and leaf
	s.write(".ocsp", der)
	s.start()
	want := "'" + s.name + ".ocsp' is present and activates OCSP but it is impossible to compute the OCSP certificate ID (maybe the issuer could not be found)'."
	if p := s.plan.Problems(); len(p) != 1 || !p[0].Fatal || p[0].Text != want || s.staple() != nil || s.Bundle(s.name) == nil {
		t.Errorf("problems %+v, stapled %v", p, s.staple() != nil)
	}
	s.write(".issuer", []byte(blocks[1]))
	if s.start(); len(s.plan.Problems()) > 0 || !bytes.Equal(s.staple(), der) {
		t.Errorf("with the issuer beside it: %v", s.plan.Problems())
	}
}

func TestResponsesAreInstalledAndKept(t *testing.T) {
	s := newStapling(t)
	first := s.response(s.pem(), gatetest.Honest)
	if err := s.start().InstallOCSP(first, "test"); err == nil || err.Error() != "OCSP single response: Certificate ID does not match any certificate or issuer." {
		t.Errorf("a certificate that nothing was stapled with: %v", err)
	}
	s.write(".ocsp", first)
	s.start()
	for m, want := range map[gatetest.Manner]string{
		gatetest.TryLater:      "OCSP response status not successful.",
		gatetest.SayUnknown:    "OCSP single response: certificate status is unknown.",
		gatetest.NoNext:        "OCSP single response: missing nextupdate.",
		gatetest.SaidExpired:   "OCSP single response: no longer valid.",
		gatetest.OtherSerial:   "OCSP single response: Certificate ID does not match any certificate or issuer.",
		gatetest.OtherIssuer:   "OCSP single response: Certificate ID does not match any certificate or issuer.",
		gatetest.SeveralSingle: "OCSP response ignored because contains multiple single responses (2).",
		gatetest.WrongSigner:   "OCSP response: the signature is not that of the issuer or of a responder it authorised.",
	} {
		if err := s.InstallOCSP(s.response(s.pem(), m), "test"); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", m, err, want)
		}
	}
	for der, want := range map[string]string{"": "Unable to parse OCSP response.", strings.Repeat("x", cert.MaxOCSP+1): "OCSP response longer than 65536 bytes."} {
		if err := s.InstallOCSP([]byte(der), "test"); err == nil || err.Error() != want {
			t.Errorf("%d bytes: %v, want %s", len(der), err, want)
		}
	}
	if !bytes.Equal(s.staple(), first) {
		t.Fatal("a refused response is sent")
	}
	s.ca.Last(2 * time.Hour)
	revoked := s.response(s.pem(), gatetest.SayRevoked)
	if err := s.InstallOCSP(revoked, "test"); err != nil || !bytes.Equal(s.staple(), revoked) {
		t.Fatalf("a response for the certificate: %v", err)
	}
	if !bytes.Equal(s.reload().staple(), revoked) {
		t.Error("a reload takes the older response of the file")
	}
	st, ok := s.ByOCSPKey(s.Bundle(s.name).OCSPKey())
	if !ok || st.Name != s.name || !bytes.Equal(st.Bundle.OCSP(), revoked) {
		t.Errorf("by its key there is %+v", st)
	}
}

// A response is read again after a restart until it ends, and belongs to its leaf.
func TestAKeptResponseBelongsToItsLeaf(t *testing.T) {
	s := newStapling(t)
	s.src.Settings, s.src.Attrs, s.src.From = []cert.LoadSetting{{Name: "ocsp-update", Arg: "on"}}, &certstore.Attrs{OCSPUpdate: "on"}, certstore.FromList
	s.start()
	der := s.response(s.pem(), gatetest.Honest)
	if err := s.InstallOCSP(der, "test"); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.start().staple(), der) {
		t.Fatal("after a restart there is no response")
	}
	s.now = s.now.Add(24 * time.Hour)
	if s.staple() != nil || s.start().staple() != nil || len(s.plan.Problems()) > 0 {
		t.Error("a response is sent after its end")
	}
	s.now = time.Now()
	s.write("", s.issue())
	if s.start().staple() != nil {
		t.Error("the next certificate has the response of the one before")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(s.name), "state/ocsp/*")); len(left) > 0 {
		t.Errorf("responses of certificates that are gone stay: %v", left)
	}
	s.src.Persist = false
	s.start()
	if err := s.InstallOCSP(s.response(s.pem(), gatetest.Honest), "test"); err != nil || s.staple() == nil {
		t.Fatal(err)
	}
	if s.start().staple() != nil {
		t.Error("with persist off a response survives a restart")
	}
}

func TestACommitLeavesOutWhatMayNotBeStapled(t *testing.T) {
	s := newStapling(t).start()
	set := func(ext string, payload []byte) {
		t.Helper()
		if _, _, err := s.Set(s.name+ext, payload, "test"); err != nil {
			t.Fatal(err)
		}
	}
	b64 := func(der []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(der)) }
	set("", s.pem())
	set(".ocsp", b64(s.response(s.pem(), gatetest.SaidExpired)))
	warnings, err := s.Commit(s.name, "test", nil)
	if err != nil || len(warnings) != 1 || warnings[0] != "warning: OCSP single response: no longer valid. Content will be ignored." || s.staple() != nil {
		t.Errorf("%v, %v, stapled %v", warnings, err, s.staple() != nil)
	}
	good := s.response(s.pem(), gatetest.Honest)
	set(".ocsp", b64(good))
	if warnings, err := s.Commit(s.name, "test", nil); err != nil || len(warnings) > 0 || !bytes.Equal(s.staple(), good) {
		t.Errorf("%v, %v, stapled %v", warnings, err, s.staple() != nil)
	}
	// the same rules hold in a transaction over many names
	if err := s.Begin("t", "test"); err != nil {
		t.Fatal(err)
	}
	next := s.issue()
	for ext, payload := range map[string][]byte{"": next} {
		if _, err := s.SetIn("t", s.name+ext, payload); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.SetIn("t", s.name+".ocsp", b64(s.response(next, gatetest.SaidExpired))); err != nil {
		t.Fatal(err)
	}
	if warnings, err := s.CommitGroup("t", "test", nil); err != nil || len(warnings) != 1 || s.staple() != nil {
		t.Errorf("%v, %v, stapled %v", warnings, err, s.staple() != nil)
	}
	// without the issuer HAProxy's commit fails
	alone := strings.SplitAfter(string(next), "-----END CERTIFICATE-----\n")[0]
	set("", []byte(alone))
	set(".ocsp", b64(s.response(next, gatetest.Honest)))
	if _, err := s.Commit(s.name, "test", nil); err == nil || !strings.Contains(err.Error(), "is present and activates OCSP") {
		t.Errorf("a commit without issuer: %v", err)
	}
}

// A file that is looked at again does not take back what came since.
func TestARereadKeepsTheNewestResponse(t *testing.T) {
	s := newStapling(t)
	first := s.response(s.pem(), gatetest.Honest)
	s.write(".ocsp", first)
	s.start()
	revoked := s.response(s.pem(), gatetest.SayRevoked)
	if err := s.InstallOCSP(revoked, "test"); err != nil {
		t.Fatal(err)
	}
	serves := s.Bundle(s.name)
	if s.Reread(s.name); s.Bundle(s.name) != serves {
		t.Error("files that have not changed took the place of what serves")
	}
	s.write("", s.issue())
	if s.Reread(s.name); s.Bundle(s.name) == serves || s.staple() != nil {
		t.Error("a new certificate in the file is not served, or with the response of the one before")
	}
	serves = s.Bundle(s.name)
	if s.Reread(s.name); s.Bundle(s.name) != serves {
		t.Error("files that have not changed are served anew")
	}
}
