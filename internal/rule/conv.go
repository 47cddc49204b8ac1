package rule

import (
	"gatehouse/internal/stream"
)

// converter is one sample converter: an entry of the table.
type converter struct {
	name string
	args argSpec
	in   stream.Kind
	out  stream.Kind
	same bool // what comes out has the kind that went in
	doc  string
	bind func(a args) (convFunc, error)
}

// converters is the table of all converters by name.
var converters = index(func(c *converter) string { return c.name }, textConverters(), numberConverters(), codingConverters(), captureConverters(),
	hashConverters(), binaryConverters(), listConverters(), dateConverters(), jsonConverters(), jwtConverters(), forwardedConverters(),
	processConverters(), tableConverters(), mapConverters(), certConverters())

// pure makes the bind function of a converter that takes no argument.
func pure(f func(s *stream.Stream, v Value) (Value, bool)) func(args) (convFunc, error) {
	return func(args) (convFunc, error) {
		return func(s *stream.Stream, _ Env, v Value) (Value, bool) { return f(s, v) }, nil
	}
}
