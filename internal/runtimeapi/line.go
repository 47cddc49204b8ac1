// Package runtimeapi is HAProxy's Runtime API on the wire, both ends: how a command line is split into commands and words,
// how a payload follows it, how words are quoted, and how an answer ends. It knows no command; rooms that serve or ask do.
//
//	line := runtimeapi.ParseLine(`set ssl cert /etc/a\ b.pem <<%END%`)
//	words, err := runtimeapi.Words(line.Commands[0]) // set, ssl, cert, "/etc/a b.pem"
//	fmt.Println(line.Payload, line.Pattern)          // true %END%
//
// Everything read is bounded: a line by the buffer size, a command by 64 words, a payload by its limit, an answer by the
// client's. Nothing here starts a goroutine. Source: HAProxy's management guide, section 9.3, and what 3.4.0 does.
package runtimeapi

import (
	"errors"
	"strings"
)

// Limits of the protocol and the defaults of those that the configuration can change.
const (
	MaxWords          = 64       // words of one command
	MaxPattern        = 64       // bytes of a payload's end pattern
	DefaultBufSize    = 16384    // bytes of a command line: tune.bufsize
	DefaultMaxPayload = 16 << 20 // bytes of a payload: tune.cli.max-payload-size
)

// ErrTooManyWords is a command of more than MaxWords words. Its text is the answer.
var ErrTooManyWords = errors.New("Too many arguments. Commands must have at most 64 arguments.")

// payloadMark announces a payload when it opens the last word of a line.
const payloadMark = "<<"

// Line is one line as received: the commands chained on it and whether a payload follows.
type Line struct {
	Commands []string // raw, separators removed, escapes kept; at least one, possibly empty
	Payload  bool     // a payload follows the line, for the last command
	Pattern  string   // the line that ends the payload; "" is an empty line
	CRLF     bool     // the line ended in CR LF: so may the one that ends the payload
}

// ParseLine splits a line, without its LF, at the semicolons that no backslash precedes. A CR at its end is dropped. When the
// last word of the line starts with "<<" and its end pattern has at most MaxPattern bytes, that word announces a payload and
// is not part of the command.
func ParseLine(text string) Line {
	var l Line
	text, l.CRLF = strings.CutSuffix(text, "\r")
	for {
		end := Separator(text)
		if end < 0 {
			break
		}
		l.Commands = append(l.Commands, text[:end])
		text = text[end+1:]
	}
	last, pattern, ok := cutPayload(text)
	l.Commands = append(l.Commands, last)
	l.Payload, l.Pattern = ok, pattern
	return l
}

// Separator is the index of the first semicolon that ends a command in text, -1 if none does.
func Separator(text string) int {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case ';':
			return i
		}
	}
	return -1
}

// cutPayload takes the payload mark off the end of the last command of a line. The word is looked for from the end, raw:
// HAProxy does not ask whether the blank before it was escaped.
func cutPayload(command string) (rest, pattern string, ok bool) {
	i := strings.LastIndexAny(command, " \t") + 1
	pattern, ok = strings.CutPrefix(command[i:], payloadMark)
	if !ok || len(pattern) > MaxPattern {
		return command, "", false
	}
	return command[:i], pattern, true
}

// Words splits one command at blanks and removes the escapes: a backslash makes the next byte ordinary. Quotes are ordinary.
// The error is ErrTooManyWords.
func Words(command string) ([]string, error) {
	var words []string
	for {
		command = strings.TrimLeft(command, " \t")
		if command == "" {
			return words, nil
		}
		if len(words) == MaxWords {
			return nil, ErrTooManyWords
		}
		end := wordEnd(command)
		words = append(words, unescape(command[:end]))
		command = command[end:]
	}
}

// wordEnd is the index of the first blank of text that no backslash precedes, or its length.
func wordEnd(text string) int {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case ' ', '\t':
			return i
		}
	}
	return len(text)
}

// unescape drops each backslash and keeps the byte behind it.
func unescape(word string) string {
	if !strings.Contains(word, `\`) {
		return word
	}
	out := make([]byte, 0, len(word))
	for i := 0; i < len(word); i++ {
		if word[i] == '\\' {
			if i++; i == len(word) {
				break
			}
		}
		out = append(out, word[i])
	}
	return string(out)
}

// LooksHTTP says whether a line is the first of an HTTP request: a browser that was made to talk to a socket over TCP must
// not have its body run as commands, nor be told anything.
func LooksHTTP(text string) bool {
	text = strings.TrimSuffix(text, "\r")
	if text == "PRI * HTTP/2.0" {
		return true
	}
	i := strings.LastIndexByte(text, ' ')
	if i < 0 || !strings.HasPrefix(text[i+1:], "HTTP/") {
		return false
	}
	method, _, ok := strings.Cut(text, " ")
	return ok && method != "" && strings.ToUpper(method) == method
}
