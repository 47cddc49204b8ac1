package rule

import (
	"math"
	"math/bits"
	"net/netip"

	"gatehouse/internal/stream"
)

// numberConverters calculate; results stay within 64 bits by stopping at their ends.
func numberConverters() []converter {
	const num, boolk = stream.KindInt, stream.KindBool
	one := takes(1, argStr)
	return []converter{
		{"add", one, num, num, false, "sum with a number or variable", bindOperator(addCapped)},
		{"sub", one, num, num, false, "difference from a number or variable", bindOperator(subCapped)},
		{"mul", one, num, num, false, "product with a number or variable", bindOperator(mulCapped)},
		{"div", one, num, num, false, "quotient; by zero it is the largest number", bindOperator(divCapped)},
		{"mod", one, num, num, false, "remainder; by zero it is 0", bindOperator(modCapped)},
		{"and", one, num, num, false, "bitwise and", bindOperator(func(a, b int64) int64 { return a & b })},
		{"or", one, num, num, false, "bitwise or", bindOperator(func(a, b int64) int64 { return a | b })},
		{"xor", one, num, num, false, "bitwise exclusive or", bindOperator(func(a, b int64) int64 { return a ^ b })},
		{"neg", noArgs, num, num, false, "opposite number", pure(func(_ *stream.Stream, v Value) (Value, bool) { return integer(subCapped(0, v.Int)), true })},
		{"cpl", noArgs, num, num, false, "bitwise complement", pure(func(_ *stream.Stream, v Value) (Value, bool) { return integer(^v.Int), true })},
		{"bool", noArgs, num, boolk, false, "true unless 0", pure(func(_ *stream.Stream, v Value) (Value, bool) { return boolean(v.Int != 0), true })},
		{"not", noArgs, num, boolk, false, "true for 0", pure(func(_ *stream.Stream, v Value) (Value, bool) { return boolean(v.Int == 0), true })},
		{"odd", noArgs, num, boolk, false, "true for odd numbers", pure(func(_ *stream.Stream, v Value) (Value, bool) { return boolean(v.Int&1 == 1), true })},
		{"even", noArgs, num, boolk, false, "true for even numbers", pure(func(_ *stream.Stream, v Value) (Value, bool) { return boolean(v.Int&1 == 0), true })},
		{"ipmask", takes(1, argMask4, argMask6), stream.KindAddr, stream.KindAddr, false, "network of an address", bindIPMask},
	}
}

func bindOperator(f func(a, b int64) int64) func(args) (convFunc, error) {
	return func(a args) (convFunc, error) {
		o, err := parseOperand(a.str(0))
		if err != nil {
			return nil, err
		}
		return func(s *stream.Stream, env Env, v Value) (Value, bool) {
			n, ok := o.value(s, env)
			return integer(f(v.Int, n)), ok
		}, nil
	}
}

func addCapped(a, b int64) int64 {
	sum := a + b
	switch {
	case a > 0 && b > 0 && sum < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && sum >= 0:
		return math.MinInt64
	}
	return sum
}

func subCapped(a, b int64) int64 {
	if b != math.MinInt64 {
		return addCapped(a, -b)
	}
	return addCapped(addCapped(a, math.MaxInt64), 1)
}

func mulCapped(a, b int64) int64 {
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	neg := (a < 0) != (b < 0)
	switch {
	case !neg && (hi != 0 || lo > math.MaxInt64):
		return math.MaxInt64
	case neg && (hi != 0 || lo > 1<<63):
		return math.MinInt64
	case neg:
		return -int64(lo)
	}
	return int64(lo)
}

func magnitude(a int64) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}

func divCapped(a, b int64) int64 {
	if b == 0 || a == math.MinInt64 && b == -1 {
		return math.MaxInt64
	}
	return a / b
}

func modCapped(a, b int64) int64 {
	if b == 0 || b == -1 {
		return 0
	}
	return a % b
}

func bindIPMask(a args) (convFunc, error) {
	four := a.list[0].addr
	var six netip.Addr // none: IPv6 addresses have no value
	if a.len() > 1 {
		six = a.list[1].addr
	}
	return func(_ *stream.Stream, _ Env, v Value) (Value, bool) {
		if v4, ok := toIPv4(v.Addr); ok {
			return address(masked(v4, four)), true
		}
		if !six.IsValid() {
			return Value{}, false
		}
		return address(masked(v.Addr, six)), true
	}, nil
}

// masked keeps the bits of a that are set in mask, an address of the same family.
func masked(a, mask netip.Addr) netip.Addr {
	if a.Is4() {
		b, m := a.As4(), mask.As4()
		for i := range b {
			b[i] &= m[i]
		}
		return netip.AddrFrom4(b)
	}
	b, m := a.As16(), mask.As16()
	for i := range b {
		b[i] &= m[i]
	}
	return netip.AddrFrom16(b)
}
