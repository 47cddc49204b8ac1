package cert

import (
	"encoding/asn1"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf16"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// DN2253 prints a DER encoded distinguished name as RFC 2253 has it and OpenSSL prints it: the last part first, "CN=www,O=Example,C=FR".
func DN2253(rawName []byte) string {
	list, _ := attributes(rawName)
	var b strings.Builder
	for end := len(list); end > 0; {
		start := end - 1
		for start > 0 && !list[start].begin {
			start--
		}
		if end < len(list) {
			b.WriteByte(',')
		}
		for i := end - 1; i >= start; i-- { // OpenSSL reverses these too
			if i < end-1 {
				b.WriteByte('+')
			}
			writeAttribute(&b, &list[i])
		}
		end = start
	}
	return b.String()
}

func writeAttribute(b *strings.Builder, a *attribute) {
	name := attributeName(a.oid)
	b.WriteString(name)
	b.WriteByte('=')
	text, ok := attributeText(a)
	if !ok || name == a.oid.String() {
		b.WriteByte('#')
		b.WriteString(strings.ToUpper(hex.EncodeToString(a.der)))
		return
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c < ' ' || c >= 0x7f:
			b.WriteByte('\\')
			b.WriteString(strings.ToUpper(hex.EncodeToString([]byte{c})))
			continue
		case strings.IndexByte(",+\"\\<>;", c) >= 0, i == 0 && (c == '#' || c == ' '), i == len(text)-1 && c == ' ':
			b.WriteByte('\\')
		}
		b.WriteByte(text[i])
	}
}

// attributeText is an attribute's value in UTF-8; false for types that are no text.
func attributeText(a *attribute) (string, bool) {
	v := a.value
	switch a.der[0] {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, asn1.TagNumericString, 26: // 26: VisibleString
		return string(v), true
	case asn1.TagT61String:
		var r []rune
		for _, c := range v {
			r = append(r, rune(c))
		}
		return string(r), true
	case asn1.TagBMPString:
		var units []uint16
		for i := 0; i+1 < len(v); i += 2 {
			units = append(units, uint16(v[i])<<8|uint16(v[i+1]))
		}
		return string(utf16.Decode(units)), true
	}
	return "", false
}

// AltNames prints the value of a subject alternative name extension as OpenSSL does: "DNS:www.example.com, IP Address:192.0.2.1".
func AltNames(extension []byte) string {
	in := cryptobyte.String(extension)
	var names cryptobyte.String
	if !in.ReadASN1(&names, cbasn1.SEQUENCE) {
		return ""
	}
	var b strings.Builder
	for first := true; !names.Empty(); first = false {
		var v cryptobyte.String
		var tag cbasn1.Tag
		if !names.ReadAnyASN1(&v, &tag) {
			break
		}
		if !first {
			b.WriteString(", ")
		}
		b.WriteString(altName(tag, v))
	}
	return b.String()
}

func altName(tag cbasn1.Tag, v cryptobyte.String) string {
	switch tag & 0x1f {
	case 0:
		return "othername:<unsupported>"
	case 1:
		return "email:" + string(v)
	case 2:
		return "DNS:" + string(v)
	case 3:
		return "X400Name:<unsupported>"
	case 4:
		var parts []string
		for _, e := range DNEntries(v) {
			parts = append(parts, e.Name+" = "+e.Value)
		}
		return "DirName:" + strings.Join(parts, ", ")
	case 5:
		return "EdiPartyName:<unsupported>"
	case 6:
		return "URI:" + string(v)
	case 7:
		return "IP Address:" + altAddress(v)
	}
	var oid asn1.ObjectIdentifier
	wrapped := append([]byte{asn1.TagOID, byte(len(v))}, v...)
	if _, err := asn1.Unmarshal(wrapped, &oid); err != nil {
		return "Registered ID:<invalid>"
	}
	return "Registered ID:" + oid.String()
}

// altAddress prints an IPv6 address in full groups, as OpenSSL does.
func altAddress(v []byte) string {
	a, ok := netip.AddrFromSlice(v)
	switch {
	case !ok:
		return "<invalid>"
	case a.Is4():
		return a.String()
	}
	var groups []string
	for i := 0; i < 16; i += 2 {
		groups = append(groups, strings.ToUpper(strconv.FormatUint(uint64(v[i])<<8|uint64(v[i+1]), 16)))
	}
	return strings.Join(groups, ":")
}
