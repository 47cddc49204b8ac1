package cert

import (
	"bytes"
	"strings"
	"unique"
	"unsafe"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// chain is the certificates behind a leaf, from its issuer upwards: their DER, one behind the other, shared by all bundles of the process
// that have the same. The zero value is no chain.
type chain struct{ ders unique.Handle[string] }

// newChain joins certificates, each of which is one DER value.
func newChain(ders [][]byte) chain {
	if len(ders) == 0 {
		return chain{}
	}
	return chain{unique.Make(string(bytes.Join(ders, nil)))}
}

func (c chain) empty() bool { return c == chain{} }

// all returns the DER of each certificate. Nobody may change it: it is the shared one.
func (c chain) all() (list [][]byte) {
	if c.empty() {
		return nil
	}
	text := c.ders.Value()
	rest := cryptobyte.String(unsafe.Slice(unsafe.StringData(text), len(text)))
	for !rest.Empty() {
		var one cryptobyte.String
		var tag cbasn1.Tag
		if !rest.ReadAnyASN1Element(&one, &tag) {
			break // they were certificates when the chain was made
		}
		list = append(list, []byte(one))
	}
	return list
}

// slab gives out pieces of large blocks for what stays together in the same numbers: many small allocations, between which a start makes
// garbage, keep half-empty pages in memory. The zero value allocates each piece by itself.
type slab struct{ rest []byte }

const slabSize = 64 << 10

func (s *slab) own(b []byte) []byte {
	if len(b) > len(s.rest) {
		if len(b) > slabSize/8 {
			return bytes.Clone(b)
		}
		s.rest = make([]byte, slabSize)
	}
	piece := s.rest[:len(b):len(b)]
	s.rest = s.rest[len(b):]
	copy(piece, b)
	return piece
}

// ownNames makes the names share one allocation.
func ownNames(names []string) []string {
	all := strings.Join(names, "")
	for i, name := range names {
		names[i], all = all[:len(name)], all[len(name):]
	}
	return names
}
