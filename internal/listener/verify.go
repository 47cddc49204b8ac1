package listener

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"gatehouse/internal/cert"
)

// The X509_V_ERR numbers that judge can find.
const (
	errUnspecified   = 1
	errNoCRL         = 3
	errNotYetValid   = 9
	errExpired       = 10
	errCRLNotYet     = 11
	errCRLExpired    = 12
	errSelfSigned    = 18
	errSelfInChain   = 19
	errNoIssuer      = 20
	errNoIssuerLeaf  = 21
	errChainTooLong  = 22
	errRevoked       = 23
	errPurpose       = 26
	errInvalidCA     = 79
	maxVerifyDepth   = 10
	maxPresentedCert = 32
)

// verdict is what the verification of a client certificate found, in OpenSSL's terms.
type verdict struct {
	last     int // ssl_c_verify: the last error, counted or ignored
	crt      int // the first error at depth 0
	ca       int // the first error above depth 0
	caDepth  int
	bad      bool // an error that is not ignored
	badCode  int
	badDepth int
	root     []byte // DER name of the authority that the chain leads to; of a refused one, of its end
}

func (v *verdict) err() error {
	if !v.bad {
		return nil
	}
	return fmt.Errorf("client certificate refused at depth %d: %s", v.badDepth, cert.VerifyName(v.badCode))
}

// finding is one error at one depth of the chain.
type finding struct{ code, depth int }

// note adds a finding. What comes after one that is not ignored is not looked at, as in OpenSSL.
func (v *verdict) note(f finding, o *cert.Options) {
	if v.bad {
		return
	}
	v.last = f.code
	ignored := o.CrtIgnoreErr
	if f.depth > 0 {
		ignored = o.CAIgnoreErr
		if v.ca == 0 {
			v.ca, v.caDepth = f.code, f.depth
		}
	} else if v.crt == 0 {
		v.crt = f.code
	}
	if !v.bad && !ignored.Has(f.code) {
		v.bad, v.badCode, v.badDepth = true, f.code, f.depth
	}
}

// judge verifies a chain as presented, leaf first. Go's verifier alone can call it good; when it does not, or revocation speaks against it,
// explain finds the numbers OpenSSL would report, and only where every one of them is ignored the client may stay.
func (t *trust) judge(certs []*x509.Certificate, o *cert.Options, now time.Time) (v verdict) {
	if t.key.broken || len(certs) > maxPresentedCert {
		code := errNoIssuer
		if !t.key.broken {
			code = errChainTooLong
		}
		v = verdict{last: code, crt: code, bad: true, badCode: code}
		return v
	}
	between := t.others.Clone()
	for _, c := range certs[1:] {
		between.AddCert(c)
	}
	chains, err := certs[0].Verify(x509.VerifyOptions{Roots: t.roots, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err == nil {
		v.root = chains[0][len(chains[0])-1].RawSubject
		if t.key.crl == nil {
			return v
		}
	}
	found := t.explain(certs, now, err != nil)
	if err != nil && len(found) == 0 {
		found = []finding{{errUnspecified, 0}}
	}
	for _, f := range found {
		v.note(f, o)
	}
	if v.root == nil {
		// A chain that leads to no known authority ends where the client likes. That is good for a log line, not for a rule.
		if path, broken := t.path(certs); len(broken) == 0 || v.bad {
			v.root = path[len(path)-1].RawSubject
		}
	}
	return v
}

// explain walks from the leaf to where the chain ends and collects what is wrong, in OpenSSL's order: the chain, its
// extensions, revocation, dates. Without chainToo only revocation is asked.
func (t *trust) explain(certs []*x509.Certificate, now time.Time, chainToo bool) (found []finding) {
	path, broken := t.path(certs)
	if chainToo {
		found = append(found, broken...)
		found = append(found, usage(path)...)
	}
	if t.key.crl != nil {
		found = append(found, t.revocation(path, now)...)
	}
	if chainToo {
		for i := len(path) - 1; i >= 0; i-- {
			switch {
			case now.Before(path[i].NotBefore):
				found = append(found, finding{errNotYetValid, i})
			case now.After(path[i].NotAfter):
				found = append(found, finding{errExpired, i})
			}
		}
	}
	return found
}

// path follows issuers from the leaf to a trusted root, through the certificates presented and those of the files.
func (t *trust) path(certs []*x509.Certificate) (path []*x509.Certificate, broken []finding) {
	path = []*x509.Certificate{certs[0]}
	for len(path) <= maxVerifyDepth {
		last := path[len(path)-1]
		depth := len(path) - 1
		if bytes.Equal(last.RawSubject, last.RawIssuer) {
			switch {
			case slices.ContainsFunc(t.certs, last.Equal):
				return path, nil
			case depth == 0:
				return path, []finding{{errSelfSigned, 0}}
			}
			return path, []finding{{errSelfInChain, depth}}
		}
		issuer := issuerOf(last, t.certs)
		if issuer == nil {
			issuer = issuerOf(last, certs[1:])
		}
		if issuer == nil {
			broken = append(broken, finding{errNoIssuer, depth})
			if depth == 0 {
				broken = append(broken, finding{errNoIssuerLeaf, 0})
			}
			return path, broken
		}
		path = append(path, issuer)
	}
	return path, []finding{{errChainTooLong, len(path) - 1}}
}

func issuerOf(c *x509.Certificate, among []*x509.Certificate) *x509.Certificate {
	for _, x := range among {
		if bytes.Equal(x.RawSubject, c.RawIssuer) && x.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil {
			return x
		}
	}
	return nil
}

// usage finds certificates in roles they were not made for.
func usage(path []*x509.Certificate) (found []finding) {
	leaf := path[0]
	if len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 &&
		!slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		found = append(found, finding{errPurpose, 0})
	}
	for i, c := range path[1:] {
		if !c.IsCA {
			found = append(found, finding{errInvalidCA, i + 1}, finding{errPurpose, i + 1})
		}
	}
	return found
}

// revocation asks the list of every certificate's issuer, root included, as X509_V_FLAG_CRL_CHECK_ALL does.
func (t *trust) revocation(path []*x509.Certificate, now time.Time) (found []finding) {
	for i, c := range path {
		issuer := c
		if i+1 < len(path) {
			issuer = path[i+1]
		} else if !bytes.Equal(c.RawSubject, c.RawIssuer) {
			break // the chain is broken here, which is reported already
		}
		list := t.key.crl.For(c, issuer)
		switch {
		case list == nil:
			found = append(found, finding{errNoCRL, i})
			continue
		case now.Before(list.ThisUpdate):
			found = append(found, finding{errCRLNotYet, i})
		case !list.NextUpdate.IsZero() && now.After(list.NextUpdate):
			found = append(found, finding{errCRLExpired, i})
		}
		if t.key.crl.Revoked(c) {
			found = append(found, finding{errRevoked, i})
		}
	}
	return found
}

// trustCache keeps the trusts of a listener, which are few: one per combination of files its lines name.
type trustCache struct {
	list atomic.Pointer[[]*trust]
}

// maxTrusts bounds the cache; updates of files leave old ones behind until then.
const maxTrusts = 64

// get returns the trust for files. Two handshakes may build it at the same time; one of the two is kept.
func (c *trustCache) get(key trustKey) *trust {
	old := c.list.Load()
	if old != nil {
		for _, t := range *old {
			if t.key == key {
				return t
			}
		}
	}
	t := newTrust(key)
	next := []*trust{t}
	if old != nil && len(*old) < maxTrusts {
		next = append(next, *old...)
	}
	c.list.CompareAndSwap(old, &next)
	return t
}
