package socket

import "time"

// when prints a time as commands of our own do: RFC 3339 in UTC, to the second.
func when(t time.Time) string { return t.UTC().Format(time.RFC3339) }
