#!/usr/bin/env bash
# Needs: Node 20 with npm.
# Guess: a heartbeat of server-sent events can be a comment or, to move a client on without an event, a block with an id and no data (HTML
# standard, 9.2.6: the last event id is set, nothing is dispatched), and every client resumes from it.
# Seen: eventsource 5.1.5 does so. @microsoft/fetch-event-source 2.0.1 resumes too, but hands both blocks to onmessage with data "", which
# JSON.parse refuses. eventsource-client 1.2.0 drops an id that has no data and resumes from the one before. A named event with
# data ("event: heartbeat") moves all three on; only who asks for that name in an EventSource sees it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund eventsource@5.1.5 @microsoft/fetch-event-source@2.0.1 eventsource-client@1.2.0 >/dev/null
cat >beat.mjs <<'END'
import { createServer } from 'node:http'
import { EventSource } from 'eventsource'
import { createEventSource } from 'eventsource-client'
globalThis.window = globalThis
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} }
const { fetchEventSource } = await import('@microsoft/fetch-event-source')

const beats = { comment: ': beat\n\n', 'id only': 'id: 7\n\n', 'named event': 'id: 7\nevent: heartbeat\ndata: {}\n\n' }
const clients = {
	eventsource(url, take) {
		const c = new EventSource(url)
		c.onmessage = (e) => take(e.data)
		return () => c.close()
	},
	'fetch-event-source'(url, take) {
		const stop = new AbortController()
		fetchEventSource(url, { signal: stop.signal, openWhenHidden: true, onmessage: (e) => e.retry === undefined && take(e.data), onclose() { throw new Error('again') }, onerror: () => 50 }).catch(() => {})
		return () => stop.abort()
	},
	'eventsource-client'(url, take) {
		const c = createEventSource({ url, fetch, onMessage: (e) => take(e.data) })
		return () => c.close()
	},
}
for (const [name, connect] of Object.entries(clients))
	for (const [beat, block] of Object.entries(beats)) {
		const asked = [], got = []
		let again
		const second = new Promise((done) => (again = done))
		const server = createServer((q, a) => {
			asked.push(q.headers['last-event-id'] ?? 'none')
			a.writeHead(200, { 'content-type': 'text/event-stream' })
			a.write('retry: 50\n\n')
			if (asked.length > 1) return again()
			a.write(block)
			setTimeout(() => a.destroy(), 200)
		})
		await new Promise((done) => server.listen(0, '127.0.0.1', done))
		const close = connect(`http://127.0.0.1:${server.address().port}/`, (data) => got.push(data))
		await second
		close()
		server.close()
		server.closeAllConnections()
		console.log(`${name}, ${beat}: resumes from ${asked[1]}, handed on ${JSON.stringify(got)}`)
	}
process.exit()
END
timeout 60 node beat.mjs | tee seen
diff seen - <<'END'
eventsource, comment: resumes from none, handed on []
eventsource, id only: resumes from 7, handed on []
eventsource, named event: resumes from 7, handed on []
fetch-event-source, comment: resumes from none, handed on [""]
fetch-event-source, id only: resumes from 7, handed on [""]
fetch-event-source, named event: resumes from 7, handed on ["{}"]
eventsource-client, comment: resumes from none, handed on []
eventsource-client, id only: resumes from none, handed on []
eventsource-client, named event: resumes from 7, handed on ["{}"]
END
