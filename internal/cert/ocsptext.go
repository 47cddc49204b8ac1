package cert

import (
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"
)

// DescribeOCSP prints a DER response as `show ssl ocsp-response ID` does, in the shape of OpenSSL's text form. Certificates of responders are printed as PEM
// without their text. A response that does not read gives "".
func DescribeOCSP(der []byte) string {
	r, err := ParseOCSP(der)
	if err != nil {
		return ""
	}
	var w strings.Builder
	w.WriteString("OCSP Response Data:\n    OCSP Response Status: successful (0x0)\n    Response Type: Basic OCSP Response\n    Version: 1 (0x0)\n")
	if len(r.RawResponderName) > 0 {
		fmt.Fprintf(&w, "    Responder Id: %s\n", quoteName(rfcDN(r.RawResponderName)))
	} else {
		fmt.Fprintf(&w, "    Responder Id: %s\n", upperHex(r.ResponderKeyHash))
	}
	fmt.Fprintf(&w, "    Produced At: %s\n    Responses:\n    Certificate ID:\n", Date(r.ProducedAt))
	fmt.Fprintf(&w, "      Hash Algorithm: %s\n", strings.ToLower(strings.ReplaceAll(r.IssuerHash.String(), "-", "")))
	w.WriteString(idLines(r.ID, "      "))
	switch r.Status {
	case ocsp.Good:
		w.WriteString("    Cert Status: good\n")
	case ocsp.Revoked:
		fmt.Fprintf(&w, "    Cert Status: revoked\n    Revocation Time: %s\n", Date(r.RevokedAt))
		if name := revocationReasons[r.RevocationReason]; name != "" {
			fmt.Fprintf(&w, "    Revocation Reason: %s (0x%x)\n", name, r.RevocationReason)
		}
	default:
		w.WriteString("    Cert Status: unknown\n")
	}
	fmt.Fprintf(&w, "    This Update: %s\n", Date(r.ThisUpdate))
	if !r.NextUpdate.IsZero() {
		fmt.Fprintf(&w, "    Next Update: %s\n", Date(r.NextUpdate))
	}
	w.WriteString(" \n") // an empty line would end the answer of a command
	w.WriteString(extensionLines(r.parts.extensions))
	fmt.Fprintf(&w, "    Signature Algorithm: %s\n    Signature Value:\n", signatureName(r.SignatureAlgorithm))
	hexLines(&w, r.Signature)
	certs := r.parts.certs
	var list, one cryptobyte.String
	if certs.ReadASN1(&list, cbasn1.SEQUENCE) {
		for list.ReadASN1Element(&one, cbasn1.SEQUENCE) {
			w.WriteString("Certificate:\n")
			_ = pem.Encode(&w, &pem.Block{Type: "CERTIFICATE", Bytes: one}) // a Builder takes everything
		}
	}
	return w.String()
}

// revocationReasons are OpenSSL's names of CRLReason (RFC 5280 section 5.3.1). 0, unspecified, is not told from none.
var revocationReasons = map[int]string{1: "keyCompromise", 2: "cACompromise", 3: "affiliationChanged", 4: "superseded",
	5: "cessationOfOperation", 6: "certificateHold", 8: "removeFromCRL", 9: "privilegeWithdrawn", 10: "aACompromise"}

// DescribeOCSPKey prints a CertID as the list of `show ssl ocsp-response` does, "" when it does not read.
func DescribeOCSPKey(id []byte) string {
	lines := idLines(id, "   ")
	if lines == "" {
		return ""
	}
	return " Certificate ID:\n" + lines
}

func idLines(der []byte, indent string) string {
	var id ocspID
	if _, err := asn1.Unmarshal(der, &id); err != nil || id.Serial == nil {
		return ""
	}
	return fmt.Sprintf("%sIssuer Name Hash: %s\n%sIssuer Key Hash: %s\n%sSerial Number: %s\n", indent, upperHex(id.NameHash), indent, upperHex(id.KeyHash),
		indent, Serial(id.Serial))
}

func upperHex(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

var oidNonce = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}

// extensionLines prints the extensions of a response: a nonce by its name, others by their numbers.
func extensionLines(raw cryptobyte.String) string {
	var list, ext, value cryptobyte.String
	if !raw.ReadASN1(&list, cbasn1.SEQUENCE) || list.Empty() {
		return ""
	}
	var w strings.Builder
	w.WriteString("    Response Extensions:\n")
	for list.ReadASN1(&ext, cbasn1.SEQUENCE) {
		var oid asn1.ObjectIdentifier
		if !ext.ReadASN1ObjectIdentifier(&oid) || !ext.SkipOptionalASN1(cbasn1.BOOLEAN) || !ext.ReadASN1(&value, cbasn1.OCTET_STRING) {
			break
		}
		name := oid.String()
		if oid.Equal(oidNonce) {
			name = "OCSP Nonce"
		}
		fmt.Fprintf(&w, "        %s: \n            %s\n", name, upperHex(value))
	}
	return w.String()
}

// hexLines prints bytes as OpenSSL prints signatures: 18 in a line, with colons.
func hexLines(w *strings.Builder, data []byte) {
	for i, c := range data {
		if i%18 == 0 {
			w.WriteString("        ")
		}
		fmt.Fprintf(w, "%02x", c)
		if i < len(data)-1 {
			w.WriteByte(':')
		}
		if i%18 == 17 || i == len(data)-1 {
			w.WriteByte('\n')
		}
	}
}

// rfcDN prints a name the way OpenSSL 3 prints responders: "C = FR, O = Example".
func rfcDN(raw []byte) string {
	var parts []string
	for _, e := range DNEntries(raw) {
		parts = append(parts, e.Name+" = "+e.Value)
	}
	return strings.Join(parts, ", ")
}
