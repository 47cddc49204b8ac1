package main

import (
	"crypto/sha1"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/app"
	"gatehouse/internal/cert"
)

// certificate is what `gatehouse cert` knows of one certificate, asked of a running process or read from the disk. Both become the lines of `show ssl cert`
// first, so that they are read in one place.
type certificate struct {
	Name        string     `json:"name"`
	Names       []string   `json:"names"`
	Key         string     `json:"key,omitempty"` // RSA2048, EC256, ED25519, ...
	Subject     string     `json:"subject,omitempty"`
	Issuer      string     `json:"issuer,omitempty"`
	Serial      string     `json:"serial,omitempty"`
	SHA1        string     `json:"sha1,omitempty"` // of the leaf
	NotBefore   *time.Time `json:"notBefore,omitempty"`
	NotAfter    *time.Time `json:"notAfter,omitempty"`
	DaysLeft    *int       `json:"daysLeft,omitempty"` // whole days, negative when it is over
	Uses        []string   `json:"uses"`               // FRONTEND/FILE:LINE
	Status      []string   `json:"status"`
	Transaction bool       `json:"transaction"`     // a change was set and not yet committed
	Error       string     `json:"error,omitempty"` // why it cannot be used
	Files       []string   `json:"files,omitempty"` // the PEM, and the key where it is in another file
	Chain       []link     `json:"chain,omitempty"` // from the leaf's issuer upwards

	lines []string // as `show ssl cert` prints them
}

// link is one certificate of a chain.
type link struct {
	Subject string `json:"subject"`
	Issuer  string `json:"issuer"`
}

// readFacts takes over what the lines of `show ssl cert NAME` say; lines it does not know, HAProxy's of later versions too, are left alone.
func (c *certificate) readFacts(text string, now time.Time) {
	c.lines = lines(text)
	for _, line := range c.lines {
		label, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		switch label {
		case "Crt filename", "Key filename":
			if value != "" && !slices.Contains(c.Files, value) {
				c.Files = append(c.Files, value)
			}
		case "Status":
			c.readStatus(value)
		case "On disk":
			c.readSaved(value)
		case "Serial":
			c.Serial = value
		case "notBefore":
			c.NotBefore = readDate(value)
		case "notAfter":
			c.setNotAfter(readDate(value), now)
		case "Subject Alternative Name":
			c.readNames(value)
		case "Algorithm":
			c.Key = value
		case "SHA1 FingerPrint":
			c.SHA1 = value
		case "Subject":
			c.Subject = value
		case "Issuer":
			c.Issuer = value
		case "Chain Subject":
			c.Chain = append(c.Chain, link{Subject: value})
		case "Chain Issuer":
			if n := len(c.Chain); n > 0 {
				c.Chain[n-1].Issuer = value
			}
		}
	}
	if len(c.Names) == 0 {
		if cn := nameOf(c.Subject, "CN"); cn != "" {
			c.Names = []string{cn}
		}
	}
	if c.Subject == "/CN=expired" && c.Issuer == c.Subject && c.NotAfter != nil && c.NotAfter.Unix() == 0 {
		c.Status = append(c.Status, "temporary")
	}
}

func (c *certificate) readStatus(value string) {
	switch value {
	case "Used":
	case "Uncommitted":
		c.Transaction = true
	default:
		c.Status = append(c.Status, strings.ToLower(value))
	}
}

func (c *certificate) readSaved(value string) {
	switch {
	case value == "yes":
		c.Status = append(c.Status, "on disk")
	case strings.HasPrefix(value, "no"):
		c.Status = append(c.Status, "unsaved ("+strings.TrimLeft(strings.TrimPrefix(value, "no"), ":, ")+")")
	}
}

func (c *certificate) readNames(value string) {
	for _, name := range strings.Split(value, ",") {
		if name = strings.TrimPrefix(strings.TrimSpace(name), "DNS:"); name != "" {
			c.Names = append(c.Names, name)
		}
	}
}

func (c *certificate) setNotAfter(t *time.Time, now time.Time) {
	if t == nil {
		return
	}
	left := t.Sub(now)
	days := int(left / (24 * time.Hour))
	if left < 0 {
		days = -int((-left + 24*time.Hour - 1) / (24 * time.Hour))
	}
	c.NotAfter, c.DaysLeft = t, &days
}

// readDate reads OpenSSL's print of a time.
func readDate(value string) *time.Time {
	t, err := time.Parse("Jan _2 15:04:05 2006 MST", value)
	if err != nil {
		return nil
	}
	t = t.UTC()
	return &t
}

// nameOf returns an attribute of a subject as `show ssl cert` prints it: "/C=US/CN=x".
func nameOf(dn, attribute string) string {
	_, rest, ok := strings.Cut("/"+dn, "/"+attribute+"=")
	if !ok {
		return ""
	}
	for i := 0; i < len(rest); i++ { // a slash ends the value when an attribute follows
		if rest[i] == '/' {
			if name, _, ok := strings.Cut(rest[i+1:], "="); ok && !strings.ContainsAny(name, "/ ") {
				return rest[:i]
			}
		}
	}
	return rest
}

// short is what a person knows an issuer by.
func short(dn string) string {
	for _, attribute := range []string{"CN", "O"} {
		if v := nameOf(dn, attribute); v != "" {
			return v
		}
	}
	return strings.TrimPrefix(dn, "/")
}

// bits is the size that the key's name ends with, 0 for none.
func (c *certificate) bits() int {
	n, _ := strconv.Atoi(strings.TrimLeft(c.Key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
	return n
}

// fromBundle is a certificate that was read here.
func fromBundle(name string, b *cert.Bundle, now time.Time) *certificate {
	c := &certificate{Name: name}
	c.readFacts("Filename: "+name+"\n"+cert.Describe(b), now)
	c.Names = nil
	leaf := b.X509()
	for _, ip := range leaf.IPAddresses { // which `show ssl cert` leaves out
		c.Names = append(c.Names, ip.String())
	}
	c.Names = append(slices.Clone(b.Names), c.Names...)
	c.SHA1 = fmt.Sprintf("%X", sha1.Sum(b.Leaf()))
	return c
}

// fromDisk is a certificate of a configuration or directory.
func fromDisk(h app.Held, now time.Time) *certificate {
	c := &certificate{Name: h.Name, lines: []string{"Filename: " + h.Name}}
	if h.Bundle != nil {
		c = fromBundle(h.Name, h.Bundle, now)
	}
	c.Uses = h.Uses
	for _, file := range []string{h.PEM, h.Key} {
		if file != "" && !slices.Contains(c.Files, file) {
			c.Files = append(c.Files, file)
		}
	}
	switch {
	case h.Err != nil:
		c.Error = strings.TrimSpace(h.Err.Error())
	case h.Kept:
		c.Status = append(c.Status, "in the state directory")
	case h.Bundle != nil && !h.Bundle.Temporary():
		c.Status = append(c.Status, "on disk")
	}
	return c
}
