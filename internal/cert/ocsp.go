package cert

import (
	"crypto"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/crypto/ocsp"
)

// DescribeOCSP prints a DER response as `show ssl cert NAME.ocsp` does, in the shape of OpenSSL's text form. A response that does not read
// gives "".
func DescribeOCSP(der []byte) string {
	r, err := ocsp.ParseResponse(der, nil)
	if err != nil {
		return ""
	}
	var w strings.Builder
	w.WriteString("OCSP Response Data:\n    OCSP Response Status: successful (0x0)\n    Response Type: Basic OCSP Response\n    Version: 1 (0x0)\n")
	if len(r.RawResponderName) > 0 {
		fmt.Fprintf(&w, "    Responder Id: %s\n", quoteName(rfcDN(r.RawResponderName)))
	} else {
		fmt.Fprintf(&w, "    Responder Id: %s\n", strings.ToUpper(hex.EncodeToString(r.ResponderKeyHash)))
	}
	fmt.Fprintf(&w, "    Produced At: %s\n    Responses:\n    Certificate ID:\n", Date(r.ProducedAt))
	if r.IssuerHash == crypto.SHA1 || r.IssuerHash == 0 {
		w.WriteString("      Hash Algorithm: sha1\n")
	} else {
		fmt.Fprintf(&w, "      Hash Algorithm: %s\n", strings.ToLower(strings.ReplaceAll(r.IssuerHash.String(), "-", "")))
	}
	fmt.Fprintf(&w, "      Serial Number: %s\n", Serial(r.SerialNumber))
	switch r.Status {
	case ocsp.Good:
		w.WriteString("    Cert Status: good\n")
	case ocsp.Revoked:
		fmt.Fprintf(&w, "    Cert Status: revoked\n    Revocation Time: %s\n", Date(r.RevokedAt))
	default:
		w.WriteString("    Cert Status: unknown\n")
	}
	fmt.Fprintf(&w, "    This Update: %s\n", Date(r.ThisUpdate))
	if !r.NextUpdate.IsZero() {
		fmt.Fprintf(&w, "    Next Update: %s\n", Date(r.NextUpdate))
	}
	return w.String()
}

// rfcDN prints a name the way OpenSSL 3 prints responders: "C = FR, O = Example".
func rfcDN(raw []byte) string {
	var parts []string
	for _, e := range DNEntries(raw) {
		parts = append(parts, e.Name+" = "+e.Value)
	}
	return strings.Join(parts, ", ")
}
