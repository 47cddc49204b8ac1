package engine

import (
	"maps"
	"slices"

	"gatehouse/internal/certstore"
	"gatehouse/internal/config"
)

// jwtCertificates lets rules verify tokens with certificates of the store. It implements rule.JWTCertificates.
type jwtCertificates struct {
	*certstore.Store
	plan *plan
}

// UseForJWT notes the name: whether and how the configuration declares it is known when all of it was read.
func (j jwtCertificates) UseForJWT(name string, at config.Pos) {
	if j.plan.verifiers == nil {
		j.plan.verifiers = map[string]config.Pos{}
	}
	if _, ok := j.plan.verifiers[name]; !ok {
		j.plan.verifiers[name] = at
	}
}

// jwtCertificates declares what rules verify tokens with and nothing else names.
func (b *builder) jwtCertificates() {
	for _, name := range slices.Sorted(maps.Keys(b.plan.verifiers)) {
		at := b.plan.verifiers[name]
		src := certstore.Source{Name: name, File: name, Persist: b.persists(""), Keyless: true}
		if b.plan.certs.Declared(name) || b.declareSource(src, at) {
			b.plan.certs.UseForJWT(name)
		}
	}
}
