#!/bin/sh
# deploy.sh NAME CHAIN KEY: hands a certificate to the edge in this folder, which serves it at once and from its file
# certs/NAME.pem after a restart. certbot calls it with --deploy-hook and says in RENEWED_LINEAGE where the files are.
set -eu
cd "$(dirname "$0")"
if [ $# -lt 3 ]; then
	set -- "$(basename "$RENEWED_LINEAGE")" "$RENEWED_LINEAGE/fullchain.pem" "$RENEWED_LINEAGE/privkey.pem"
fi
pem=certs/$1.pem

say() { socat - UNIX-CONNECT:admin.sock; }
expect() { grep "$1" || { echo "deploying $pem: the edge did not say $1" >&2; exit 1; }; }

umask 077
cat "$2" "$3" >"$pem.new"

known=$(echo "show ssl cert" | say | grep -cFx "$pem" || true)
[ "$known" -gt 0 ] || echo "new ssl cert $pem" | say | expect 'New empty certificate store'
{ echo "set ssl cert $pem <<"; cat "$pem.new"; echo; } | say | expect 'Transaction created'
echo "commit ssl cert $pem" | say | expect 'Success!'
[ "$known" -gt 0 ] || echo "add ssl crt-list certs $pem" | say | expect 'Success!'

# For HAProxy, which forgets at the next start what it was told; Gatehouse has written the file by itself already.
mv "$pem.new" "$pem"
