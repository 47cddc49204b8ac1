//go:build linux && amd64 && !race

package sock

const sysSendmmsg = 307
