//go:build linux && arm64 && !race

package sock

const sysSendmmsg = 269
