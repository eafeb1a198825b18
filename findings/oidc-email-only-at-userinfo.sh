#!/usr/bin/env bash
# Needs: Node 20 with npm.
# Guess: who asks an identity provider for the scopes "openid email" finds the e-mail address in the ID token.
# Seen with npm oidc-provider 9.13.3 as installed: in the code flow the ID token has no e-mail address, UserInfo has it (OpenID Connect
# Core 1.0, 5.4 lets claims of a scope be there only). With conformIdTokenClaims: false the ID token has it too.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund oidc-provider@9.13.3 >/dev/null
cat >flow.mjs <<'END'
import { Provider } from 'oidc-provider'
import { createServer } from 'node:http'

async function flow(conformIdTokenClaims) {
	const server = createServer()
	await new Promise((done) => server.listen(0, '127.0.0.1', done))
	const base = `http://127.0.0.1:${server.address().port}`
	const provider = new Provider(base, {
		...(conformIdTokenClaims === undefined ? {} : { conformIdTokenClaims }),
		clients: [{ client_id: 'app', client_secret: 'a secret of the app', redirect_uris: ['http://127.0.0.1/back'], grant_types: ['authorization_code'], response_types: ['code'] }],
		claims: { openid: ['sub'], email: ['email', 'email_verified'] },
		pkce: { required: () => false },
		cookies: { keys: ['one'] },
		findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, email: `${sub}@example.com`, email_verified: true }) }),
	})
	server.on('request', provider.callback())
	const jar = new Map()
	async function go(address, form) {
		const answer = await fetch(new URL(address, base), { redirect: 'manual', method: form ? 'POST' : 'GET', body: form && new URLSearchParams(form), headers: { cookie: [...jar].map((c) => c.join('=')).join('; ') } })
		for (const set of answer.headers.getSetCookie()) jar.set(...set.split(';')[0].split(/=(.*)/s).slice(0, 2))
		return answer
	}
	let next = '/auth?client_id=app&response_type=code&scope=openid%20email&state=s&nonce=n&redirect_uri=http%3A%2F%2F127.0.0.1%2Fback'
	const steps = [{ prompt: 'login', login: 'ada', password: 'x' }, { prompt: 'consent' }]
	for (let i = 0; i < 20 && !next.startsWith('http://127.0.0.1/back'); i++) {
		const answer = await go(next, /\/interaction\/[^/]+$/.test(next) ? steps.shift() : undefined)
		next = answer.headers.get('location')
	}
	const code = new URL(next).searchParams.get('code')
	const basic = Buffer.from('app:' + encodeURIComponent('a secret of the app')).toString('base64')
	const token = await (await fetch(base + '/token', { method: 'POST', headers: { authorization: 'Basic ' + basic }, body: new URLSearchParams({ grant_type: 'authorization_code', code, redirect_uri: 'http://127.0.0.1/back' }) })).json()
	const claims = JSON.parse(Buffer.from(token.id_token.split('.')[1], 'base64url'))
	const info = await (await fetch(base + '/me', { headers: { authorization: 'Bearer ' + token.access_token } })).json()
	server.close()
	server.closeAllConnections()
	return `ID token ${claims.email ?? 'none'}, UserInfo ${info.email ?? 'none'}`
}
console.log('as installed:', await flow())
console.log('conformIdTokenClaims false:', await flow(false))
END
node flow.mjs 2>/dev/null | sed '/ NOTICE: /d' | tee seen
diff seen - <<'END'
as installed: ID token none, UserInfo ada@example.com
conformIdTokenClaims false: ID token ada@example.com, UserInfo ada@example.com
END
