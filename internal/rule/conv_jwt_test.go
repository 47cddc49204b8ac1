package rule

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/config"
)

// jwtFiles are PEM files of one RSA and one P-256 key.
func jwtFiles(t *testing.T, r *rsa.PrivateKey, e *ecdsa.PrivateKey) map[string][]byte {
	t.Helper()
	files := map[string][]byte{"pkcs1.pem": pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&r.PublicKey)})}
	for name, key := range map[string]any{"rsa.pem": &r.PublicKey, "ec.pem": &e.PublicKey} {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	return files
}

// certificates are those of a certificate store; a nil key is one that may not be used.
type certificates struct {
	keys  map[string]crypto.PublicKey
	named []string
}

func (c *certificates) UseForJWT(name string, _ config.Pos) { c.named = append(c.named, name) }

func (c *certificates) JWTKey(name []byte) (crypto.PublicKey, bool) {
	key, known := c.keys[string(name)]
	return key, known
}

func TestSignedTokensAreVerifiedByTheKeyOfTheConfiguration(t *testing.T) {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	files := jwtFiles(t, r, e)
	c, _ := newCompiler()
	certs := &certificates{keys: map[string]crypto.PublicKey{"cert.pem": &r.PublicKey, "ec-cert.pem": &e.PublicKey, "forbidden.pem": nil}}
	c.Certificates = certs
	c.ReadFile = func(name string) ([]byte, error) {
		if b := files[name]; b != nil {
			return b, nil
		}
		return nil, os.ErrNotExist
	}
	b64 := base64.RawURLEncoding
	signed := b64.EncodeToString([]byte(`{"alg":"x"}`)) + "." + b64.EncodeToString([]byte(`{"sub":"1"}`))
	sum := sha256.Sum256([]byte(signed))
	pkcs1, _ := rsa.SignPKCS1v15(rand.Reader, r, crypto.SHA256, sum[:])
	pss, _ := rsa.SignPSS(rand.Reader, r, crypto.SHA256, sum[:], nil)
	x, y, _ := ecdsa.Sign(rand.Reader, e, sum[:])
	es := append(x.FillBytes(make([]byte, 32)), y.FillBytes(make([]byte, 32))...)
	mac := hmac.New(sha256.New, []byte("rsa.pem"))
	mac.Write([]byte(signed))
	token := func(sig []byte) string { return signed + "." + b64.EncodeToString(sig) }

	for _, row := range []struct{ alg, conv, token, want string }{
		{"RS256", "jwt_verify(RS256,rsa.pem)", token(pkcs1), "1"},
		{"RS256", "jwt_verify(txn.alg,pkcs1.pem)", token(pkcs1), "1"},
		{"RS256", "jwt_verify_cert(RS256,cert.pem)", token(pkcs1), "1"},
		{"RS256", "jwt_verify_cert(txn.alg,txn.cert)", token(pkcs1), "1"},
		{"RS256", "jwt_verify_cert(txn.alg,ec-cert.pem)", token(pkcs1), "0"},
		{"ES256", "jwt_verify_cert(txn.alg,ec-cert.pem)", token(es), "1"},
		{"RS256", "jwt_verify_cert(RS256,forbidden.pem)", token(pkcs1), "-7"},
		{"RS256", "jwt_verify_cert(RS256,absent.pem)", token(pkcs1), "-5"},
		{"RS256", "jwt_verify_cert(RS256,rsa.pem)", token(pkcs1), "-5"}, // a public key is no certificate
		{"PS256", "jwt_verify(txn.alg,rsa.pem)", token(pss), "1"},
		{"ES256", "jwt_verify(txn.alg,ec.pem)", token(es), "1"},
		{"ES256", "jwt_verify(txn.alg,rsa.pem)", token(es), "0"},
		{"ES256", "jwt_verify(txn.alg,ec.pem)", token(es[1:]), "-3"},
		{"RS256", "jwt_verify(txn.alg,ec.pem)", token(pkcs1), "0"},
		{"RS256", "jwt_verify(txn.alg,rsa.pem)", token(pss), "0"},
		{"ES384", "jwt_verify(txn.alg,ec.pem)", token(es), "0"},
		{"RS256", "jwt_verify(txn.alg,not-a-file)", token(pkcs1), "-5"},
		{"none", "jwt_verify(txn.alg,rsa.pem)", signed + ".", "1"},
		{"none", "jwt_verify(txn.alg,rsa.pem)", token(pkcs1), "0"},
		{"HS256", "jwt_verify_cert(txn.alg,cert.pem)", token(mac.Sum(nil)), "-2"},
		// The file's name is no secret: HAProxy says 1 here.
		{"HS256", "jwt_verify(txn.alg,rsa.pem)", token(mac.Sum(nil)), "0"},
	} {
		s, env := newStream(t, "GET / HTTP/1.1", "token: "+row.token), newEnv()
		s.Txn.Set("alg", text([]byte(row.alg)))
		s.Txn.Set("cert", text([]byte("cert.pem")))
		f, err := c.parseFormat("%[req.hdr(token),"+row.conv+"]", formatUse{mode: true, in: inRequest})
		if err != nil {
			t.Errorf("%s: %v", row.conv, err)
			continue
		}
		if got := string(f.Append(nil, s, env)); got != row.want {
			t.Errorf("%s with alg %s: %s, want %s", row.conv, row.alg, got, row.want)
		}
	}
	// what a variable names is known later
	if want := []string{"cert.pem", "ec-cert.pem", "ec-cert.pem", "forbidden.pem", "absent.pem", "rsa.pem", "cert.pem"}; !slices.Equal(certs.named, want) {
		t.Errorf("certificates that rules name: %q, want %q", certs.named, want)
	}
}

