package cert

import (
	"encoding/asn1"
	"strconv"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// attribute is one type and value of a distinguished name, the value as the bytes of its string whatever its string type.
type attribute struct {
	oid   asn1.ObjectIdentifier
	value []byte
	der   []byte // value with its tag
	begin bool   // first of its relative distinguished name, which may have several
}

// attributes walks a Name (RFC 5280 section 4.1.2.4) in the order of its encoding.
func attributes(rawName []byte) (list []attribute, ok bool) {
	in := cryptobyte.String(rawName)
	var rdns cryptobyte.String
	if !in.ReadASN1(&rdns, cbasn1.SEQUENCE) || !in.Empty() {
		return nil, false
	}
	for !rdns.Empty() {
		var set cryptobyte.String
		if !rdns.ReadASN1(&set, cbasn1.SET) {
			return list, false
		}
		for first := true; !set.Empty(); first = false {
			var atv, value cryptobyte.String
			a := attribute{begin: first}
			var tag cbasn1.Tag
			if !set.ReadASN1(&atv, cbasn1.SEQUENCE) || !atv.ReadASN1ObjectIdentifier(&a.oid) {
				return list, false
			}
			a.der = atv
			if !atv.ReadAnyASN1(&value, &tag) {
				return list, false
			}
			a.value = value
			list = append(list, a)
		}
	}
	return list, true
}

// DN prints a DER encoded distinguished name on one line as HAProxy and old OpenSSL do: "/C=FR/O=Example/CN=www.example.com".
// Values are not escaped. A type without a short name prints as its dotted number.
func DN(rawName []byte) string {
	list, _ := attributes(rawName)
	var b strings.Builder
	for _, a := range list {
		b.WriteByte('/')
		b.WriteString(attributeName(a.oid))
		b.WriteByte('=')
		b.Write(a.value)
	}
	return b.String()
}

// DNEntryOf returns the value of the n-th attribute called name (short name in any case, or dotted number): 1 is the first, -1 the last. It
// allocates nothing for the usual ones.
func DNEntryOf(rawName []byte, name string, n int) ([]byte, bool) {
	list, _ := attributes(rawName)
	step, at := 1, 0
	if n < 0 {
		step, at, n = -1, len(list)-1, -n
	}
	for ; at >= 0 && at < len(list); at += step {
		if strings.EqualFold(attributeName(list[at].oid), name) {
			if n--; n == 0 {
				return list[at].value, true
			}
		}
	}
	return nil, false
}

// DNEntry is one attribute of a distinguished name: its short name ("CN") and its value.
type DNEntry struct{ Name, Value string }

// DNEntries returns the attributes of a DER encoded distinguished name in the order they are encoded.
func DNEntries(rawName []byte) []DNEntry {
	list, _ := attributes(rawName)
	out := make([]DNEntry, len(list))
	for i, a := range list {
		out[i] = DNEntry{attributeName(a.oid), string(a.value)}
	}
	return out
}

func attributeName(oid asn1.ObjectIdentifier) string {
	if len(oid) == 4 && oid[0] == 2 && oid[1] == 5 && oid[2] == 4 {
		if name, ok := x520Names[oid[3]]; ok {
			return name
		}
	}
	dotted := oid.String()
	if name, ok := otherNames[dotted]; ok {
		return name
	}
	return dotted
}

// x520Names are OpenSSL's short names of the attributes below 2.5.4.
var x520Names = map[int]string{
	3: "CN", 4: "SN", 5: "serialNumber", 6: "C", 7: "L", 8: "ST", 9: "street", 10: "O", 11: "OU", 12: "title", 13: "description",
	14: "searchGuide", 15: "businessCategory", 16: "postalAddress", 17: "postalCode", 18: "postOfficeBox",
	19: "physicalDeliveryOfficeName", 20: "telephoneNumber", 21: "telexNumber", 22: "teletexTerminalIdentifier",
	23: "facsimileTelephoneNumber", 24: "x121Address", 25: "internationaliSDNNumber", 26: "registeredAddress",
	27: "destinationIndicator", 28: "preferredDeliveryMethod", 29: "presentationAddress", 30: "supportedApplicationContext",
	31: "member", 32: "owner", 33: "roleOccupant", 34: "seeAlso", 35: "userPassword", 36: "userCertificate", 37: "cACertificate",
	38: "authorityRevocationList", 39: "certificateRevocationList", 40: "crossCertificatePair", 41: "name", 42: "GN", 43: "initials",
	44: "generationQualifier", 45: "x500UniqueIdentifier", 46: "dnQualifier", 47: "enhancedSearchGuide", 48: "protocolInformation",
	49: "distinguishedName", 50: "uniqueMember", 51: "houseIdentifier", 52: "supportedAlgorithms", 53: "deltaRevocationList",
	54: "dmdName", 65: "pseudonym", 72: "role", 97: "organizationIdentifier", 98: "c3", 99: "n3", 100: "dnsName",
}

var otherNames = map[string]string{
	"1.2.840.113549.1.9.1":       "emailAddress",
	"1.2.840.113549.1.9.2":       "unstructuredName",
	"1.2.840.113549.1.9.8":       "unstructuredAddress",
	"0.9.2342.19200300.100.1.1":  "UID",
	"0.9.2342.19200300.100.1.3":  "mail",
	"0.9.2342.19200300.100.1.25": "DC",
	"1.3.6.1.4.1.311.60.2.1.1":   "jurisdictionL",
	"1.3.6.1.4.1.311.60.2.1.2":   "jurisdictionST",
	"1.3.6.1.4.1.311.60.2.1.3":   "jurisdictionC",
}

// sanLine prints the subject alternative names as `show ssl cert` does: DNS names with their prefix, and nothing between the
// commas for names of other kinds.
func sanLine(extension []byte) string {
	in := cryptobyte.String(extension)
	var names cryptobyte.String
	if !in.ReadASN1(&names, cbasn1.SEQUENCE) {
		return ""
	}
	var b strings.Builder
	for first := true; !names.Empty(); first = false {
		var value cryptobyte.String
		var tag cbasn1.Tag
		if !names.ReadAnyASN1(&value, &tag) {
			break
		}
		if !first {
			b.WriteString(", ")
		}
		if tag == cbasn1.Tag(2).ContextSpecific() {
			b.WriteString("DNS:" + string(value))
		}
	}
	return b.String()
}

// quoteName keeps control bytes of a certificate from breaking a line of an answer.
func quoteName(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0 {
		return s
	}
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}
