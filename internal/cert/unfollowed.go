package cert

// Unfollowed lists the keywords whose wish crypto/tls cannot grant: which suites of TLS 1.3 and which signature algorithms are used, whose
// preference counts, early data.
func (o *Options) Unfollowed() (words []string) {
	if o == nil {
		return nil
	}
	if ids, err := CipherSuites13(o.Ciphersuites); o.Ciphersuites != "" && (err != nil || len(ids) < len(suites13)) {
		words = append(words, "ciphersuites")
	}
	for _, w := range []struct {
		name string
		is   bool
	}{{"sigalgs", o.Sigalgs != ""}, {"client-sigalgs", o.ClientSigalgs != ""}, {"prefer-client-ciphers", o.PreferClientCiphers}, {"allow-0rtt", o.Allow0RTT}} {
		if w.is {
			words = append(words, w.name)
		}
	}
	return words
}