func TestConverterArgumentsAreChecked(t *testing.T) {
	c, _ := newCompiler()
	for expr, want := range map[string]string{
		"str(a),jwt_verify(XX,k)":           "unknown JWT algorithm: XX",
		"str(a),jwt_verify(RS256,no-file)":  "no-file",
		"str(a),jwt_verify_cert(HS256,c)":   "HMAC-signed tokens can't be processed by this converter",
		"str(a),hmac(nope,a2V5)":            "algorithm must be a valid OpenSSL message digest name",
		"str(a),hmac(sha1,!)":               "failed to parse key",
		"str(a),be2dec(:,9)":                "chunk_size out of [1..8] range (9)",
		"str(a),be2dec(:,2,2)":              "Unsupported truncate value (2)",
		"str(a),be2hex(:)":                  "chunk_size needs to be positive (0)",
		"str(a),json(utf16)":                "Unexpected input code type.",
		"str(a),json_query()":               "json_path must not be empty",
		"str(a),json_query('$.a',str)":      "output_type only supports \"int\" as argument",
		"str(a),add_item(x)":                "one of the optional arguments has to be nonempty",
		"str(a),add_item(x,nope)":           "failed to register variable name 'nope'",
		"str(a),param(x,ab)":                "Delimiter must be exactly 1 character.",
		"str(a),secure_memcmp(x)":           "failed to register variable name 'x'",
		"str(a),when(x)":                    "expects a supported keyword among {stopping,normal,error,forwarded,toapplet,processed,acl} but got 'x'",
		"str(a),when(acl,nope)":             "ACL 'nope' not found",
		"str(a),when(acl)":                  "'acl' selector requires an extra argument with the ACL name",
		"str(a),set-var(txn.x,nope)":        "unknown condition \"nope\"",
		"int(1),http_date(0,h)":             "",
		"str(a),bytes(-1)":                  "expects a non-negative integer",
		"str(a),bytes(0,0)":                 "expects a positive integer",
		"str(a),url_enc(x)":                 "Unexpected encode type. Allowed value is 'query'",
		"str(a),field(1,'')":                "Empty separators list",
		"str(a),word(0,x)":                  "Unexpected value 0 for index",
		"str(a),aes_gcm_dec(128,a,b,txn.c)": "converter 'aes_gcm_dec' is not supported",
		"be_conn(nope)":                     "unable to find backend 'nope' referenced in arg 1 of fetch method 'be_conn'",
		"srv_conn(nope/s)":                  "unable to find proxy 'nope' referenced in arg 1 of fetch method 'srv_conn'",
		"avg_queue()":                       "proxy 'f', referenced in arg 1 of fetch method 'avg_queue', has not backend capability",
		"accept_date(h)":                    "",
	} {
		_, _, err := c.parseExpr(expr)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", expr, err, want)
		}
	}
}
