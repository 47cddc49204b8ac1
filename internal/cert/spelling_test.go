package cert

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"
)

// The rows were printed by `openssl ciphers -tls1_2 STRING` of OpenSSL 3.0, without suites that crypto/tls lacks.
func TestCipherStringsChooseWhatOpenSSLChooses(t *testing.T) {
	for text, want := range map[string]string{
		"kRSA":                            "AES256-GCM-SHA384 AES128-GCM-SHA256 AES128-SHA256 AES256-SHA AES128-SHA DES-CBC3-SHA",
		"ECDHE+ECDSA+AESGCM":              "ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-ECDSA-AES128-GCM-SHA256",
		"ECDHE-RSA-AES128-SHA:FOO":        "ECDHE-RSA-AES128-SHA",
		"AES128-SHA:ECDHE-RSA-AES128-SHA": "AES128-SHA ECDHE-RSA-AES128-SHA",
		"ECDHE+AESGCM:!ECDSA":             "ECDHE-RSA-AES256-GCM-SHA384 ECDHE-RSA-AES128-GCM-SHA256",
		"ECDSA+AES128:-AESGCM":            "ECDHE-ECDSA-AES128-SHA256 ECDHE-ECDSA-AES128-SHA",
		"ECDSA+AES128:+AESGCM":            "ECDHE-ECDSA-AES128-SHA256 ECDHE-ECDSA-AES128-SHA ECDHE-ECDSA-AES128-GCM-SHA256",
		"CHACHA20:@SECLEVEL=1":            "ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-CHACHA20-POLY1305",
		"SSLv3+AES128":                    "AES128-SHA",
		"TLSv1+AES128":                    "ECDHE-ECDSA-AES128-SHA ECDHE-RSA-AES128-SHA",
		"!AES:ALL:-CHACHA20":              "ECDHE-RSA-DES-CBC3-SHA DES-CBC3-SHA",
		"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-RSA-AES128-GCM-SHA256",
	} {
		ids, err := CipherSuites(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var got []string
		for _, id := range ids {
			got = append(got, CipherName(id))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q chooses\n%s, want\n%s", text, strings.Join(got, " "), want)
		}
	}
	for _, text := range []string{"", "FOO", "!ALL", "ALL:!ALL", "DHE-RSA-AES128-SHA"} {
		if ids, err := CipherSuites(text); err == nil {
			t.Errorf("%q chooses %v, want an error", text, ids)
		}
	}
}

func TestEverySuiteOfGoHasAName(t *testing.T) {
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if strings.Contains(s.Name, "RC4") {
			continue
		}
		name := CipherName(s.ID)
		if name == s.Name && !strings.HasPrefix(name, "TLS_AES") && !strings.HasPrefix(name, "TLS_CHACHA") {
			t.Errorf("%s has no OpenSSL name", s.Name)
		}
		if CipherBits(s.ID) == 0 {
			t.Errorf("%s has no strength", s.Name)
		}
		if ids, err := CipherSuites(name); !strings.HasPrefix(name, "TLS_") && (err != nil || !slices.Equal(ids, []uint16{s.ID})) {
			t.Errorf("%s reads as %v, %v", name, ids, err)
		}
	}
}

func TestCurves(t *testing.T) {
	ids, err := CurveIDs("X25519MLKEM768:X25519:prime256v1:P-256:X448:secp384r1")
	if want := []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384}; err != nil || !slices.Equal(ids, want) {
		t.Errorf("curves %v, %v; want %v", ids, err, want)
	}
	for _, bad := range []string{"", "foo", "X25519:foo", "X448"} {
		if ids, err := CurveIDs(bad); err == nil {
			t.Errorf("%q gives %v, want an error", bad, ids)
		}
	}
	if got := CurveName(tls.CurveP256); got != "SECP256R1" {
		t.Errorf("P-256 is named %s", got)
	}
}

func TestVersionRange(t *testing.T) {
	for words, want := range map[string]string{
		"":                              "TLSv1.2 TLSv1.3",
		"ssl-min-ver TLSv1.0":           "TLSv1.0 TLSv1.3",
		"ssl-min-ver SSLv3":             "TLSv1.0 TLSv1.3",
		"ssl-max-ver TLSv1.2":           "TLSv1.2 TLSv1.2",
		"ssl-max-ver TLSv1.0":           "TLSv1.0 TLSv1.0",
		"force-tlsv13":                  "TLSv1.3 TLSv1.3",
		"no-tlsv13":                     "TLSv1.2 TLSv1.2",
		"no-tlsv10 no-tlsv11 no-tlsv12": "TLSv1.3 TLSv1.3",
		"no-tlsv12 no-tlsv13":           "error",
		"ssl-min-ver TLSv1.3 ssl-max-ver TLSv1.2": "error",
	} {
		var o Options
		f := strings.Fields(words)
		for i := 0; i < len(f); i++ {
			n, _, ok := Keyword(f[i])
			if !ok {
				t.Fatalf("%s is no keyword", f[i])
			}
			if err := o.Set(f[i], f[i+1:i+1+n]); err != nil {
				t.Fatal(err)
			}
			i += n
		}
		min, max, err := o.VersionRange()
		got := VersionName(min) + " " + VersionName(max)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q gives %s, want %s", words, got, want)
		}
	}
}

func TestIgnoredErrors(t *testing.T) {
	var o Options
	if err := o.Set("crt-ignore-err", []string{"10,X509_V_ERR_CERT_REVOKED"}); err != nil {
		t.Fatal(err)
	}
	if !o.CrtIgnoreErr.Has(10) || !o.CrtIgnoreErr.Has(23) || o.CrtIgnoreErr.Has(11) || o.CAIgnoreErr.Has(10) {
		t.Errorf("sets are %v and %v", o.CrtIgnoreErr, o.CAIgnoreErr)
	}
	if err := o.Set("ca-ignore-err", []string{"all"}); err != nil || !o.CAIgnoreErr.Has(77) {
		t.Error(err)
	}
	for _, bad := range []string{"", "0", "200", "FOO", "1,"} {
		if err := o.Set("ca-ignore-err", []string{bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if got := VerifyName(23); got != "X509_V_ERR_CERT_REVOKED" {
		t.Errorf("error 23 is %s", got)
	}
}

func TestMergeTakesTheBindLinesValuesWhereTheEntryHasNone(t *testing.T) {
	bind := &Options{ALPN: []string{"h2"}, Verify: "required", CAFile: "ca", Ciphers: "AES", MinVer: tls.VersionTLS12, NoCANames: true}
	entry := &Options{NoALPN: true, Verify: "none", MaxVer: tls.VersionTLS12}
	got := entry.Merge(bind)
	if got.ALPN != nil || !got.NoALPN || got.Verify != "none" || got.CAFile != "ca" || got.MinVer != tls.VersionTLS12 || got.MaxVer != tls.VersionTLS12 || !got.NoCANames {
		t.Errorf("merged options are %+v", got)
	}
	if got := (*Options)(nil).Merge(bind); got.Verify != "required" || got.Ciphers != "AES" {
		t.Errorf("no options merged are %+v", got)
	}
	if got := entry.Merge(nil); got.Verify != "none" {
		t.Errorf("merged with nothing: %+v", got)
	}
}
