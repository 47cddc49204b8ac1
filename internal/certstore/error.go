package certstore

import "strings"

// Error is a refusal in HAProxy's words. Lines are what the command's answer prints, without line ends.
//
// Failed tells that a commit or an insertion had begun: the answer starts with its "Committing NAME" or "Inserting ..." line, and the
// last of Lines is "Failed!". Otherwise Lines are the whole answer.
type Error struct {
	Lines  []string
	Failed bool
	cause  error
}

// Error returns the lines, joined by line feeds, as an answer prints them.
func (e *Error) Error() string { return strings.Join(e.Lines, "\n") }

// Unwrap returns what made it fail, such as the error of a full disk.
func (e *Error) Unwrap() error { return e.cause }

func refuse(lines ...string) *Error { return &Error{Lines: lines} }

func failed(cause error) *Error {
	return &Error{Lines: append(strings.Split(strings.TrimRight(cause.Error(), "\n"), "\n"), "Failed!"), Failed: true, cause: cause}
}
