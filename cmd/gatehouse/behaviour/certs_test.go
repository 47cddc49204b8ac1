package behaviour

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// authority signs the certificates of one script; its own certificate is ca.pem in the script's folder.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Script CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{cert: cert, key: key, next: 0x1000}, err
}

// mkcert FILE [-rsa] [-serial N] NAME...: a bundle of leaf and key for NAMEs, signed by ca.pem.
func cmdMkcert(ts *testscript.TestScript, neg bool, args []string) {
	w := worldOf(ts)
	if w.ca == nil {
		ca, err := newAuthority()
		ts.Check(err)
		w.ca = ca
		ts.Check(os.WriteFile(ts.MkAbs("ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}), 0o644))
	}
	file, args := args[0], args[1:]
	useRSA := false
	if args[0] == "-rsa" {
		useRSA, args = true, args[1:]
	}
	out, err := w.ca.issue(useRSA, args)
	ts.Check(err)
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(file)), 0o755))
	ts.Check(os.WriteFile(ts.MkAbs(file), out, 0o640))
}

func (a *authority) issue(useRSA bool, names []string) ([]byte, error) {
	var key crypto.Signer
	var err error
	if useRSA {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, err
	}
	a.next++
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(12 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return slices.Concat(
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	), nil
}

// mkcrl FILE [BUNDLE...]: a revocation list of ca.pem that names the certificates of the BUNDLEs.
func cmdMkcrl(ts *testscript.TestScript, neg bool, args []string) {
	w := worldOf(ts)
	if w.ca == nil || len(args) == 0 {
		ts.Fatalf("usage, after mkcert: mkcrl FILE [BUNDLE...]")
	}
	w.ca.next++
	list := &x509.RevocationList{Number: big.NewInt(w.ca.next), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(12 * time.Hour)}
	for _, bundle := range args[1:] {
		block, _ := pem.Decode([]byte(ts.ReadFile(bundle)))
		cert, err := x509.ParseCertificate(block.Bytes)
		ts.Check(err)
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: time.Now().Add(-time.Hour)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, w.ca.cert, w.ca.key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), 0o644))
}

// serial ADDR|FILE [SNI] WANT: the serial number of the certificate served at ADDR (or first in FILE) is put in the environment
// as WANT.
func cmdSerial(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: serial ADDR SNI VARIABLE | serial FILE VARIABLE")
	}
	if len(args) == 2 {
		block, rest := pem.Decode([]byte(ts.ReadFile(args[0])))
		for block != nil && block.Type != "CERTIFICATE" {
			block, rest = pem.Decode(rest)
		}
		if block == nil {
			ts.Fatalf("%s holds no certificate", args[0])
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		ts.Check(err)
		ts.Setenv(args[1], cert.SerialNumber.Text(16))
		return
	}
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", args[0], &tls.Config{ServerName: args[1], InsecureSkipVerify: true})
	if neg {
		if err == nil {
			ts.Fatalf("handshake with %s for %s succeeded", args[0], args[1])
		}
		return
	}
	ts.Check(err)
	defer c.Close()
	ts.Setenv(args[2], c.ConnectionState().PeerCertificates[0].SerialNumber.Text(16))
}

// pebble [NAME=VALUE...]: starts Pebble, a real ACME CA; sets ACME_DIRECTORY, writes its HTTPS root to acme-https.pem and its
// issuing root to acme-root.pem. It validates HTTP-01 on port 80 and resolves every name to 127.0.0.1.
func cmdPebble(ts *testscript.TestScript, neg bool, args []string) {
	w := worldOf(ts)
	cmd := exec.Command(filepath.Join(ts.Getenv("BIN"), "pebble"), "-http-port", "80")
	cmd.Env = append(environ(ts), args...)
	stdin, err := cmd.StdinPipe()
	ts.Check(err)
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	cmd.Stderr = &lockedBuffer{}
	ts.Check(cmd.Start())
	w.done = append(w.done, func() { stdin.Close(); cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		ts.Fatalf("pebble: %v: %s", err, cmd.Stderr)
	}
	var facts struct {
		Directory string `json:"directory"`
		CAFile    string `json:"ca_file"`
		RootFile  string `json:"root_file"`
	}
	ts.Check(json.Unmarshal(line, &facts))
	ts.Setenv("ACME_DIRECTORY", facts.Directory)
	for from, to := range map[string]string{facts.CAFile: "acme-https.pem", facts.RootFile: "acme-root.pem"} {
		data, err := os.ReadFile(from)
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(to), data, 0o644))
	}
}

func sortedKeys(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
