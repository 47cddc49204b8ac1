package cert

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
)

// Bounds on what one PEM text may hold.
const (
	MaxPEM    = 1 << 20 // bytes
	maxBlocks = 100
)

// block is one PEM block and the line its BEGIN stands on, from 1.
type block struct {
	kind  string
	der   []byte
	line  int
	crypt bool   // carries the header of a traditional encrypted key
	dek   string // its header DEK-Info: cipher and initialisation vector
}

// blockError is a block that does not read; the reasons are OpenSSL's words (no start line, bad end line, bad base64 decode).
type blockError struct {
	kind, reason string
	line         int
}

func (e *blockError) Error() string { return fmt.Sprintf("%s (line %d)", e.reason, e.line) }

// splitPEM finds the blocks of a PEM text. Text between blocks is ignored. Unlike encoding/pem it does not skip what looks like a
// block and is none: the first broken block ends the list with an error that names its line.
func splitPEM(data []byte) ([]block, error) {
	if len(data) > MaxPEM {
		return nil, &blockError{reason: fmt.Sprintf("longer than %d bytes", MaxPEM), line: 1}
	}
	return splitLong(data)
}

// splitLong is splitPEM for texts whose length the caller bounds.
func splitLong(data []byte) ([]block, error) {
	var blocks []block
	for line := 1; len(data) > 0; {
		var text []byte
		text, data = cutLine(data)
		kind, ok := marker(text, "-----BEGIN ")
		if !ok {
			line++
			continue
		}
		if len(blocks) == maxBlocks {
			return blocks, &blockError{kind, fmt.Sprintf("more than %d blocks", maxBlocks), line}
		}
		b, rest, n, ok := cleanBlock(kind, data, line)
		if !ok {
			var err error
			if b, rest, n, err = readBlock(kind, data, line); err != nil {
				return blocks, err
			}
		}
		blocks = append(blocks, b)
		data, line = rest, line+n
	}
	return blocks, nil
}

// cleanBlock is readBlock for a block of nothing but base64, as most are; false leaves it to that.
func cleanBlock(kind string, data []byte, begin int) (b block, rest []byte, n int, ok bool) {
	end := bytes.Index(data, []byte("\n-----END "))
	if end < 0 {
		return block{}, nil, 0, false
	}
	size, ok := decodedLen(data[:end])
	if !ok {
		return block{}, nil, 0, false
	}
	text, rest := cutLine(data[end+1:])
	if is, ok := marker(text, "-----END "); !ok || is != kind {
		return block{}, nil, 0, false
	}
	der := make([]byte, size) // no more: they are many, and stay
	if n, err := base64.StdEncoding.Decode(der, data[:end]); err != nil || n != size {
		return block{}, nil, 0, false
	}
	return block{kind: kind, der: der, line: begin}, rest, bytes.Count(data[:end], []byte{'\n'}) + 3, true
}

// base64Lines are the bytes that a block without headers and blanks consists of; package base64 passes over the ends of lines.
var base64Lines = func() (set [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n") {
		set[c] = true
	}
	return set
}()

// decodedLen is how many bytes a text of base64 lines stands for; false when it is none.
func decodedLen(text []byte) (int, bool) {
	digits, pads := 0, 0
	for _, c := range text {
		switch {
		case !base64Lines[c]:
			return 0, false
		case c == '=':
			pads++
		case c != '\n' && c != '\r':
			digits++
		}
	}
	return digits * 3 / 4, digits > 0 && pads <= 2
}

// readBlock reads the lines after the BEGIN line at line begin; n counts all lines of the block.
func readBlock(kind string, data []byte, begin int) (b block, rest []byte, n int, err error) {
	b = block{kind: kind, line: begin}
	var body []byte
	headers := true
	for n = 1; len(data) > 0; {
		var text []byte
		text, data = cutLine(data)
		n++
		if end, ok := marker(text, "-----END "); ok {
			if end != kind {
				return b, nil, n, &blockError{kind, "bad end line", begin + n - 1}
			}
			b.der, err = base64.StdEncoding.DecodeString(string(body))
			if err != nil || len(b.der) == 0 {
				return b, nil, n, &blockError{kind, "bad base64 decode", begin}
			}
			return b, data, n, nil
		}
		text = bytes.TrimSpace(text)
		if headers && bytes.IndexByte(text, ':') > 0 {
			b.crypt = b.crypt || bytes.Contains(text, []byte("ENCRYPTED"))
			if dek, ok := bytes.CutPrefix(text, []byte("DEK-Info:")); ok {
				b.dek = string(bytes.TrimSpace(dek))
			}
			continue
		}
		if bytes.HasPrefix(text, []byte("-----")) {
			return b, nil, n, &blockError{kind, "bad end line", begin + n - 1}
		}
		if len(text) > 0 && !b.crypt {
			headers = false
		}
		if i := badBase64(text); i {
			return b, nil, n, &blockError{kind, "bad base64 decode", begin + n - 1}
		}
		body = append(body, text...)
	}
	return b, nil, n, &blockError{kind, "bad end line", begin + n - 1}
}

func badBase64(text []byte) bool {
	for _, c := range text {
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '+', c == '/', c == '=':
		default:
			return true
		}
	}
	return false
}

func cutLine(data []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(data, []byte{'\n'})
	return line, rest
}

// marker recognises "-----BEGIN kind-----" and "-----END kind-----" lines.
func marker(text []byte, prefix string) (kind string, ok bool) {
	text = bytes.TrimRight(text, " \t\r")
	rest, ok := bytes.CutPrefix(text, []byte(prefix))
	if !ok {
		return "", false
	}
	rest, ok = bytes.CutSuffix(rest, []byte("-----"))
	for _, kind := range commonKinds {
		if string(rest) == kind {
			return kind, ok
		}
	}
	return string(rest), ok
}

// commonKinds are shared by all blocks that bear them.
var commonKinds = [...]string{"CERTIFICATE", "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"}

func isCertificate(kind string) bool {
	return kind == "CERTIFICATE" || kind == "X509 CERTIFICATE" || kind == "TRUSTED CERTIFICATE"
}

func isKey(kind string) bool { return kind == "PRIVATE KEY" || strings.HasSuffix(kind, " PRIVATE KEY") }

func appendBlock(dst []byte, kind string, der []byte) []byte {
	return append(dst, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
}
