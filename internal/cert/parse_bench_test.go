package cert

import (
	"crypto/elliptic"
	"crypto/x509/pkix"
	"testing"
)

// BenchmarkParse reads a P-256 certificate with a chain of two that others share, as a start with many certificates does.
func BenchmarkParse(b *testing.B) {
	root := issue(b, ecKey(elliptic.P256()), nil, 1, pkix.Name{CommonName: "Root"})
	middle := issue(b, ecKey(elliptic.P256()), &root, 2, pkix.Name{CommonName: "Intermediate"})
	leaf := issue(b, ecKey(elliptic.P256()), &middle, 3, pkix.Name{CommonName: "www.example.com"}, "www.example.com", "example.com")
	text := []byte(leaf.certPEM() + middle.certPEM() + root.certPEM() + leaf.keyPEM(b))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("one.pem", text); err != nil {
			b.Fatal(err)
		}
	}
}
