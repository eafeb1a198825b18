#!/usr/bin/env bash
# Needs: Go, curl.
# Guess: Stripe's own mock server refuses what Stripe would refuse of a charge, keeps an idempotency key, and is one account.
# Seen with github.com/stripe/stripe-mock v0.203.0: it holds parameters against the OpenAPI document and nothing else. 10 cents (Stripe's
# least amount is 50), a negative amount and a currency that there is not become payment intents; the same Idempotency-Key with another
# amount makes a second intent where Stripe answers idempotency_error; GET /v1/account names another account each time; a search
# finds an intent whatever is searched for. A client's rules for money, retries and accounts need another test double.
set -euo pipefail
work=$(mktemp -d)
trap 'kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
pid=
GOBIN=$work go install github.com/stripe/stripe-mock@v0.203.0
port=$((20000 + RANDOM % 20000))
"$work/stripe-mock" -http-addr "127.0.0.1:$port" >/dev/null 2>&1 &
pid=$!
call() { curl -s --retry 20 --retry-connrefused --retry-delay 1 -u sk_test_123: "http://127.0.0.1:$port/v1/$1" "${@:2}"; }
first() { sed -n "s/^  \"$1\": \"\{0,1\}\([^\",]*\).*/\1/p"; }

echo "stripe-mock v0.203.0"
{
	for charge in "10 usd" "-5 usd" "500 xyz"; do
		set -- $charge
		echo "$charge: $(call payment_intents -d amount="$1" -d currency="$2" | first amount)"
	done
	a=$(call payment_intents -H 'Idempotency-Key: one' -d amount=500 -d currency=usd | first id)
	b=$(call payment_intents -H 'Idempotency-Key: one' -d amount=900 -d currency=usd | first id)
	echo "one key, two amounts, the same intent: $([ "$a" = "$b" ] && echo yes || echo no)"
	a=$(call account | first id) b=$(call account | first id)
	echo "the same account twice: $([ "$a" = "$b" ] && echo yes || echo no)"
	echo "found by a search for nothing there is: $(call 'payment_intents/search?query=metadata%5B%22order%22%5D%3A%22none%22' | grep -c '"object": "payment_intent"')"
	echo "an unknown parameter: $(call payment_intents -d amount=500 -d currency=usd -d colour=blue | grep -c 'additional properties are not allowed')"
} | tee "$work/seen"
diff "$work/seen" - <<'END'
10 usd: 10
-5 usd: -5
500 xyz: 500
one key, two amounts, the same intent: no
the same account twice: no
found by a search for nothing there is: 1
an unknown parameter: 1
END
