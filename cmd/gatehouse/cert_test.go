package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// pair is a certificate of a test with its key.
type pair struct {
	cert *x509.Certificate
	key  crypto.Signer
}

var lastSerial int64

// issue makes a certificate; a nil parent signs itself. Every field of shape but names and dates may be left out.
func issue(t *testing.T, shape *x509.Certificate, key crypto.Signer, parent *pair) *pair {
	t.Helper()
	if key == nil {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key = k
	}
	lastSerial++
	shape.SerialNumber = big.NewInt(lastSerial)
	if shape.NotAfter.IsZero() {
		shape.NotBefore, shape.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(90*24*time.Hour)
	}
	if shape.Subject.CommonName == "" && len(shape.DNSNames) > 0 {
		shape.Subject = pkix.Name{CommonName: shape.DNSNames[0]}
	}
	p := &pair{key: key}
	from := parent
	if from == nil {
		from = &pair{cert: shape, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, shape, from.cert, key.Public(), from.key)
	if err != nil {
		t.Fatal(err)
	}
	if p.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return p
}

// authorityOf makes a CA; a nil parent makes a root.
func authorityOf(t *testing.T, name string, parent *pair) *pair {
	t.Helper()
	return issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, parent)
}

func (p *pair) certPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw})
}

func (p *pair) keyPEM(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func put(t *testing.T, path string, mode os.FileMode, parts ...[]byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, slices.Concat(parts...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// exit is the exit code that main makes of an error.
func exit(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := err.(exitCode); ok {
		return e.code
	}
	return 1
}

func TestCertListOfADirectoryIsSortedByExpiryAndTellsWhatIsUnusable(t *testing.T) {
	dir := t.TempDir()
	ca := authorityOf(t, "Test CA", nil)
	late := issue(t, &x509.Certificate{DNSNames: []string{"late.test", "www.late.test", "a.late.test"}}, nil, ca)
	soon := issue(t, &x509.Certificate{DNSNames: []string{"soon.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(49 * time.Hour)}, nil, ca)
	put(t, dir+"/a-late.pem", 0o600, late.keyPEM(t), late.certPEM(), ca.certPEM())
	put(t, dir+"/b-soon.pem", 0o600, soon.certPEM(), soon.keyPEM(t))
	put(t, dir+"/c-mixed.pem", 0o600, late.certPEM(), soon.keyPEM(t))
	put(t, dir+"/notes.txt", 0o644, []byte("not a certificate\n"))

	stdout, stderr, err := run("cert", "list", dir)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	rows := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(rows) != 4 || !strings.Contains(rows[1], "b-soon.pem") || !strings.Contains(rows[2], "a-late.pem") || !strings.Contains(rows[3], "inconsistencies between private key and certificate") {
		t.Errorf("got\n%s\nwant the header, then b-soon, a-late and c-mixed, the last with why it is unusable", stdout)
	}
	for _, want := range []string{"late.test,www.late.test +1", "EC256", "Test CA", "  2  ", "on disk"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the table lacks %q:\n%s", want, stdout)
		}
	}

	stdout, _, err = run("cert", "list", "--json", dir)
	var list []certificate
	if err != nil || json.Unmarshal([]byte(stdout), &list) != nil || len(list) != 3 || *list[0].DaysLeft != 2 || list[0].Names[0] != "soon.test" || list[2].Error == "" {
		t.Errorf("--json gives %s, %v", stdout, err)
	}
	if strings.Contains(stdout, "PRIVATE") {
		t.Errorf("--json shows a key: %s", stdout)
	}
}

func TestCertCheckSaysWhatIsWrongAndExitsAccordingly(t *testing.T) {
	ca := authorityOf(t, "Test CA", nil)
	other := authorityOf(t, "Other CA", nil)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	named := func() *x509.Certificate { return &x509.Certificate{DNSNames: []string{"a.test"}} }
	dated := func(from, to time.Duration) *x509.Certificate {
		return &x509.Certificate{DNSNames: []string{"a.test"}, NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to)}
	}
	good := issue(t, named(), nil, ca)
	for _, c := range []struct {
		name  string
		leaf  *pair
		chain []byte
		mode  os.FileMode
		code  int
		want  string
	}{
		{"good", good, ca.certPEM(), 0o600, 0, "1 certificates, 0 findings"},
		{"readable by the group", good, nil, 0o640, 0, "0 findings"},
		{"expired", issue(t, dated(-48*time.Hour, -time.Hour), nil, ca), nil, 0o600, 2, "it expired on "},
		{"soon", issue(t, dated(-48*time.Hour, 100*time.Hour), nil, ca), nil, 0o600, 1, "it expires in 4 days"},
		{"not yet", issue(t, dated(time.Hour, 2000*time.Hour), nil, ca), nil, 0o600, 2, "it is not valid before"},
		{"unlinked", good, other.certPEM(), 0o600, 2, "certificate 1 of the chain is /CN=Other CA, but the leaf was issued by /CN=Test CA"},
		{"no name", issue(t, &x509.Certificate{Subject: pkix.Name{Organization: []string{"x"}}}, nil, ca), nil, 0o600, 1, "it bears no name"},
		{"weak", issue(t, named(), weak, ca), nil, 0o600, 1, "its key is weak: RSA1024"},
		{"open", good, nil, 0o644, 2, "can be read or written by every user (mode 0644)"},
		{"mismatch", &pair{good.cert, ca.key}, nil, 0o600, 2, "inconsistencies between private key and certificate"},
	} {
		file := put(t, filepath.Join(t.TempDir(), "site.pem"), c.mode, c.leaf.keyPEM(t), c.leaf.certPEM(), c.chain)
		stdout, stderr, err := run("cert", "check", file)
		if exit(err) != c.code || !strings.Contains(stdout, c.want) || stderr != "" {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q; want %d and %q", c.name, exit(err), stdout, stderr, c.code, c.want)
		}
	}
	file := put(t, filepath.Join(t.TempDir(), "site.pem"), 0o600, good.keyPEM(t), good.certPEM())
	if stdout, _, err := run("cert", "check", "--days", "100", "--json", file); exit(err) != 1 || !strings.Contains(stdout, `"severity": "warning"`) {
		t.Errorf("--days 100 --json: %d, %s; want a warning", exit(err), stdout)
	}
	if _, stderr, err := run("cert", "check", file+".gone"); exit(err) != 2 || !strings.Contains(stderr, "site.pem.gone: No such file or directory") {
		t.Errorf("a missing file: %d, %s", exit(err), stderr)
	}
}

func TestCertPEMGivesTheKeyOnlyWhenAskedAndOnlyPrivately(t *testing.T) {
	ca := authorityOf(t, "Test CA", nil)
	leaf := issue(t, &x509.Certificate{DNSNames: []string{"a.test"}}, nil, ca)
	dir := t.TempDir()
	file := put(t, dir+"/site.pem", 0o600, leaf.keyPEM(t), leaf.certPEM(), ca.certPEM())

	stdout, _, err := run("cert", "pem", "--disk", file)
	if err != nil || stdout != string(leaf.certPEM())+string(ca.certPEM()) {
		t.Errorf("without --key: %v\n%s", err, stdout)
	}
	out := dir + "/out.pem"
	if stdout, stderr, err := run("cert", "pem", "--disk", file, "--key", "--out", out); err != nil || stdout != "" {
		t.Fatalf("--key --out: %v, stdout %q, stderr %q", err, stdout, stderr)
	}
	info, err := os.Stat(out)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v, %v; want mode 0600", out, info, err)
	}
	if data, _ := os.ReadFile(out); !strings.Contains(string(data), "PRIVATE KEY") {
		t.Errorf("--key --out wrote no key")
	}
	if _, stderr, err := run("cert", "pem", "--disk", file, "--key", "--out", out); err == nil || !strings.Contains(stderr, "exists already") {
		t.Errorf("a second export over %s: %v, %q; want a refusal", out, err, stderr)
	}
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	root := newCommand()
	root.SetArgs([]string{"cert", "pem", "--disk", file, "--key"})
	root.SetOut(terminal)
	root.SetErr(io.Discard)
	if err := root.Execute(); err == nil || !strings.Contains(err.Error(), "this is a terminal") {
		t.Errorf("--key to a terminal: %v; want a refusal", err)
	}
}

// answered is what a process of ours says of one certificate.
const answered = "Filename: /c/a.pem\nCrt filename: /c/a.pem\nKey filename: /c/a.key\nOption: ocsp-update off\nStatus: Used\nSerial: 0A\nnotBefore: Nov  1 00:00:00 2020 GMT\n" +
	"notAfter: Dec  1 00:00:00 2020 GMT\nSubject Alternative Name: DNS:a.test, DNS:b.test\nAlgorithm: RSA2048\nSHA1 FingerPrint: AB\nSubject: /C=US/O=Acme/Web/CN=a.test\n" +
	"Issuer: /O=Trust/CN=Sub CA\nChain Subject: /O=Trust/CN=Sub CA\nChain Issuer: /CN=Root\nOCSP Response Key: \nOn disk: no, since 2020-11-02T00:00:00Z: No space left on device\n"

func TestCertListAsksARunningProcess(t *testing.T) {
	sock := socket(t, map[string]string{
		"show ssl cert":          "# filename\n/c/a.pem\n\\*b\n",
		"show ssl cert /c/a.pem": answered,
		"show ssl sni":           "# Frontend/Bind\tSNI\tNegative Filter\tType\tFilename\tNotAfter\tNotBefore\nwww/h.cfg:7\ta.test\t-\trsa\t/c/a.pem\tx\ty\nwww/h.cfg:7\tb.test\t-\trsa\t/c/a.pem\tx\ty\n",
	})
	stdout, stderr, err := run("cert", "list", "--json", "-s", sock)
	var list []certificate
	if err != nil || json.Unmarshal([]byte(stdout), &list) != nil || len(list) != 2 {
		t.Fatalf("%v %s\n%s", err, stderr, stdout)
	}
	a := list[1]
	if a.Name != "/c/a.pem" || !slices.Equal(a.Names, []string{"a.test", "b.test"}) || a.Key != "RSA2048" || !slices.Equal(a.Uses, []string{"www/h.cfg:7"}) ||
		!slices.Equal(a.Files, []string{"/c/a.pem", "/c/a.key"}) || len(a.Chain) != 1 || a.Chain[0].Issuer != "/CN=Root" || *a.DaysLeft >= 0 ||
		!slices.Equal(a.Status, []string{"unsaved (since 2020-11-02T00:00:00Z: No space left on device)"}) {
		t.Errorf("got %+v", a)
	}
	stdout, _, err = run("cert", "check", "-s", sock)
	if exit(err) != 2 || !strings.Contains(stdout, "/c/a.pem: it expired on 2020-12-01T00:00:00Z") || !strings.Contains(stdout, "No space left on device") {
		t.Errorf("check: %d\n%s", exit(err), stdout)
	}
}

func TestAttributesOfASubject(t *testing.T) {
	for _, c := range []struct{ dn, attribute, want string }{
		{"/C=US/O=Acme/Web/CN=a.test", "O", "Acme/Web"},
		{"/C=US/O=Acme/Web/CN=a.test", "CN", "a.test"},
		{"/CN=a", "O", ""},
		{"", "CN", ""},
	} {
		if got := nameOf(c.dn, c.attribute); got != c.want {
			t.Errorf("nameOf(%q, %q) = %q, want %q", c.dn, c.attribute, got, c.want)
		}
	}
}

func TestCertCommandsFindTheSocketInTheConfiguration(t *testing.T) {
	sock := socket(t, map[string]string{"show ssl cert": "# filename\n"})
	cfg := put(t, filepath.Join(t.TempDir(), "haproxy.cfg"), 0o644, []byte("global\n    stats socket /nowhere/low.sock\n    stats socket "+sock+" level admin\n"))
	if stdout, stderr, err := run("cert", "list", "-f", cfg); err != nil || !strings.HasPrefix(stdout, "CERTIFICATE") {
		t.Errorf("%v %s %s", err, stdout, stderr)
	}
	none := put(t, filepath.Join(t.TempDir(), "haproxy.cfg"), 0o644, []byte("global\n    maxconn 10\n"))
	if _, stderr, err := run("cert", "list", "-f", none); err == nil || !strings.Contains(stderr, "add `stats socket") {
		t.Errorf("a configuration without a socket: %v %s", err, stderr)
	}
	if stdout, stderr, err := run("cert", "list", "--disk", "--json", "-f", none); err != nil || stdout != "[]\n" {
		t.Errorf("--disk: %v %s %s", err, stdout, stderr)
	}
}
