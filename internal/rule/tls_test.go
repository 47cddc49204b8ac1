package rule

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

func certificate(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(0x1234), NotBefore: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2034, 1, 1, 0, 0, 0, 0, time.UTC),
		Subject: pkix.Name{Country: []string{"FR"}, CommonName: name}, DNSNames: []string{name}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

// Each of the three certificates has its own family of fetches; without a certificate they fail.
func TestFetchesOfCertificates(t *testing.T) {
	s := newStream(t, "GET / HTTP/1.1")
	client, own, server := certificate(t, "client"), certificate(t, "own"), certificate(t, "server")
	const parts = "%[ssl_X_s_dn] %[ssl_X_s_dn(CN)] %[ssl_X_i_dn(,1,rfc2253)] %[ssl_X_serial,hex] %[ssl_X_notbefore] %[ssl_X_notafter] " +
		"%[ssl_X_key_alg] %[ssl_X_sig_alg] %[ssl_X_version] %[ssl_X_der,hex,length] %[ssl_X_sha1,hex,length]"
	ask := func(which byte) string {
		f := []byte(parts)
		for i := range f {
			if f[i] == 'X' {
				f[i] = which
			}
		}
		return formatOf(t, s, nil, string(f))
	}
	const none = "          "
	for _, which := range "cfs" {
		if got := ask(byte(which)); got != none {
			t.Errorf("without TLS ssl_%c gives %q", which, got)
		}
	}
	s.Conn.TLS = &stream.TLS{ClientCert: []*x509.Certificate{client}, OwnCert: own.Raw, ClientRoot: own.RawSubject}
	s.BackTLS = &stream.TLS{ClientCert: []*x509.Certificate{server, own}, Version: tls.VersionTLS12, Cipher: tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, SNI: "srv"}
	for which, row := range map[byte]*x509.Certificate{'c': client, 'f': own, 's': server} {
		n := row.Subject.CommonName
		want := "/C=FR/CN=" + n + " " + n + " CN=" + n + ",C=FR 1234 240101000000Z 340101000000Z id-ecPublicKey ecdsa-with-SHA256 3 " +
			formatOf(t, s, nil, "%[ssl_"+string(which)+"_der,hex,length]") + " 40"
		if got := ask(which); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	if got := formatOf(t, s, nil, "%[ssl_c_san] %[ssl_c_r_dn] %[ssl_bc] %[ssl_bc_cipher] %[ssl_bc_protocol] %[ssl_bc_sni] %[ssl_bc_use_keysize] %[ssl_fc_alg_keysize]"); got !=
		"DNS:client /C=FR/CN=own 1 ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 srv 128 " {
		t.Errorf("got %q", got)
	}
	v, ok := compile(t, "ssl_s_chain_der").Eval(s, nil)
	if want := append(append([]byte{}, server.Raw...), own.Raw...); !ok || string(v.Bytes) != string(want) {
		t.Errorf("chain of %d bytes, want %d", len(v.Bytes), len(want))
	}
	c, _ := newCompiler()
	if c.Expr("ssl_c_s_dn(CN,1,xml)", config.Pos{}) != nil {
		t.Error("a format nobody knows was accepted")
	}
}

func compile(t *testing.T, text string) *Expr {
	t.Helper()
	c, d := newCompiler()
	x := c.Expr(text, config.Pos{})
	if x == nil {
		t.Fatal(diagTexts(d))
	}
	return x
}

func TestFetchesOfTheClientHello(t *testing.T) {
	s := newStream(t, "GET / HTTP/1.1")
	s.Conn.TLS = &stream.TLS{Err: 20<<23 | 1048}
	const all = "%[ssl_fc_cipherlist_bin,hex] %[ssl_fc_cipherlist_bin(1),hex] %[ssl_fc_cipherlist_hex(1)] %[ssl_fc_cipherlist_str] %[ssl_fc_extlist_bin(1),hex] " +
		"%[ssl_fc_eclist_bin,hex] %[ssl_fc_ecformats_bin,hex] %[ssl_fc_supported_versions_bin,hex] %[ssl_fc_sigalgs_bin,hex] %[ssl_fc_protocol_hello_id]"
	if got := formatOf(t, s, nil, all+"%[ssl_fc_err_str]"); got != "         error:0A000418:SSL routines::tlsv1 alert unknown ca" {
		t.Errorf("without a capture: %q", got)
	}
	s.Conn.TLS.Hello = &stream.Hello{Version: 0x303, Ciphers: []byte("\x0a\x0a\x13\x01\xc0\x2f"), Extensions: []byte("\x2a\x2a\x00\x00"), Groups: []byte("\x00\x1d"),
		PointFormats: []byte{0}, Versions: []byte("\x03\x04"), SigAlgs: []byte("\x08\x04")}
	want := "0A0A1301C02F 1301C02F 1301C02F UNKNOWN(0a0a),TLS_AES_128_GCM_SHA256,ECDHE-RSA-AES128-GCM-SHA256 0000 001D 00 0304 0804 771"
	if got := formatOf(t, s, nil, all); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if v, ok := compile(t, "ssl_fc_cipherlist_xxh").Eval(s, nil); !ok || v.Int != xxh64(s.Conn.TLS.Hello.Ciphers, 0) {
		t.Errorf("hash %d", v.Int)
	}
}

func TestVerificationErrorsHaveNames(t *testing.T) {
	s := newStream(t, "GET / HTTP/1.1")
	if got := formatOf(t, s, nil, "%[int(0),x509_v_err_str] %[int(10),x509_v_err_str] %[int(1234),x509_v_err_str]"); got != "X509_V_OK X509_V_ERR_CERT_HAS_EXPIRED 1234" {
		t.Errorf("got %q", got)
	}
}

func TestFailedConnectionsSayWhy(t *testing.T) {
	s := newStream(t, "GET / HTTP/1.1")
	const all = "%[fc_err] %[fc_err_name]-%[fc_err_str] %[bc_err] %[bc_err_name] %[bc_err_str] %[ssl_bc_err] %[ssl_bc_err_str] %[ssl_bc_cipher]"
	if got, want := formatOf(t, s, nil, all), "0 -Success      "; got != want {
		t.Errorf("without a connection to a server: %q, want %q", got, want)
	}
	s.Conn.FcErr, s.BackConn, s.BackErr = 31, true, 33
	s.BackTLS = &stream.TLS{Failed: true, Err: 20<<23 | 134}
	want := "31 SSL_CRT_FAIL-SSL client certificate not trusted 33 SSL_MISMATCH_SNI Server presented an SSL certificate different from the expected one " +
		"167772294 error:0A000086:SSL routines::certificate verify failed (NONE)"
	if got := formatOf(t, s, nil, all); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
