package acme

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"
	"golang.org/x/net/idna"
)

// Bounds of an issued chain.
const (
	maxChain  = 10
	clockSkew = time.Hour // how far in the future a new certificate may begin
)

// identifiers turns configured names into those of an order, without repetitions and in order.
func identifiers(domains, ips []string) []acme.Identifier {
	var ids []acme.Identifier
	add := func(kind, value string) {
		id := acme.Identifier{Type: kind, Value: value}
		if value != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, domain := range domains {
		domain = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(domain), "."))
		if ascii, err := idna.Lookup.ToASCII(domain); err == nil { // RFC 8555 section 7.1.4 wants A-labels
			domain = ascii
		}
		add("dns", domain)
	}
	for _, text := range ips {
		if ip, err := netip.ParseAddr(strings.TrimSpace(text)); err == nil {
			add("ip", ip.Unmap().String())
		}
	}
	return ids
}

// request makes the CSR of an order: the first name is also the common name when it fits there, as HAProxy has it.
func request(key crypto.Signer, ids []acme.Identifier) ([]byte, error) {
	template := &x509.CertificateRequest{}
	for _, id := range ids {
		if id.Type == "ip" {
			template.IPAddresses = append(template.IPAddresses, net.ParseIP(id.Value))
			continue
		}
		template.DNSNames = append(template.DNSNames, id.Value)
	}
	if first := ids[0].Value; len(first) <= 64 { // ub-common-name, RFC 5280 appendix A.1
		template.Subject = pkix.Name{CommonName: first}
	}
	return x509.CreateCertificateRequest(rand.Reader, template, key)
}

// checkChain says why an issued chain must not be used, and returns it in PEM, cleaned of anything else, when it may: it begins
// with a certificate for our key and exactly the names of ids, that is for servers and valid now, and each certificate is signed by
// the next. A leaf that comes alone is accepted only when roots hold its issuer.
func checkChain(data []byte, key crypto.PublicKey, ids []acme.Identifier, roots *x509.CertPool, now time.Time) ([]byte, error) {
	chain, err := parseChain(data)
	if err != nil {
		return nil, err
	}
	leaf := chain[0]
	switch {
	case !samePublicKey(leaf.PublicKey, key):
		return nil, refused("the issued certificate is not for the key of the order")
	case !sameIdentifiers(leafNames(leaf), ids):
		return nil, refused("the issued certificate is for %s, asked were %s", listNames(leafNames(leaf)), listNames(ids))
	case !commonNameAsked(leaf.Subject.CommonName, ids):
		return nil, refused("the issued certificate has the common name %q, which was not asked for", clean(leaf.Subject.CommonName, 100))
	case leaf.IsCA:
		return nil, refused("the issued certificate is a CA's")
	case !forServers(leaf):
		return nil, refused("the issued certificate is not for TLS servers")
	case !leaf.NotAfter.After(leaf.NotBefore):
		return nil, refused("the issued certificate ends before it begins")
	case !leaf.NotAfter.After(now):
		return nil, refused("the issued certificate has expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	case leaf.NotBefore.After(now.Add(clockSkew)):
		return nil, refused("the issued certificate is not valid before %s", leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	if err := checkLinks(chain, roots, now); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, c := range chain {
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

func parseChain(data []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, refused("the issued chain holds something else than certificates")
		}
		if len(chain) == maxChain {
			return nil, refused("the issued chain is longer than %d certificates", maxChain)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, refused("the issued chain cannot be parsed: %s", clean(err.Error(), maxText))
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, refused("no certificate in the CA's answer")
	}
	return chain, nil
}

func checkLinks(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) error {
	for i := range len(chain) - 1 {
		if err := chain[i].CheckSignatureFrom(chain[i+1]); err != nil {
			return refused("the issued chain is broken after certificate %d: %s", i+1, clean(err.Error(), maxText))
		}
		if !chain[i+1].NotAfter.After(now) {
			return refused("certificate %d of the issued chain has expired", i+2)
		}
	}
	if len(chain) == 1 {
		if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, CurrentTime: chain[0].NotBefore}); err != nil {
			return refused("the issued certificate comes without its issuer")
		}
	}
	return nil
}

// leafNames are the names a certificate is for, of every kind that a subject alternative name can have.
func leafNames(leaf *x509.Certificate) []acme.Identifier {
	var ips []string
	for _, ip := range leaf.IPAddresses {
		ips = append(ips, ip.String())
	}
	ids := identifiers(leaf.DNSNames, ips)
	for _, mail := range leaf.EmailAddresses {
		ids = append(ids, acme.Identifier{Type: "email", Value: mail})
	}
	for _, u := range leaf.URIs {
		ids = append(ids, acme.Identifier{Type: "uri", Value: u.String()})
	}
	return ids
}

// commonNameAsked: HAProxy's SNI index knows the common name too, so a CA may not add one that was not asked for.
func commonNameAsked(name string, ids []acme.Identifier) bool {
	return name == "" || slices.ContainsFunc(ids, func(id acme.Identifier) bool { return strings.EqualFold(id.Value, name) })
}

func listNames(ids []acme.Identifier) string {
	if len(ids) == 0 {
		return "no name"
	}
	var names []string
	for _, id := range ids[:min(len(ids), 5)] {
		names = append(names, clean(id.Value, 253))
	}
	if len(ids) > 5 {
		names = append(names, "...")
	}
	return strings.Join(names, ",")
}

func forServers(leaf *x509.Certificate) bool {
	if len(leaf.ExtKeyUsage) == 0 && len(leaf.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.ContainsFunc(leaf.ExtKeyUsage, func(u x509.ExtKeyUsage) bool {
		return u == x509.ExtKeyUsageServerAuth || u == x509.ExtKeyUsageAny
	})
}
